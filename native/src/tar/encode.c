#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>

#include "encode.h"

/* A pipe that is not full takes so much at once without blocking: see pipe(7). */
enum { ATOMIC = 4096 };

enum { PACKED = 128 << 10, GZIP_LEVEL = 2, ZSTD_LEVEL = 3 };

struct encoder {
    enum hold_compression compression;
    int fd, cancel_fd; /* the latter -1 where nothing can be canceled, or need not be */
    bool has_no_nowait;
    bool is_pipe;
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

struct encoder *encoder_new(enum hold_compression compression, int fd, int cancel_fd)
{
    struct encoder *encoder = calloc(1, sizeof *encoder);
    struct stat found;
    int result = 0;

    if (!encoder)
        return NULL;
    encoder->compression = compression;
    encoder->fd = fd;
    if (fstat(fd, &found) < 0)
        found.st_mode = 0;
    encoder->is_pipe = S_ISFIFO(found.st_mode);
    /* A file takes what it is given. */
    encoder->cancel_fd = S_ISREG(found.st_mode) ? -1 : cancel_fd;
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

/* 0 once something can be written, -ECANCELED, or -errno. */
static int wait_until_writable(const struct encoder *encoder)
{
    struct pollfd polled[] = {
        {.fd = encoder->fd, .events = POLLOUT},
        {.fd = encoder->cancel_fd, .events = POLLIN},
    };

    while (poll(polled, 2, -1) < 0)
        if (errno != EINTR)
            return -errno;
    return polled[1].revents ? -ECANCELED : 0;
}

/* write(2) of some of it, which never blocks where it can be canceled: there may be room, but less
 * than for all, and then nobody would see the cancellation. */
static ssize_t write_some(struct encoder *encoder, const unsigned char *data, size_t length)
{
    struct iovec span = {.iov_base = (void *)data, .iov_len = length}; /* only read */
    ssize_t written;

    if (encoder->cancel_fd < 0)
        return write(encoder->fd, data, length);
    if (!encoder->has_no_nowait) {
        written = pwritev2(encoder->fd, &span, 1, -1, RWF_NOWAIT);
        if (written >= 0 || errno != EOPNOTSUPP)
            return written;
        encoder->has_no_nowait = true; /* pipes have it since Linux 6.4 */
    }
    return write(encoder->fd, data, length < ATOMIC ? length : ATOMIC);
}

static int write_all(struct encoder *encoder, const unsigned char *data, size_t length)
{
    while (length > 0) {
        int result = encoder->cancel_fd < 0 ? 0 : wait_until_writable(encoder);
        ssize_t written;

        if (result < 0)
            return result;
        written = write_some(encoder, data, length);
        if (written < 0 && (errno == EINTR || (errno == EAGAIN && encoder->cancel_fd >= 0)))
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

bool encoder_splices(const struct encoder *encoder)
{
    return encoder->is_pipe && encoder->compression == HOLD_COMPRESSION_NONE;
}

int encoder_splice(struct encoder *encoder, int from_fd, uint64_t *left)
{
    unsigned flags = encoder->cancel_fd < 0 ? 0 : SPLICE_F_NONBLOCK;

    while (*left > 0) {
        int result = encoder->cancel_fd < 0 ? 0 : wait_until_writable(encoder);
        ssize_t moved;

        if (result < 0)
            return result;
        moved = splice(from_fd, NULL, encoder->fd, NULL, *left, flags);
        if (moved < 0 && (errno == EINTR || (errno == EAGAIN && encoder->cancel_fd >= 0)))
            continue;
        if (moved <= 0)
            return moved < 0 ? -errno : -ESTALE;
        *left -= (uint64_t)moved;
        encoder->written += (uint64_t)moved;
    }
    return 0;
}
