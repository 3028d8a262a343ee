/* Decompression, whatever the format, as one stream. */
#ifndef HOLDFS_DECODE_H
#define HOLDFS_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tar.h"

struct decoder;

/* The first bytes that tell the formats apart, and how much memory they take. */
enum { DECODE_MAGIC = 14 };

/* The format that data begin with, by its magic number. */
enum hold_compression decode_detect(const unsigned char *data, size_t length);

/* How much of its output a zstd stream refers back to, so that it has to be kept: in bytes, as the
 * first frame says. */
uint64_t decode_zstd_window(const unsigned char *data, size_t length);

/* Start one; NULL without memory. Not for HOLD_COMPRESSION_NONE. */
struct decoder *decoder_new(enum hold_compression compression);
void decoder_free(struct decoder *decoder);

/* Decode from *in to *to, advancing both and lowering what is left of each; is_end: no input will
 * follow. Several members, frames or streams follow each other as one.
 * 0, or -EBADMSG, and then *reason says what is wrong, in the words of the Go tools; -ENOMEM. */
int decode(struct decoder *decoder, const unsigned char **in, size_t *in_left, unsigned char **to,
           size_t *to_left, bool is_end, const char **reason);

/* Whether the input may end here. */
bool decoder_may_end(const struct decoder *decoder);

#endif
