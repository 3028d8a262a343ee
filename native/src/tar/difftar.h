/* The tar of a difference. */
#ifndef HOLDFS_DIFFTAR_H
#define HOLDFS_DIFFTAR_H

#include "parts.h"
#include "treewalk.h"

/* A producer of the tar; it wants a thread whose current directory nobody else has. NULL without
 * memory. */
struct producer *generator_new(const struct hold_diff_options *diff);
void generator_free(struct producer *generator);

/* Whether all of the tree is in the tar, so that it can be made in parts. */
bool diff_is_walk(const struct hold_diff_options *diff);
/* The parts of such a tar; NULL without memory. */
struct parts *tree_parts_new(const struct hold_diff_options *diff);
void tree_parts_free(struct parts *parts);

/* Say where and why a walk failed. */
void tree_explain(const struct tree_failure *failure, int error, char *message, size_t room);

#endif
