#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sink.h"
#include "splitread.h"

/* The tar that a tar-split describes, into any sink. */

static int split_to_sink(int tar_split_fd, struct sink *sink, char *message, size_t room)
{
    struct split_reader *reader = split_reader_new(tar_split_fd);
    struct split_entry entry;
    int result = reader ? 1 : -ENOMEM;

    while (result > 0) {
        result = split_read(reader, &entry);
        if (result <= 0)
            break;
        if (entry.is_file && entry.size > 0) {
            struct sink_file file = {
                .fd = -1,
                .name = entry.name, .size = entry.size, .crc = entry.crc, .has_crc = true};

            result = sink->file(sink, &file);
        } else if (!entry.is_file && entry.length > 0) {
            result = sink->bytes(sink, entry.bytes, entry.length);
        }
        if (result < 0) { /* the sink's own */
            split_reader_free(reader);
            return result;
        }
        result = 1;
    }
    split_reader_free(reader);
    if (result < 0)
        (void)snprintf(message, room, "the tar-split is damaged or can't be read: %s",
                       strerrordesc_np(-result));
    return result;
}

struct split_producer {
    struct producer producer;
    int fd;
};

static int produce_split(struct producer *producer, struct sink *sink, char *message, size_t room)
{
    return split_to_sink(((struct split_producer *)producer)->fd, sink, message, room);
}

int hold_tar_from_split(int tar_split_fd, const int *directory_fds, size_t directories,
                        const struct hold_tar_out_options *options,
                        struct hold_tar_out_result *result)
{
    struct split_producer producer = {.producer = {.run = produce_split}, .fd = tar_split_fd};
    struct lookup lookup = {.fds = directory_fds, .count = directories};

    return tar_write(&producer.producer, &lookup, options, result);
}

int hold_segments_from_split(int tar_split_fd, const int *directory_fds, size_t directories,
                             int spill_fd, struct hold_segments **segments,
                             struct hold_tar_out_result *result)
{
    struct split_producer producer = {.producer = {.run = produce_split}, .fd = tar_split_fd};
    struct lookup lookup = {.fds = directory_fds, .count = directories};

    return segments_make(&producer.producer, &lookup, spill_fd, segments, result);
}
