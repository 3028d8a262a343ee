#define _GNU_SOURCE
#include <bzlib.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "decode.h"

/* What a window may take. xz -9 asks for 64 MiB, zstd --long for 128; the Go tools decode zstd's of
 * up to 512 MiB, and so do we. */
enum { XZ_MEMORY = 256 << 20, ZSTD_WINDOW_LOG = 29 };

struct decoder {
    enum hold_compression compression;
    bool is_between; /* at the beginning, or behind a member that is complete */
    bool is_used;    /* the state below was initialised */
    struct inflate_state gzip;
    ZSTD_DStream *zstd;
    lzma_stream xz;
    bz_stream bzip2;
};

enum hold_compression decode_detect(const unsigned char *data, size_t length)
{
    static const struct {
        enum hold_compression compression;
        size_t length;
        const char *magic;
    } known[] = {
        {HOLD_COMPRESSION_BZIP2, 3, "BZh"},
        {HOLD_COMPRESSION_GZIP, 3, "\x1f\x8b\x08"},
        {HOLD_COMPRESSION_XZ, 6, "\xfd\x37zXZ"},
        {HOLD_COMPRESSION_ZSTD, 4, "\x28\xb5\x2f\xfd"},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (length >= known[i].length && memcmp(data, known[i].magic, known[i].length) == 0)
            return known[i].compression;
    return HOLD_COMPRESSION_NONE;
}

uint64_t decode_zstd_window(const unsigned char *data, size_t length)
{
    /* RFC 8878, 3.1.1.1: the descriptor, and by its bits the window or the size of everything. */
    static const size_t dictionary[] = {0, 1, 2, 4}, sizes[] = {1, 2, 4, 8};
    uint64_t size = 0, base;
    size_t at, count;

    if (length < DECODE_MAGIC)
        return 0;
    if (!(data[4] & 0x20)) {
        base = (uint64_t)1 << (10 + (data[5] >> 3));
        return base + base / 8 * (data[5] & 7);
    }
    at = 5 + dictionary[data[4] & 3];
    count = sizes[data[4] >> 6];
    for (size_t i = 0; i < count && at + i < length; i++)
        size |= (uint64_t)data[at + i] << (8 * i);
    return size;
}

struct decoder *decoder_new(enum hold_compression compression)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);

    if (!decoder)
        return NULL;
    decoder->compression = compression;
    decoder->is_between = true;
    if (compression == HOLD_COMPRESSION_ZSTD) {
        decoder->zstd = ZSTD_createDStream();
        if (!decoder->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax,
                                                ZSTD_WINDOW_LOG))) {
            decoder_free(decoder);
            return NULL;
        }
    }
    return decoder;
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return;
    ZSTD_freeDStream(decoder->zstd);
    lzma_end(&decoder->xz);
    if (decoder->compression == HOLD_COMPRESSION_BZIP2 && decoder->is_used)
        BZ2_bzDecompressEnd(&decoder->bzip2);
    free(decoder);
}

bool decoder_may_end(const struct decoder *decoder)
{
    return decoder->is_between;
}

static int damaged(const char **reason, const char *text)
{
    *reason = text;
    return -EBADMSG;
}

static int decode_gzip(struct decoder *decoder, const unsigned char **in, size_t *in_left,
                       unsigned char **to, size_t *to_left, const char **reason)
{
    struct inflate_state *state = &decoder->gzip;
    int result;

    if (decoder->is_between) {
        if (*in_left == 0)
            return 0;
        if (decoder->is_used) {
            isal_inflate_reset(state);
        } else {
            isal_inflate_init(state);
            decoder->is_used = true;
        }
        state->crc_flag = ISAL_GZIP;
        decoder->is_between = false;
    }
    state->next_in = (unsigned char *)*in; /* only read */
    state->avail_in = (uint32_t)*in_left;
    state->next_out = *to;
    state->avail_out = (uint32_t)*to_left;
    result = isal_inflate(state);
    *in = state->next_in;
    *in_left = state->avail_in;
    *to = state->next_out;
    *to_left = state->avail_out;
    if (result == ISAL_INVALID_WRAPPER || result == ISAL_UNSUPPORTED_METHOD)
        return damaged(reason, "gzip: invalid header");
    if (result == ISAL_INCORRECT_CHECKSUM)
        return damaged(reason, "gzip: invalid checksum");
    if (result < 0)
        return damaged(reason, "flate: corrupt input");
    decoder->is_between = state->block_state == ISAL_BLOCK_FINISH;
    return 0;
}

static int decode_zstd(struct decoder *decoder, const unsigned char **in, size_t *in_left,
                       unsigned char **to, size_t *to_left, const char **reason)
{
    ZSTD_inBuffer input = {.src = *in, .size = *in_left};
    ZSTD_outBuffer output = {.dst = *to, .size = *to_left};
    size_t result = ZSTD_decompressStream(decoder->zstd, &output, &input);

    *in += input.pos;
    *in_left -= input.pos;
    *to += output.pos;
    *to_left -= output.pos;
    if (ZSTD_isError(result))
        return damaged(reason, ZSTD_getErrorName(result));
    if (input.pos > 0 || output.pos > 0)
        decoder->is_between = result == 0;
    return 0;
}

static int decode_xz(struct decoder *decoder, const unsigned char **in, size_t *in_left,
                     unsigned char **to, size_t *to_left, bool is_end, const char **reason)
{
    lzma_ret result;

    if (!decoder->is_used) {
        if (lzma_stream_decoder(&decoder->xz, XZ_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
            return -ENOMEM;
        decoder->is_used = true;
        decoder->is_between = false;
    }
    decoder->xz.next_in = *in;
    decoder->xz.avail_in = *in_left;
    decoder->xz.next_out = *to;
    decoder->xz.avail_out = *to_left;
    result = lzma_code(&decoder->xz, is_end ? LZMA_FINISH : LZMA_RUN);
    *in = decoder->xz.next_in;
    *in_left = decoder->xz.avail_in;
    *to = decoder->xz.next_out;
    *to_left = decoder->xz.avail_out;
    if (result == LZMA_STREAM_END)
        decoder->is_between = true;
    else if (result == LZMA_MEM_ERROR)
        return -ENOMEM;
    else if (result == LZMA_MEMLIMIT_ERROR)
        return damaged(reason, "xz: the window is larger than 256 MiB");
    else if (result != LZMA_OK && result != LZMA_BUF_ERROR)
        return damaged(reason, "xz: data is corrupt");
    return 0;
}

static int decode_bzip2(struct decoder *decoder, const unsigned char **in, size_t *in_left,
                        unsigned char **to, size_t *to_left, const char **reason)
{
    int result;

    if (decoder->is_between) {
        if (*in_left == 0)
            return 0;
        if (decoder->is_used)
            BZ2_bzDecompressEnd(&decoder->bzip2);
        memset(&decoder->bzip2, 0, sizeof decoder->bzip2);
        decoder->is_used = BZ2_bzDecompressInit(&decoder->bzip2, 0, 0) == BZ_OK;
        if (!decoder->is_used)
            return -ENOMEM;
        decoder->is_between = false;
    }
    decoder->bzip2.next_in = (char *)(size_t)*in; /* only read */
    decoder->bzip2.avail_in = (unsigned)*in_left;
    decoder->bzip2.next_out = (char *)*to;
    decoder->bzip2.avail_out = (unsigned)*to_left;
    result = BZ2_bzDecompress(&decoder->bzip2);
    *in += *in_left - decoder->bzip2.avail_in;
    *in_left = decoder->bzip2.avail_in;
    *to += *to_left - decoder->bzip2.avail_out;
    *to_left = decoder->bzip2.avail_out;
    if (result == BZ_MEM_ERROR)
        return -ENOMEM;
    if (result != BZ_OK && result != BZ_STREAM_END)
        return damaged(reason, "bzip2 data invalid");
    decoder->is_between = result == BZ_STREAM_END;
    return 0;
}

int decode(struct decoder *decoder, const unsigned char **in, size_t *in_left, unsigned char **to,
           size_t *to_left, bool is_end, const char **reason)
{
    switch (decoder->compression) {
    case HOLD_COMPRESSION_GZIP:
        return decode_gzip(decoder, in, in_left, to, to_left, reason);
    case HOLD_COMPRESSION_ZSTD:
        return decode_zstd(decoder, in, in_left, to, to_left, reason);
    case HOLD_COMPRESSION_XZ:
        return decode_xz(decoder, in, in_left, to, to_left, is_end, reason);
    case HOLD_COMPRESSION_BZIP2:
        return decode_bzip2(decoder, in, in_left, to, to_left, reason);
    case HOLD_COMPRESSION_NONE:
        break;
    }
    return -EINVAL;
}
