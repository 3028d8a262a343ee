/* Listings of many records, made of their columns (scan.h). */
#ifndef HOLDFS_LINES_H
#define HOLDFS_LINES_H

#include <stddef.h>

#include "scan.h"

/* cffi: begin */

enum { HOLD_LINES_GROWTH = 13 };

/* Whether two of the first count lines of a column are the same: 0 or 1, or -ENOMEM. */
int hold_has_twice(const struct hold_column *column, size_t count);

/* Room for what follows: HOLD_LINES_GROWTH times what the columns hold. Each line has a separator or
 * the end of a cell there, and no more than 13 bytes of lead and end. */

/* Write the lines of each image: its ID, "\tname: …", "\tdigest: …" (its own first, then each other
 * one of an item whose key begins with "manifest", once), "\tdata: …".
 *
 * columns: id, names, digest, big-data-names, big-data-digests.
 *
 * How much was written. */
size_t hold_image_lines(struct hold_column *columns, char *text);

/* Write the lines of each layer: its ID, "\tname: …", then of each image on it "\timage: ID" and
 * "\t\tname: …", and of the last container on it "\tcontainer: ID" and "\t\tname: …".
 *
 * layers: id, names.
 * images, containers: id, layer, names.
 * users: how many images and containers there are.
 *
 * How much was written, or -ENOMEM. */
long hold_layer_lines(struct hold_column *layers, struct hold_column *images,
                      struct hold_column *containers, size_t users, char *text);

/* cffi: end */

#endif
