#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tarparse.h"

/* What a map of version 1.0 may take in the payload, as in the newest archive/tar. */
enum { MAP_BYTES = 1 << 20 };

static int add_piece(struct tar_parser *parser, struct tar_member *member, int64_t offset,
                     int64_t length)
{
    if (member->pieces_length == parser->pieces_room) {
        size_t room = parser->pieces_room ? parser->pieces_room * 2 : 64;
        struct sparse_piece *pieces = realloc(parser->pieces, room * sizeof *pieces);

        if (!pieces)
            return -ENOMEM;
        parser->pieces = pieces;
        parser->pieces_room = room;
    }
    member->pieces = parser->pieces;
    parser->pieces[member->pieces_length++] =
        (struct sparse_piece){.offset = offset, .length = length};
    return 0;
}

/* One number of "1,2,3"; *text moves behind it and its comma. */
static bool take_number(const char **text, int64_t *number)
{
    const char *comma = strchrnul(*text, ',');
    bool is_number = parse_decimal(*text, (size_t)(comma - *text), number);

    *text = *comma ? comma + 1 : NULL;
    return is_number;
}

static int read_map_0(struct tar_parser *parser, struct tar_member *member)
{
    const struct pax *pax = parser->pax;
    const char *at = pax->sparse_map ? pax->sparse_map : "";
    int64_t count, offset, length;

    if (!pax->sparse_blocks || !parse_decimal(pax->sparse_blocks, strlen(pax->sparse_blocks), &count))
        return -EBADMSG;
    for (; count > 0; count--) {
        int result;

        if (!at || !take_number(&at, &offset) || !at || !take_number(&at, &length))
            return -EBADMSG;
        result = add_piece(parser, member, offset, length);
        if (result < 0)
            return result;
    }
    return count < 0 || (at && *at) ? -EBADMSG : 0;
}

/* Reads lines of a map that is in the payload's first blocks. */
struct map_reader {
    struct tar_parser *parser;
    struct tar_member *member;
    uint64_t end; /* of the blocks taken so far */
    uint64_t at;
    size_t taken;
};

static int read_line(struct map_reader *reader, int64_t *number)
{
    struct untar *untar = reader->parser->untar;
    char digits[32];
    size_t length = 0;

    for (;;) {
        char c;

        if (reader->at == reader->end) {
            int result;

            if (reader->taken + BLOCK > MAP_BYTES || reader->member->payload < BLOCK)
                return -EBADMSG;
            result = ring_need(untar, reader->end + BLOCK);
            if (result <= 0)
                return result < 0 ? result : -ENODATA;
            reader->end += BLOCK;
            reader->taken += BLOCK;
            reader->member->payload -= BLOCK;
        }
        ring_copy(untar, reader->at++, 1, &c);
        if (c == '\n')
            return parse_decimal(digits, length, number) ? 0 : -EBADMSG;
        if (length == sizeof digits)
            return -EBADMSG;
        digits[length++] = c;
    }
}

static int read_map_1(struct tar_parser *parser, struct tar_member *member)
{
    struct map_reader reader = {
        .parser = parser, .member = member, .at = parser->position, .end = parser->position};
    int64_t count, offset, length;
    int result = read_line(&reader, &count);

    for (; result == 0 && count > 0; count--) {
        result = read_line(&reader, &offset);
        if (result == 0)
            result = read_line(&reader, &length);
        if (result == 0)
            result = add_piece(parser, member, offset, length);
    }
    if (result == 0 && count < 0)
        result = -EBADMSG;
    return result < 0 ? result : tar_keep(parser, reader.taken);
}

static bool is_valid(const struct tar_member *member)
{
    int64_t end = 0, sum = 0;

    if (member->size < 0)
        return false;
    for (size_t i = 0; i < member->pieces_length; i++) {
        const struct sparse_piece *piece = &member->pieces[i];

        if (piece->offset < end || piece->length < 0 || piece->offset > INT64_MAX - piece->length ||
            piece->offset + piece->length > member->size)
            return false;
        end = piece->offset + piece->length;
        sum += piece->length; /* not above size */
    }
    return sum == member->payload;
}

int tar_sparse(struct tar_parser *parser, struct tar_member *member)
{
    const struct pax *pax = parser->pax;
    const char *major = pax->sparse_major ? pax->sparse_major : "";
    const char *minor = pax->sparse_minor ? pax->sparse_minor : "";
    const char *size = pax->sparse_size ? pax->sparse_size : pax->sparse_real_size;
    bool is_1 = strcmp(major, "1") == 0 && strcmp(minor, "0") == 0;
    int result;

    if (!is_1 && !(strcmp(major, "0") == 0 && (strcmp(minor, "0") == 0 || strcmp(minor, "1") == 0)) &&
        (*major || *minor || !pax->sparse_map))
        return 0;
    member->is_sparse = true;
    if (pax->sparse_name)
        member->name = pax->sparse_name;
    if (size && !parse_decimal(size, strlen(size), &member->size))
        return tar_damaged(parser, member->offset, TAR_INVALID);
    if (strchr("123456", member->type))
        return tar_damaged(parser, member->offset, TAR_INVALID);
    result = is_1 ? read_map_1(parser, member) : read_map_0(parser, member);
    if (result == -ENODATA)
        return tar_damaged(parser, member->offset, TAR_SHORT);
    if (result == -EBADMSG || (result == 0 && !is_valid(member)))
        return tar_damaged(parser, member->offset, TAR_INVALID);
    if (result == -ENOMEM)
        return untar_fail(parser->untar, result, member->offset, member->name,
                          "no memory for the map of a sparse file");
    return result;
}
