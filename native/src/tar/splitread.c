#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "splitread.h"

/* Go makes segments of up to 1 MiB and puts no limit to extended headers. */
enum { INPUT = 128 << 10, TEXT = 512 << 10, LONGEST = 64 << 20 };

struct split_reader {
    int fd;
    struct decoder *decoder;
    bool is_end;
    const unsigned char *in;
    size_t in_left;
    char *text; /* decompressed, of which [at, length) is still to be read */
    size_t room, at, length;
    signed char digits[256];
    unsigned char input[INPUT];
};

struct split_reader *split_reader_new(int fd)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct split_reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        return NULL;
    reader->fd = fd;
    reader->room = TEXT;
    reader->text = malloc(reader->room + 1);
    reader->decoder = decoder_new(HOLD_COMPRESSION_GZIP);
    memset(reader->digits, -1, sizeof reader->digits);
    for (int i = 0; i < 64; i++)
        reader->digits[(unsigned char)digits[i]] = (signed char)i;
    if (!reader->text || !reader->decoder) {
        split_reader_free(reader);
        return NULL;
    }
    return reader;
}

void split_reader_free(struct split_reader *reader)
{
    if (!reader)
        return;
    decoder_free(reader->decoder);
    free(reader->text);
    free(reader);
}

/* Some more text at the end of what there is. 1, 0 at the end, or -errno. */
static int read_more(struct split_reader *reader)
{
    size_t before = reader->length;
    const char *reason;

    while (reader->length == before) {
        unsigned char *to = (unsigned char *)reader->text + reader->length;
        size_t left = reader->room - reader->length;
        int result;

        if (reader->in_left == 0 && !reader->is_end) {
            ssize_t count = read(reader->fd, reader->input, INPUT);

            if (count < 0 && errno == EINTR)
                continue;
            if (count < 0)
                return -errno;
            reader->in = reader->input;
            reader->in_left = (size_t)count;
            reader->is_end = count == 0;
        }
        result = decode(reader->decoder, &reader->in, &reader->in_left, &to, &left, reader->is_end,
                        &reason);
        if (result < 0)
            return result;
        reader->length = reader->room - left;
        if (reader->is_end && reader->in_left == 0 && reader->length == before)
            return decoder_may_end(reader->decoder) ? 0 : -EBADMSG;
    }
    return 1;
}

/* A whole line, without its end, NUL-ended. 1, 0 at the end, or -errno. */
static int read_line(struct split_reader *reader, char **line)
{
    size_t seen = 0;

    for (;;) {
        char *begin = reader->text + reader->at;
        size_t there = reader->length - reader->at;
        char *end = memchr(begin + seen, '\n', there - seen);
        int result;

        if (end) {
            *end = 0;
            reader->at = (size_t)(end + 1 - reader->text);
            *line = begin;
            return 1;
        }
        seen = there;
        memmove(reader->text, begin, there);
        reader->at = 0;
        reader->length = there;
        if (reader->length == reader->room) {
            size_t room = reader->room * 2;
            char *text = room <= LONGEST ? realloc(reader->text, room + 1) : NULL;

            if (!text)
                return room <= LONGEST ? -ENOMEM : -EBADMSG;
            reader->text = text;
            reader->room = room;
        }
        result = read_more(reader);
        if (result < 0)
            return result;
        if (result == 0 && there == 0)
            return 0;
        if (result == 0) /* a last line without an end */
            reader->text[reader->length++] = '\n';
    }
}

static char *skip_space(char *at)
{
    while (*at == ' ' || *at == '\t' || *at == '\r')
        at++;
    return at;
}

static int hex_value(const char *at)
{
    int value = 0;

    for (int i = 0; i < 4; i++) {
        char c = at[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            value = value << 4 | ((c | 32) - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static char *put_utf8(char *to, unsigned code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* What follows \u at *at, which moves behind it; a half of a pair alone is U+FFFD. */
static int unicode_escape(char **at, unsigned *code)
{
    int first = hex_value(*at), second;

    if (first < 0)
        return -EBADMSG;
    *at += 4;
    *code = (unsigned)first;
    if (first < 0xd800 || first > 0xdfff)
        return 0;
    *code = 0xfffd;
    if (first < 0xdc00 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        second = hex_value(*at + 2);
        if (second >= 0xdc00 && second <= 0xdfff) {
            *code = 0x10000 + (((unsigned)first & 0x3ff) << 10) + ((unsigned)second & 0x3ff);
            *at += 6;
        }
    }
    return 0;
}

/* The string at *at, in place; *at moves behind it. */
static int parse_string(char **at, char **string, size_t *length)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    char *from = *at, *to;
    unsigned code;

    if (*from++ != '"')
        return -EBADMSG;
    *string = from;
    from += strcspn(from, "\"\\");
    for (to = from; *from != '"';) {
        const char *escape;

        if (*from == 0)
            return -EBADMSG;
        if (*from != '\\') {
            *to++ = *from++;
            continue;
        }
        from++;
        if (*from == 'u') {
            from++;
            if (unicode_escape(&from, &code) < 0)
                return -EBADMSG;
            to = put_utf8(to, code);
            continue;
        }
        escape = *from ? strchr(escapes, *from) : NULL;
        if (!escape)
            return -EBADMSG;
        *to++ = meant[escape - escapes];
        from++;
    }
    *at = from + 1;
    *to = 0;
    *length = (size_t)(to - *string);
    return 0;
}

/* In place; the length, or -EBADMSG. */
static int decode_base64(const struct split_reader *reader, char *text, size_t length,
                         size_t *decoded)
{
    const unsigned char *from = (const unsigned char *)text;
    unsigned char *to = (unsigned char *)text;
    const signed char *digits = reader->digits;

    if (length % 4 != 0)
        return -EBADMSG;
    while (length > 0) {
        int a = digits[from[0]], b = digits[from[1]], c = digits[from[2]], d = digits[from[3]];

        if ((a | b | c | d) < 0) {
            if (length != 4 || (a | b) < 0 || from[3] != '=' || (c < 0 && from[2] != '='))
                return -EBADMSG;
            *to++ = (unsigned char)(a << 2 | b >> 4);
            if (c >= 0)
                *to++ = (unsigned char)((b & 15) << 4 | c >> 2);
            break;
        }
        to[0] = (unsigned char)(a << 2 | b >> 4);
        to[1] = (unsigned char)((b & 15) << 4 | c >> 2);
        to[2] = (unsigned char)((c & 3) << 6 | d);
        from += 4;
        to += 3;
        length -= 4;
    }
    *decoded = (size_t)((char *)to - text);
    *to = 0; /* there is room: four digits are three bytes */
    return 0;
}

struct line {
    char *name, *raw_name, *payload;
    size_t name_length, raw_length, payload_length;
    uint64_t type, size;
};

static int parse_value(char **at, const char *key, struct line *line)
{
    char *value = *at, *ignored, *end;
    size_t length;

    if (*value == '"') {
        if (strcmp(key, "name") == 0)
            return parse_string(at, &line->name, &line->name_length);
        if (strcmp(key, "name_raw") == 0)
            return parse_string(at, &line->raw_name, &line->raw_length);
        if (strcmp(key, "payload") == 0)
            return parse_string(at, &line->payload, &line->payload_length);
        return parse_string(at, &ignored, &length);
    }
    if (strncmp(value, "null", 4) == 0) {
        *at = value + 4;
        return 0;
    }
    if (*value < '0' || *value > '9')
        return -EBADMSG;
    errno = 0;
    if (strcmp(key, "type") == 0)
        line->type = strtoull(value, &end, 10);
    else if (strcmp(key, "size") == 0)
        line->size = strtoull(value, &end, 10);
    else
        (void)strtoull(value, &end, 10);
    *at = end;
    return errno ? -EBADMSG : 0;
}

static int parse_line(char *at, struct line *line)
{
    char *key;
    size_t length;

    memset(line, 0, sizeof *line);
    at = skip_space(at);
    if (*at++ != '{')
        return -EBADMSG;
    for (;;) {
        at = skip_space(at);
        if (parse_string(&at, &key, &length) < 0)
            return -EBADMSG;
        at = skip_space(at);
        if (*at++ != ':')
            return -EBADMSG;
        at = skip_space(at);
        if (parse_value(&at, key, line) < 0)
            return -EBADMSG;
        at = skip_space(at);
        if (*at == '}')
            return *skip_space(at + 1) == 0 ? 0 : -EBADMSG;
        if (*at++ != ',')
            return -EBADMSG;
    }
}

static int fill_file(const struct split_reader *reader, const struct line *line,
                     const unsigned char *payload, size_t length, struct split_entry *entry)
{
    size_t name_length = line->name_length;

    entry->is_file = true;
    entry->name = line->name ? line->name : "";
    entry->size = line->size;
    if (!line->name && line->raw_name) {
        if (decode_base64(reader, line->raw_name, line->raw_length, &name_length) < 0)
            return -EBADMSG;
        entry->name = line->raw_name;
    }
    if (strlen(entry->name) != name_length)
        return -EBADMSG;
    if (line->size == 0)
        return 1;
    if (length != 8)
        return -EBADMSG;
    for (int i = 0; i < 8; i++)
        entry->crc = entry->crc << 8 | payload[i];
    return 1;
}

int split_read(struct split_reader *reader, struct split_entry *entry)
{
    struct line line;
    char *text;
    size_t length = 0;
    int result;

    memset(entry, 0, sizeof *entry);
    do {
        result = read_line(reader, &text);
        if (result <= 0)
            return result;
        text = skip_space(text);
    } while (*text == 0);
    if (parse_line(text, &line) < 0 ||
        (line.payload && decode_base64(reader, line.payload, line.payload_length, &length) < 0))
        return -EBADMSG;
    if (line.type == 1)
        return fill_file(reader, &line, (unsigned char *)line.payload, length, entry);
    if (line.type != 2)
        return -EBADMSG;
    entry->bytes = (unsigned char *)line.payload;
    entry->length = length;
    return 1;
}
