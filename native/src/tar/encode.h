/* Compression of what goes out, or none. */
#ifndef HOLDFS_ENCODE_H
#define HOLDFS_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tar.h"

struct encoder;

/* Start one that writes to fd; NULL without memory, or with errno EINVAL for a format that is only
 * read. */
struct encoder *encoder_new(enum hold_compression compression, int fd, int cancel_fd);
void encoder_free(struct encoder *encoder);

/* Compress and write. is_last: end the stream. 0 or -errno. */
int encode(struct encoder *encoder, const unsigned char *data, size_t length, bool is_last);

/* Whether the pages of a file can go out as they are: into a pipe, not compressed. */
bool encoder_splices(const struct encoder *encoder);

/* Let *left bytes of a file go out so, from where it stands; *left is what did not. 0, -ESTALE if it
 * is shorter, -EINVAL if its file system can't, or -errno. */
int encoder_splice(struct encoder *encoder, int from_fd, uint64_t *left);

/* Bytes that went to fd. */
uint64_t encoder_written(const struct encoder *encoder);

#endif
