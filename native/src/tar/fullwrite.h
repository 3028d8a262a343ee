/* Writing all of it. */
#ifndef HOLDFS_FULLWRITE_H
#define HOLDFS_FULLWRITE_H

#include <stddef.h>
#include <stdint.h>

/* Write length bytes to a file, from offset on; where it stands if that is negative. 0 or -errno. */
int write_fully(int fd, const void *data, size_t length, int64_t offset);

#endif
