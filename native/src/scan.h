/* A file of records, JSON as the store's indexes hold it, taken apart in one pass. */
#ifndef HOLDFS_SCAN_H
#define HOLDFS_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/* Where the values of one key go, one line a record: "\n" after each. */
struct hold_column {
    char *text;      /* room for hold_scan_room() bytes */
    size_t size;     /* how much of it was filled */
};

/* Read the first size bytes of a file. Of many, the second half is read by a thread of its own: making
 * the pages that they go to takes longer than copying. How many there were, or -errno. */
long hold_read(int fd, char *data, size_t size);

/* Take apart a JSON array of objects that wholly have the shape given.
 *
 * keys: what a record may hold, each entry TYPE COLUMN NAME NUL, the whole ended by an empty one.
 *   TYPE: s text, t RFC 3339 time, i whole number, S list of texts, I list of numbers, m map of
 *     numbers, M map of texts, x list of ID maps, f map of anything. The first key has to be there.
 *   COLUMN: '0' + index into columns for a key whose values are wanted, or '-'.
 *   Keys that are not among them may hold anything.
 * spans: gets each record's begin and end in data, room of them at most.
 * In a column stands a text as it is; of a list or a map each text, and of a list of ID maps each
 * number, is followed by 0x1f; of an absent key nothing.
 *
 * Of a large text the second half is read by a thread of its own.
 *
 * The count of records; or -EINVAL for what is damaged, has another shape, or can't be told for
 * certain here: a slower reader has to say. Nothing that is taken would be refused by it. */
long hold_scan_records(const char *data, size_t length, const char *keys, uint32_t *spans,
                       size_t room, struct hold_column *columns);

/* How much room one column may need, for data of this length. */
size_t hold_scan_room(size_t length);

/* Take apart one JSON object: spans gets, for each of its members, where the name (without quotes)
 * and where the value begin and end; room for 4 * room numbers. The count of members, or -EINVAL
 * for what can't be told for certain here. */
long hold_scan_members(const char *data, size_t length, uint32_t *spans, size_t room);

/* Where line `number` begins in a text of lines; its size for one that is not there. */
size_t hold_line_at(const char *text, size_t size, size_t number);

/* How many bytes two texts have in common at their start (from_end 0) or their end (1). */
size_t hold_common(const char *a, size_t a_length, const char *b, size_t b_length, int from_end);

/* Add delta to each of count numbers. */
void hold_shift(uint32_t *numbers, size_t count, long delta);

/* cffi: end */

#endif
