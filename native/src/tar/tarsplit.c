#define _GNU_SOURCE
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fullwrite.h"
#include "tarsplit.h"

/* A segment holds at most PENDING bytes: readers concatenate them. */
enum { PENDING = 64 << 10, TEXT = 256 << 10, PACKED = 64 << 10 };

struct tarsplit {
    int fd;
    uint64_t position;
    size_t pending_length;
    size_t text_length;
    struct isal_zstream stream;
    unsigned char level_buffer[ISAL_DEF_LVL1_DEFAULT];
    unsigned char pending[PENDING];
    char text[TEXT];
    unsigned char packed[PACKED];
    char pairs[4096][2]; /* 12 bits as base64 */
};

struct tarsplit *tarsplit_new(int fd)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct tarsplit *split = malloc(sizeof *split);

    if (!split)
        return NULL;
    split->fd = fd;
    split->position = 0;
    split->pending_length = split->text_length = 0;
    for (int i = 0; i < 4096; i++) {
        split->pairs[i][0] = digits[i >> 6];
        split->pairs[i][1] = digits[i & 63];
    }
    isal_deflate_init(&split->stream);
    split->stream.level = 1;
    split->stream.level_buf = split->level_buffer;
    split->stream.level_buf_size = sizeof split->level_buffer;
    split->stream.gzip_flag = IGZIP_GZIP;
    return split;
}

void tarsplit_free(struct tarsplit *split)
{
    free(split);
}

static int deflate_text(struct tarsplit *split, bool is_last)
{
    struct isal_zstream *stream = &split->stream;
    int result;

    stream->next_in = (unsigned char *)split->text;
    stream->avail_in = (uint32_t)split->text_length;
    stream->end_of_stream = is_last;
    stream->flush = NO_FLUSH;
    do {
        stream->next_out = split->packed;
        stream->avail_out = PACKED;
        if (isal_deflate(stream) != COMP_OK)
            return -EIO;
        result = write_fully(split->fd, split->packed, PACKED - stream->avail_out, -1);
        if (result < 0)
            return result;
    } while (stream->avail_out == 0 ||
             (is_last && stream->internal_state.state != ZSTATE_END));
    split->text_length = 0;
    return 0;
}

/* Where `length` more bytes of text fit, or NULL; TEXT is more than any one piece. */
static char *text_space(struct tarsplit *split, size_t length, int *result)
{
    if (split->text_length + length > TEXT) {
        *result = deflate_text(split, false);
        if (*result < 0)
            return NULL;
    }
    return split->text + split->text_length;
}

static int put_text(struct tarsplit *split, const char *text)
{
    size_t length = strlen(text);
    int result = 0;
    char *to = text_space(split, length, &result);

    if (!to)
        return result;
    memcpy(to, text, length);
    split->text_length += length;
    return 0;
}

static char *encode_base64(const struct tarsplit *split, const unsigned char *data, size_t length,
                           char *to)
{
    for (; length >= 3; data += 3, length -= 3, to += 4) {
        memcpy(to, split->pairs[data[0] << 4 | data[1] >> 4], 2);
        memcpy(to + 2, split->pairs[(data[1] & 15) << 8 | data[2]], 2);
    }
    if (length > 0) {
        unsigned second = length > 1 ? data[1] : 0;

        memcpy(to, split->pairs[data[0] << 4 | second >> 4], 2);
        to[2] = length > 1 ? split->pairs[(second & 15) << 8][0] : '=';
        to[3] = '=';
        to += 4;
    }
    return to;
}

static int put_base64(struct tarsplit *split, const unsigned char *data, size_t length)
{
    /* In parts of whole triples, so that a name of any length fits. */
    const size_t part = 48 << 10;
    int result = 0;

    do {
        size_t now = length < part ? length : part;
        char *to = text_space(split, now / 3 * 4 + 4, &result);

        if (!to)
            return result;
        split->text_length = (size_t)(encode_base64(split, data, now, to) - split->text);
        data += now;
        length -= now;
    } while (length > 0);
    return 0;
}

static int put_number(struct tarsplit *split, uint64_t number)
{
    char digits[24];
    char *at = digits + sizeof digits - 1;

    *at = 0;
    do
        *--at = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return put_text(split, at);
}

static int end_line(struct tarsplit *split)
{
    int result = put_text(split, ",\"position\":");

    if (result == 0)
        result = put_number(split, split->position++);
    return result < 0 ? result : put_text(split, "}\n");
}

static int put_segment(struct tarsplit *split)
{
    int result;

    if (split->pending_length == 0)
        return 0;
    result = put_text(split, "{\"type\":2,\"payload\":\"");
    if (result == 0)
        result = put_base64(split, split->pending, split->pending_length);
    if (result == 0)
        result = put_text(split, "\"");
    split->pending_length = 0;
    return result < 0 ? result : end_line(split);
}

int tarsplit_bytes(struct tarsplit *split, const void *data, size_t length)
{
    const unsigned char *from = data;

    while (length > 0) {
        size_t now = PENDING - split->pending_length;

        if (now == 0) {
            int result = put_segment(split);

            if (result < 0)
                return result;
            continue;
        }
        if (now > length)
            now = length;
        memcpy(split->pending + split->pending_length, from, now);
        split->pending_length += now;
        from += now;
        length -= now;
    }
    return 0;
}

/* Length of the UTF-8 sequence at text, by the rules of Go's utf8.Valid; 0: it is none. */
static size_t utf8_length(const unsigned char *text)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (text[0] == 0xe0)
        low = 0xa0;
    else if (text[0] == 0xed)
        high = 0x9f;
    else if (text[0] == 0xf0)
        low = 0x90;
    else if (text[0] == 0xf4)
        high = 0x8f;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (text[i] < 0x80 || text[i] > 0xbf)
            return 0;
    return length;
}

static bool is_utf8(const char *name)
{
    const unsigned char *at = (const unsigned char *)name;

    while (*at) {
        size_t length = utf8_length(at);

        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

/* A JSON string as Go's encoder writes it, which also escapes what HTML would take amiss. */
static int put_string(struct tarsplit *split, const char *name)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)name;
    int result = 0;

    while (*at) {
        char *to = text_space(split, 6, &result);
        unsigned char c = *at;

        if (!to)
            return result;
        if (c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t') {
            to[0] = '\\';
            to[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : (char)c;
            split->text_length += 2;
        } else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
            memcpy(to, "\\u00", 4);
            to[4] = hex[c >> 4];
            to[5] = hex[c & 15];
            split->text_length += 6;
        } else if (c == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9)) {
            memcpy(to, at[2] == 0xa8 ? "\\u2028" : "\\u2029", 6);
            split->text_length += 6;
            at += 2;
        } else {
            to[0] = (char)c;
            split->text_length += 1;
        }
        at++;
    }
    return 0;
}

int tarsplit_member(struct tarsplit *split, const char *name, uint64_t size, uint64_t crc)
{
    unsigned char sum[8];
    int result = put_segment(split);

    if (result == 0)
        result = put_text(split, "{\"type\":1");
    if (result == 0 && *name && is_utf8(name)) {
        result = put_text(split, ",\"name\":\"");
        if (result == 0)
            result = put_string(split, name);
        if (result == 0)
            result = put_text(split, "\"");
    } else if (result == 0 && *name) {
        result = put_text(split, ",\"name_raw\":\"");
        if (result == 0)
            result = put_base64(split, (const unsigned char *)name, strlen(name));
        if (result == 0)
            result = put_text(split, "\"");
    }
    if (result == 0 && size > 0) {
        result = put_text(split, ",\"size\":");
        if (result == 0)
            result = put_number(split, size);
        for (int i = 0; i < 8; i++)
            sum[i] = (unsigned char)(crc >> (56 - 8 * i));
        if (result == 0)
            result = put_text(split, ",\"payload\":\"");
        if (result == 0)
            result = put_base64(split, sum, sizeof sum);
        if (result == 0)
            result = put_text(split, "\"");
    } else if (result == 0) {
        result = put_text(split, ",\"payload\":null");
    }
    return result < 0 ? result : end_line(split);
}

int tarsplit_end(struct tarsplit *split)
{
    int result = put_segment(split);

    return result < 0 ? result : deflate_text(split, true);
}
