/* The content and the attributes of one file of a copy. */
#ifndef HOLDFS_COPYDATA_H
#define HOLDFS_COPYDATA_H

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

enum { COPY_BUFFER = 256 << 10 };

/* Copy all data, leaving holes; buffer has COPY_BUFFER bytes. 0 or -errno. */
int copy_data(char *buffer, int from, int to, const struct statx *found);

/* Owner, mode, attributes and times, in this order: each takes from the next. 0 or -errno. */
int copy_attributes(bool ignore_chown_errors, int from, int to, const struct statx *found);

/* Of access and change, for utimensat. */
void times_of(const struct statx *found, struct timespec times[2]);

#endif
