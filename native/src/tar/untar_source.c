#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "decode.h"
#include "untar.h"

/* The ring is less where a window takes the memory, and decompression the time. */
enum { INPUT = 256 << 10, PIPE = 1 << 20, RING = 32 << 20, SLOW_RING = 8 << 20,
       LARGE_WINDOW = 32 << 20 };

struct source {
    struct untar *untar;
    EVP_MD_CTX *digest; /* of what is read; NULL where that is the tar itself */
    unsigned char *input;
};

/* Wait until the source can be read. 0, or -ECANCELED, or the failure of somebody else. */
static int wait_source(const struct untar *untar)
{
    struct pollfd polled[] = {
        {.fd = untar->options->source_fd, .events = POLLIN},
        {.fd = untar->stop_fd, .events = POLLIN},
        {.fd = untar->options->cancel_fd, .events = POLLIN}, /* negative ones are passed over */
    };

    while (poll(polled, 3, -1) < 0)
        if (errno != EINTR)
            return -errno;
    return polled[1].revents || polled[2].revents ? -ECANCELED : 0;
}

/* As read(2), counted and hashed. */
static ssize_t read_source(struct source *source, unsigned char *to, size_t length)
{
    struct untar *untar = source->untar;
    ssize_t count;

    do {
        int result = wait_source(untar);

        if (result < 0)
            return result;
        count = read(untar->options->source_fd, to, length);
    } while (count < 0 && (errno == EINTR || errno == EAGAIN));
    if (count < 0)
        return -errno;
    if (source->digest && !EVP_DigestUpdate(source->digest, to, (size_t)count))
        return -ENOMEM;
    __atomic_store_n(&untar->result->compressed_size,
                     untar->result->compressed_size + (uint64_t)count, __ATOMIC_RELAXED);
    return count;
}

static int fail_source(struct untar *untar, int error, const char *reason)
{
    if (error == -ECANCELED)
        reason = "canceled";
    return reason ? untar_fail(untar, error, untar->written, NULL, reason)
                  : untar_fail_errno(untar, error, untar->written, NULL, "read the stream");
}

static int read_plain(struct source *source, size_t length)
{
    struct untar *untar = source->untar;
    ssize_t count = (ssize_t)length;
    unsigned char *to;
    size_t room;
    int result = ring_space(untar, &to, &room);

    if (result == 0)
        memcpy(to, source->input, length); /* what was read to know the format */
    while (result == 0 && count > 0) {
        ring_written(untar, (size_t)count);
        result = ring_space(untar, &to, &room);
        if (result < 0)
            break;
        count = read_source(source, to, room);
        if (count < 0)
            return fail_source(untar, (int)count, NULL);
    }
    return result;
}

static int read_compressed(struct source *source, struct decoder *decoder, size_t length)
{
    struct untar *untar = source->untar;
    const unsigned char *in = source->input;
    const char *reason = NULL;
    bool is_end = length == 0;
    unsigned char *to;
    size_t room, left;
    int result;

    for (;;) {
        if (length == 0 && !is_end) {
            ssize_t count = read_source(source, source->input, INPUT);

            if (count < 0)
                return fail_source(untar, (int)count, NULL);
            in = source->input;
            length = (size_t)count;
            is_end = count == 0;
        }
        result = ring_space(untar, &to, &room);
        if (result < 0)
            return result;
        left = room;
        result = decode(decoder, &in, &length, &to, &left, is_end, &reason);
        if (room > left)
            ring_written(untar, room - left);
        if (result < 0)
            return fail_source(untar, result, reason);
        if (is_end && length == 0 && left > 0) {
            if (decoder_may_end(decoder))
                return 0;
            if (left == room)
                return fail_source(untar, -EBADMSG, "unexpected EOF");
        }
    }
}

static size_t ring_size(enum hold_compression compression, const unsigned char *data,
                        size_t length)
{
    bool is_slow = compression == HOLD_COMPRESSION_XZ || compression == HOLD_COMPRESSION_BZIP2;
    bool is_large = compression == HOLD_COMPRESSION_ZSTD &&
                    decode_zstd_window(data, length) >= LARGE_WINDOW;

    return is_slow || is_large ? SLOW_RING : RING;
}

static int read_all(struct source *source)
{
    struct untar *untar = source->untar;
    enum hold_compression compression;
    struct decoder *decoder;
    size_t length = 0;
    ssize_t count = 1;
    int result;

    while (length < DECODE_MAGIC && count > 0) {
        count = read_source(source, source->input + length, INPUT - length);
        if (count < 0)
            return fail_source(untar, (int)count, NULL);
        length += (size_t)count;
    }
    compression = decode_detect(source->input, length);
    untar->result->compression = (int)compression;
    result = ring_make(untar, ring_size(compression, source->input, length));
    if (result < 0)
        return fail_source(untar, result, "no memory for the ring");
    if (compression == HOLD_COMPRESSION_NONE) {
        EVP_MD_CTX_free(source->digest); /* it is that of the tar, which the hasher takes */
        source->digest = NULL;
        return read_plain(source, length);
    }
    decoder = decoder_new(compression);
    if (!decoder)
        return fail_source(untar, -ENOMEM, "no memory to decompress");
    result = read_compressed(source, decoder, length);
    decoder_free(decoder);
    return result;
}

void *reader_main(void *argument)
{
    struct source source = {.untar = argument};

    source.input = malloc(INPUT);
    source.digest = EVP_MD_CTX_new();
    /* Only a pipe has this size, and an unprivileged user may be over a limit. */
    (void)fcntl(source.untar->options->source_fd, F_SETPIPE_SZ, PIPE);
    if (!source.input || !source.digest ||
        !EVP_DigestInit_ex(source.digest, EVP_sha256(), NULL))
        untar_fail(source.untar, -ENOMEM, 0, NULL, "no memory for a digest");
    else if (read_all(&source) == 0 && source.digest &&
             !EVP_DigestFinal_ex(source.digest, source.untar->result->compressed_sha256, NULL))
        untar_fail(source.untar, -ENOMEM, 0, NULL, "cannot compute a digest");
    ring_end(source.untar);
    EVP_MD_CTX_free(source.digest);
    free(source.input);
    return NULL;
}
