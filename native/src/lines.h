/* Listings of many records, made of their columns (scan.h). */
#ifndef HOLDFS_LINES_H
#define HOLDFS_LINES_H

#include <stddef.h>

#include "scan.h"

/* cffi: begin */

enum { HOLD_LINES_GROWTH = 11 };

/* Whether two of the first count lines of a column are the same: 0 or 1, or -ENOMEM. */
int hold_has_twice(const struct hold_column *column, size_t count);

/* Write the lines of each image: its ID, "\tname: …", "\tdigest: …" (its own first, then each other
 * one of an item whose key begins with "manifest", once), "\tdata: …".
 *
 * columns: id, names, digest, big-data-names, big-data-digests.
 * text: room for HOLD_LINES_GROWTH times what the columns hold: each line has a separator or the
 *   end of a cell there, and a lead and an end of ten bytes at most.
 *
 * How much was written. */
size_t hold_image_lines(struct hold_column *columns, char *text);

/* cffi: end */

#endif
