/* JSON values read one by one, from a text that is not copied. */
#ifndef HOLDFS_JSON_H
#define HOLDFS_JSON_H

#include <stdbool.h>
#include <stddef.h>

struct hold_column;

/* What is left of a text. */
struct json {
    const unsigned char *at, *end;
};

/* Each reads what comes next, blanks before it passed over, and returns whether that was good for
 * certain. What a value holds is put into out unless that is NULL; entries of lists and maps, and
 * the numbers of ID maps, are each followed by 0x1f. */
bool json_text(struct json *s, struct hold_column *out);
bool json_number(struct json *s, struct hold_column *out, bool can_be_part);
bool json_time(struct json *s, struct hold_column *out);
bool json_list(struct json *s, struct hold_column *out, bool of_texts);
bool json_map(struct json *s, struct hold_column *out, bool of_texts);
bool json_id_maps(struct json *s, struct hold_column *out);

/* A value of any kind, in so many others. */
bool json_any(struct json *s, int depth);

/* One sign: json_sign takes it, json_next only looks. */
bool json_sign(struct json *s, char sign);
bool json_next(struct json *s, char sign);
void json_blanks(struct json *s);

#endif
