/* Names in tars as paths. */
#ifndef HOLDFS_CLEANPATH_H
#define HOLDFS_CLEANPATH_H

#include <stdbool.h>

/* Go's filepath.Clean without a leading slash: no empty, "." or ".." parts, "" for the root. What
 * leads above the root of an absolute name stays at the root; of a relative one, false.
 * to has room for as many bytes as name. */
bool clean_path(const char *name, char *to);

/* The last part, and the length of what is before it without the slash. */
const char *split_path(const char *path, int *parent_length);

#endif
