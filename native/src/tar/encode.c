#define _GNU_SOURCE
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "encode.h"

enum { PACKED = 128 << 10, GZIP_LEVEL = 2, ZSTD_LEVEL = 3 };

struct encoder {
    enum hold_compression compression;
    int fd;
    uint64_t written;
    ZSTD_CStream *zstd;
    struct isal_zstream *gzip;
    unsigned char *level_buffer;
    unsigned char packed[PACKED];
};

static int start_gzip(struct encoder *encoder)
{
    encoder->gzip = malloc(sizeof *encoder->gzip);
    encoder->level_buffer = malloc(ISAL_DEF_LVL2_DEFAULT);
    if (!encoder->gzip || !encoder->level_buffer)
        return -ENOMEM;
    isal_deflate_init(encoder->gzip);
    encoder->gzip->level = GZIP_LEVEL;
    encoder->gzip->level_buf = encoder->level_buffer;
    encoder->gzip->level_buf_size = ISAL_DEF_LVL2_DEFAULT;
    encoder->gzip->gzip_flag = IGZIP_GZIP;
    return 0;
}

static int start_zstd(struct encoder *encoder)
{
    encoder->zstd = ZSTD_createCStream();
    if (!encoder->zstd)
        return -ENOMEM;
    ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_checksumFlag, 1);
    return 0;
}

struct encoder *encoder_new(enum hold_compression compression, int fd)
{
    struct encoder *encoder = calloc(1, sizeof *encoder);
    int result = 0;

    if (!encoder)
        return NULL;
    encoder->compression = compression;
    encoder->fd = fd;
    if (compression == HOLD_COMPRESSION_GZIP)
        result = start_gzip(encoder);
    else if (compression == HOLD_COMPRESSION_ZSTD)
        result = start_zstd(encoder);
    else if (compression != HOLD_COMPRESSION_NONE)
        result = -EINVAL;
    if (result < 0) {
        encoder_free(encoder);
        errno = -result;
        return NULL;
    }
    return encoder;
}

void encoder_free(struct encoder *encoder)
{
    if (!encoder)
        return;
    ZSTD_freeCStream(encoder->zstd);
    free(encoder->gzip);
    free(encoder->level_buffer);
    free(encoder);
}

uint64_t encoder_written(const struct encoder *encoder)
{
    return encoder->written;
}

static int write_all(struct encoder *encoder, const unsigned char *data, size_t length)
{
    while (length > 0) {
        ssize_t written = write(encoder->fd, data, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        data += written;
        length -= (size_t)written;
        encoder->written += (uint64_t)written;
    }
    return 0;
}

static int encode_gzip(struct encoder *encoder, const unsigned char *data, size_t length,
                       bool is_last)
{
    struct isal_zstream *stream = encoder->gzip;
    int result;

    stream->next_in = (unsigned char *)data; /* only read */
    stream->avail_in = (uint32_t)length;
    stream->end_of_stream = is_last;
    stream->flush = NO_FLUSH;
    do {
        stream->next_out = encoder->packed;
        stream->avail_out = PACKED;
        if (isal_deflate(stream) != COMP_OK)
            return -EIO;
        result = write_all(encoder, encoder->packed, PACKED - stream->avail_out);
        if (result < 0)
            return result;
    } while (stream->avail_out == 0 ||
             (is_last && stream->internal_state.state != ZSTATE_END));
    return 0;
}

static int encode_zstd(struct encoder *encoder, const unsigned char *data, size_t length,
                       bool is_last)
{
    ZSTD_inBuffer input = {.src = data, .size = length};
    size_t left;
    int result;

    do {
        ZSTD_outBuffer output = {.dst = encoder->packed, .size = PACKED};

        left = ZSTD_compressStream2(encoder->zstd, &output, &input,
                                    is_last ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return -EIO;
        result = write_all(encoder, encoder->packed, output.pos);
        if (result < 0)
            return result;
    } while (input.pos < input.size || (is_last && left > 0));
    return 0;
}

int encode(struct encoder *encoder, const unsigned char *data, size_t length, bool is_last)
{
    if (encoder->compression == HOLD_COMPRESSION_GZIP)
        return encode_gzip(encoder, data, length, is_last);
    if (encoder->compression == HOLD_COMPRESSION_ZSTD)
        return encode_zstd(encoder, data, length, is_last);
    return write_all(encoder, data, length);
}
