/* Writing a tar-split file: JSON lines, gzipped. */
#ifndef HOLDFS_TARSPLIT_H
#define HOLDFS_TARSPLIT_H

#include <stddef.h>
#include <stdint.h>

struct tarsplit;

/* Start one that goes to fd, which stays the caller's; NULL without memory. */
struct tarsplit *tarsplit_new(int fd);

/* Bytes of the tar that are not in a file. 0 or -errno. */
int tarsplit_bytes(struct tarsplit *split, const void *data, size_t length);

/* A member: its name as in the tar, and its payload if that is a file. size 0: none, or it comes
 * with tarsplit_bytes. */
int tarsplit_member(struct tarsplit *split, const char *name, uint64_t size, uint64_t crc);

/* Write the rest. */
int tarsplit_end(struct tarsplit *split);

void tarsplit_free(struct tarsplit *split);

#endif
