/* A tar that several threads make, part by part. */
#ifndef HOLDFS_PARTS_H
#define HOLDFS_PARTS_H

#include "sink.h"

enum { MAKERS = 3 };

/* Both calls return a failure as -errno with a message. */
struct parts {
    size_t size; /* of what describes a part; a multiple of that of a pointer */
    /* Describe the next one; called by one thread at a time. 1, or 0 at the end. */
    int (*next)(struct parts *parts, void *part, char *message, size_t room);
    /* Put a part into the sink; called by several threads, which have the numbers below MAKERS. 0. */
    int (*make)(struct parts *parts, int maker, const void *part, struct sink *sink, char *message,
                size_t room);
};

/* Write all the parts in their order, and a tar's end. As hold_tar_from_split. */
int tar_write_parts(struct parts *parts, const struct lookup *lookup,
                    const struct hold_tar_out_options *options, struct hold_tar_out_result *result);

#endif
