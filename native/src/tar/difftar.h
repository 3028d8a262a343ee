/* The generator of a difference's tar. */
#ifndef HOLDFS_DIFFTAR_H
#define HOLDFS_DIFFTAR_H

#include "sink.h"
#include "treewalk.h"

/* A producer of the tar of what differs; it wants a thread whose current directory nobody else has.
 * NULL without memory. */
struct producer *generator_new(const struct hold_diff_options *diff);
void generator_free(struct producer *generator);

/* Say where and why a walk failed. */
void tree_explain(const struct tree_failure *failure, int error, char *message, size_t room);

#endif
