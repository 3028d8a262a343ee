#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tarparse.h"

/* What an extended header or a long name may take, as in archive/tar. */
enum { SPECIAL = 1 << 20 };

/* Offsets and lengths of a header's fields. */
enum field {
    NAME = 0, MODE = 100, UID = 108, GID = 116, SIZE = 124, MTIME = 136, CHECKSUM = 148, TYPE = 156,
    LINK = 157, MAGIC = 257, MAJOR = 329, MINOR = 337, PREFIX = 345, ATIME = 345, CTIME = 357,
    STAR_ATIME = 476, STAR_TRAILER = 508
};

int tar_parser_init(struct tar_parser *parser, struct untar *untar)
{
    memset(parser, 0, sizeof *parser);
    parser->untar = untar;
    parser->pax = calloc(1, sizeof *parser->pax);
    return parser->pax ? 0 : -ENOMEM;
}

static void forget_special(struct tar_parser *parser)
{
    pax_clear(parser->pax);
    free(parser->long_name);
    free(parser->long_link);
    parser->long_name = parser->long_link = NULL;
}

void tar_parser_free(struct tar_parser *parser)
{
    if (parser->pax)
        forget_special(parser);
    free(parser->pax);
    free(parser->pieces);
}

int tar_damaged(struct tar_parser *parser, uint64_t offset, const char *reason)
{
    return untar_fail(parser->untar, -EBADMSG, offset, NULL, reason);
}

int tar_keep(struct tar_parser *parser, uint64_t length)
{
    struct untar *untar = parser->untar;
    struct iovec spans[2];
    int result = 0;

    while (length > 0 && result == 0) {
        size_t now = length < SPECIAL ? (size_t)length : SPECIAL;

        result = ring_need(untar, parser->position + now);
        if (result < 0)
            return result;
        if (result == 0)
            return tar_damaged(parser, parser->position, TAR_SHORT);
        result = 0;
        if (untar->split) {
            int count = ring_spans(untar, parser->position, now, spans);

            for (int i = 0; i < count && result == 0; i++)
                result = tarsplit_bytes(untar->split, spans[i].iov_base, spans[i].iov_len);
            if (result < 0)
                return untar_fail_errno(untar, result, parser->position, NULL, "write tar-split");
        }
        parser->position += now;
        length -= now;
        ring_parsed(untar, parser->position);
    }
    return result;
}

/* Up to the end of the field or its first NUL. */
static size_t text_length(const unsigned char *header, int field, size_t length)
{
    return strnlen((const char *)header + field, length);
}

static bool parse_octal(const unsigned char *field, size_t length, int64_t *number)
{
    uint64_t value = 0;

    for (; length > 0 && (*field == ' ' || *field == 0); field++)
        length--;
    for (; length > 0 && (field[length - 1] == ' ' || field[length - 1] == 0);)
        length--;
    for (; length > 0 && *field != 0; field++, length--) {
        if (*field < '0' || *field > '7' || value >> 61)
            return false;
        value = value << 3 | (uint64_t)(*field - '0');
    }
    *number = (int64_t)value;
    return true;
}

/* Octal, or base 256 in two's complement if the first bit is set. */
static bool parse_number(const unsigned char *header, int at, size_t length, int64_t *number)
{
    const unsigned char *field = header + at;
    unsigned char inverted;
    uint64_t value = 0;

    if (!(field[0] & 0x80))
        return parse_octal(field, length, number);
    inverted = field[0] & 0x40 ? 0xff : 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = field[i] ^ inverted;

        if (i == 0)
            c &= 0x7f;
        if (value >> 56)
            return false;
        value = value << 8 | c;
    }
    if (value >> 63)
        return false;
    *number = inverted ? ~(int64_t)value : (int64_t)value;
    return true;
}

/* The sum of all bytes, with blanks in the place of the sum itself. */
static bool has_checksum(const unsigned char *header)
{
    uint32_t sum = 8 * ' ';
    int64_t stored;

    if (!parse_octal(header + CHECKSUM, 8, &stored))
        return false;
    for (int i = 0; i < BLOCK; i++)
        sum += header[i];
    for (int i = CHECKSUM; i < CHECKSUM + 8; i++)
        sum -= header[i];
    if (stored == (int64_t)sum)
        return true;
    /* Old programs took the bytes for signed ones. */
    for (int i = 0; i < BLOCK; i++)
        if ((i < CHECKSUM || i >= CHECKSUM + 8) && header[i] & 0x80)
            sum -= 256;
    return stored == (int64_t)(int32_t)sum;
}

static bool is_zero(const unsigned char *block)
{
    return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0;
}

static bool is_ascii(const unsigned char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] >= 0x80)
            return false;
    return true;
}

static void join_prefix(struct tar_parser *parser, const unsigned char *prefix, size_t length)
{
    size_t name_length = strlen(parser->name);

    if (length == 0)
        return;
    memmove(parser->name + length + 1, parser->name, name_length + 1);
    memcpy(parser->name, prefix, length);
    parser->name[length] = '/';
}

static bool parse_gnu_times(const unsigned char *header, struct tar_member *member)
{
    int64_t seconds;

    if (header[ATIME] != 0) {
        if (!parse_number(header, ATIME, 12, &seconds))
            return false;
        member->atime.tv_sec = seconds;
        member->has_atime = true;
    }
    return header[CTIME] == 0 || parse_number(header, CTIME, 12, &seconds);
}

/* What the header itself says, in any of the formats. */
static bool parse_header(struct tar_parser *parser, const unsigned char *header,
                         struct tar_member *member)
{
    const char *magic = (const char *)header + MAGIC;
    int64_t seconds;
    size_t length;

    *member = (struct tar_member){.offset = member->offset, .type = (char)header[TYPE]};
    length = text_length(header, NAME, 100);
    memcpy(parser->name, header + NAME, length);
    parser->name[length] = 0;
    length = text_length(header, LINK, 100);
    memcpy(parser->link, header + LINK, length);
    parser->link[length] = 0;
    member->name = parser->name;
    member->link = parser->link;
    if (!parse_number(header, MODE, 8, &member->mode) ||
        !parse_number(header, UID, 8, &member->uid) ||
        !parse_number(header, GID, 8, &member->gid) ||
        !parse_number(header, SIZE, 12, &member->size) ||
        !parse_number(header, MTIME, 12, &seconds))
        return false;
    member->mtime.tv_sec = seconds;
    if (memcmp(magic, "ustar\0", 6) != 0 && memcmp(magic, "ustar  \0", 8) != 0)
        return true; /* v7 */
    if (!parse_number(header, MAJOR, 8, &member->major) ||
        !parse_number(header, MINOR, 8, &member->minor))
        return false;
    if (magic[5] == ' ') {
        if (parse_gnu_times(header, member))
            return true;
        /* Go before 1.8 wrote a prefix there. */
        member->has_atime = false;
        member->atime = (struct timespec){0};
        length = text_length(header, PREFIX, 155);
        if (is_ascii(header + PREFIX, length))
            join_prefix(parser, header + PREFIX, length);
    } else if (memcmp(header + STAR_TRAILER, "tar\0", 4) == 0) {
        join_prefix(parser, header + PREFIX, text_length(header, PREFIX, 131));
        if (!parse_number(header, STAR_ATIME, 12, &seconds))
            return false;
        member->atime.tv_sec = seconds;
        member->has_atime = true;
    } else {
        join_prefix(parser, header + PREFIX, text_length(header, PREFIX, 155));
    }
    return true;
}

/* 1 with a header at position, which has been passed on; 0 at the end of the archive. */
static int read_header(struct tar_parser *parser, struct tar_member *member)
{
    struct untar *untar = parser->untar;
    const unsigned char *header;
    bool was_zero = false;
    int result;

    for (;;) {
        result = ring_need(untar, parser->position + BLOCK);
        if (result < 0)
            return result;
        if (result == 0) {
            if (untar->available == parser->position)
                return 0; /* end blocks may be missing */
            return tar_damaged(parser, parser->position, TAR_SHORT);
        }
        header = untar->ring + parser->position % untar->ring_size;
        if (!is_zero(header))
            break;
        result = tar_keep(parser, BLOCK);
        if (result < 0 || was_zero)
            return result;
        was_zero = true;
        untar->result->has_end = 1;
    }
    if (was_zero || !has_checksum(header) || !parse_header(parser, header, member))
        return tar_damaged(parser, parser->position, TAR_INVALID);
    result = tar_keep(parser, BLOCK);
    return result < 0 ? result : 1;
}

static bool has_payload(char type)
{
    return !strchr("123456", type);
}

/* The data of an extended header or a long name, NUL-ended; it has been passed on. */
static int read_special(struct tar_parser *parser, const struct tar_member *member, char **data)
{
    size_t length;
    int result;

    if (member->size > SPECIAL)
        return tar_damaged(parser, member->offset, "archive/tar: header field too long");
    length = (size_t)member->size;
    result = ring_need(parser->untar, parser->position + length);
    if (result < 0)
        return result;
    if (result == 0)
        return tar_damaged(parser, member->offset, TAR_SHORT);
    *data = malloc(length + 1);
    if (!*data)
        return untar_fail(parser->untar, -ENOMEM, member->offset, NULL, "no memory for a header");
    ring_copy(parser->untar, parser->position, length, *data);
    (*data)[length] = 0;
    result = tar_keep(parser, length);
    if (result < 0) {
        free(*data);
        *data = NULL;
    }
    return result;
}

/* Take in a header that only describes the next one ('x', 'L', 'K') or none ('g'). */
static int read_extension(struct tar_parser *parser, struct tar_member *member)
{
    char *data = NULL;
    int result = read_special(parser, member, &data);

    if (result < 0)
        return result;
    if (member->type == 'L') {
        free(parser->long_name);
        parser->long_name = data;
    } else if (member->type == 'K') {
        free(parser->long_link);
        parser->long_link = data;
    } else {
        result = pax_parse(parser->pax, data, (size_t)member->size);
    }
    if (result == 0 && member->type == 'g')
        result = pax_merge(parser->pax, member);
    if (result == -EBADMSG)
        return tar_damaged(parser, member->offset, TAR_INVALID);
    if (result < 0)
        return untar_fail(parser->untar, result, member->offset, NULL, "no memory for a header");
    return 0;
}

static int finish_member(struct tar_parser *parser, struct tar_member *member)
{
    if (pax_merge(parser->pax, member) < 0)
        return tar_damaged(parser, member->offset, TAR_INVALID);
    if (parser->long_name && *parser->long_name)
        member->name = parser->long_name;
    if (parser->long_link && *parser->long_link)
        member->link = parser->long_link;
    if (member->type == 0) {
        size_t length = strlen(member->name);

        member->type = length > 0 && member->name[length - 1] == '/' ? '5' : '0';
    }
    member->payload = has_payload(member->type) ? member->size : 0;
    if (member->payload < 0)
        return tar_damaged(parser, member->offset, TAR_INVALID);
    parser->padding = (size_t)(-member->payload & (BLOCK - 1));
    return tar_sparse(parser, member);
}

/* Padding that is cut off at the end of the stream is no fault. 1, or 0 at that end. */
static int skip_padding(struct tar_parser *parser)
{
    uint64_t end = parser->position + parser->padding;
    int result = ring_need(parser->untar, end);
    bool is_short = result == 0;

    if (is_short)
        parser->padding = (size_t)(parser->untar->available - parser->position);
    if (result >= 0)
        result = tar_keep(parser, parser->padding);
    parser->padding = 0;
    return result < 0 ? result : !is_short;
}

int tar_next(struct tar_parser *parser, struct tar_member *member)
{
    uint64_t offset;
    int result;

    forget_special(parser);
    for (bool is_first = true;; is_first = false) {
        result = skip_padding(parser);
        if (result <= 0)
            return result;
        if (is_first)
            offset = parser->position;
        member->offset = offset;
        result = read_header(parser, member);
        if (result <= 0)
            return result;
        if (!strchr("xgLK", member->type) || member->type == 0) {
            result = finish_member(parser, member);
            return result < 0 ? result : 1;
        }
        if (member->size < 0)
            return tar_damaged(parser, offset, TAR_INVALID);
        parser->padding = (size_t)(-member->size & (BLOCK - 1));
        result = read_extension(parser, member);
        if (result < 0)
            return result;
        if (member->type == 'g') {
            member->mode = member->uid = member->gid = member->size = member->payload = 0;
            member->xattrs_length = 0;
            return 1;
        }
    }
}

int tar_rest(struct tar_parser *parser)
{
    struct untar *untar = parser->untar;

    for (;;) {
        int result = ring_need(untar, parser->position + 1);

        if (result <= 0)
            return result;
        result = tar_keep(parser, untar->available - parser->position);
        if (result < 0)
            return result;
    }
}
