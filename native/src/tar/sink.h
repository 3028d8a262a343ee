/* Where a tar that is put together from segments goes: out, or into an index. */
#ifndef HOLDFS_SINK_H
#define HOLDFS_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "tar.h"

/* Content of a file in the tar. */
struct sink_file {
    const char *name; /* looked up beneath the directories */
    int fd;           /* of the file, for the sink to close; -1: it is to be looked up */
    uint64_t size;
    uint64_t crc;
    bool has_crc;
};

static inline void close_sink_file(const struct sink_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
}

/* All return 0 or a failure that the sink has noted, or notes itself. */
struct sink {
    int (*bytes)(struct sink *sink, const void *data, size_t length);
    int (*file)(struct sink *sink, const struct sink_file *file);
    /* Wait until all that is before this is put; NULL: it always is. */
    int (*in_order)(struct sink *sink);
};

/* Directories that names are looked up in, one after the other. */
struct lookup {
    const int *fds;
    size_t count;
};

/* Open a file beneath the first directory that has it, following links but not out of it, if it is
 * not open already. The descriptor, or -errno of the last; -ESTALE if it is not regular or not of
 * this size. */
int lookup_open(const struct lookup *lookup, const struct sink_file *file);

/* Message in the words of the Go tools for what lookup_open or a check returned. */
void lookup_explain(const struct lookup *lookup, const char *name, int error, char *message,
                    size_t room);

/* -- tarout.c -- */

/* Something that fills a sink; runs in a thread of its own. 0 or -errno with a message. */
struct producer {
    int (*run)(struct producer *producer, struct sink *sink, char *message, size_t room);
};

/* Run a producer and write what it gives. */
int tar_write(struct producer *producer, const struct lookup *lookup,
              const struct hold_tar_out_options *options, struct hold_tar_out_result *result);

/* -- segments.c -- */

/* Run a producer and keep what it gives as a list. */
int segments_make(struct producer *producer, const struct lookup *lookup, int spill_fd,
                  struct hold_segments **segments, struct hold_tar_out_result *result);

#endif
