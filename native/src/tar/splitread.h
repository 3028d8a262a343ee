/* Reading a tar-split file. */
#ifndef HOLDFS_SPLITREAD_H
#define HOLDFS_SPLITREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct split_reader;

struct split_entry {
    bool is_file;
    const char *name; /* of a file */
    uint64_t size;    /* of a file */
    uint64_t crc;
    const unsigned char *bytes; /* of a segment */
    size_t length;
};

/* What is read is fd's, from where it stands. NULL without memory. */
struct split_reader *split_reader_new(int fd);
void split_reader_free(struct split_reader *reader);

/* The next line; what entry points to lasts until the next call. 1, 0 at the end, -EBADMSG or another
 * -errno. */
int split_read(struct split_reader *reader, struct split_entry *entry);

#endif
