#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tarhead.h"

enum { BLOCK = 512, NAME_SIZE = 100, PREFIX_SIZE = 155, OWNER_SIZE = 32, SPECIAL = 1 << 20 };

/* Records of an extended header, which Go sorts by key. */
struct records {
    char *text;
    size_t length, room;
    int error;
};

static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

static void put_record(struct records *records, const char *key, const void *value, size_t length)
{
    size_t body = 1 + strlen(key) + 1 + length + 1, total = body, before;
    char digits[24];

    if (records->error)
        return;
    do { /* the length counts its own digits */
        before = total;
        total = body + (size_t)snprintf(digits, sizeof digits, "%zu", before);
    } while (total != before);
    if (records->length + total + 1 > records->room) {
        size_t room = (records->length + total + 1) * 2;
        char *text = realloc(records->text, room);

        if (!text) {
            records->error = -ENOMEM;
            return;
        }
        records->text = text;
        records->room = room;
    }
    records->length += (size_t)sprintf(records->text + records->length, "%zu %s=", total, key);
    memcpy(records->text + records->length, value, length);
    records->length += length;
    records->text[records->length++] = '\n';
}

static void put_text_record(struct records *records, const char *key, const char *value)
{
    put_record(records, key, value, strlen(value));
}

static void put_number_record(struct records *records, const char *key, int64_t number)
{
    char digits[24];

    (void)snprintf(digits, sizeof digits, "%lld", (long long)number);
    put_text_record(records, key, digits);
}

static bool fits_octal(size_t width, int64_t number)
{
    return number >= 0 && (width - 1 >= 21 || number < (int64_t)1 << (3 * (width - 1)));
}

static void put_octal(unsigned char *field, size_t width, int64_t number)
{
    if (!fits_octal(width, number))
        number = 0;
    field[width - 1] = 0;
    for (size_t i = width - 1; i-- > 0; number >>= 3)
        field[i] = (unsigned char)('0' + (number & 7));
}

/* What is not ASCII is left out. */
static size_t put_ascii(unsigned char *field, size_t width, const char *text)
{
    size_t length = 0, wanted = 0;

    for (; *text; text++)
        if ((unsigned char)*text < 0x80) {
            if (length < width)
                field[length++] = (unsigned char)*text;
            wanted++;
        }
    /* A name that was cut at a slash would be a directory's to some. */
    if (wanted > width)
        while (length > 0 && field[length - 1] == '/')
            field[--length] = 0;
    return length;
}

static void set_magic_and_sum(unsigned char *block)
{
    unsigned sum = 0;

    memcpy(block + 257, "ustar\00000", 8);
    memset(block + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++)
        sum += block[i];
    put_octal(block + 148, 7, sum);
}

/* Where a long name can be cut in two for USTAR: the length of the first part, 0 if nowhere. */
static size_t split_name(const char *name)
{
    size_t length = strlen(name), at, end = length;

    if (length <= NAME_SIZE || !is_ascii(name))
        return 0;
    if (length > PREFIX_SIZE + 1)
        length = PREFIX_SIZE + 1;
    else if (name[length - 1] == '/')
        length--;
    for (at = length; at-- > 0 && name[at] != '/';)
        ;
    if (at == (size_t)-1 || at == 0 || at > PREFIX_SIZE)
        return 0;
    return end - at - 1 > 0 && end - at - 1 <= NAME_SIZE ? at : 0;
}

static int put_block(struct sink *sink, const unsigned char *block)
{
    return sink->bytes(sink, block, BLOCK);
}

int tar_put_padding(struct sink *sink, uint64_t size)
{
    static const unsigned char zeros[BLOCK];
    size_t padding = (size_t)(-size & (BLOCK - 1));

    return padding ? sink->bytes(sink, zeros, padding) : 0;
}

/* dir/PaxHeaders.0/file, joined as Go's path.Join does. */
static int put_extended(struct sink *sink, const char *name, const struct records *records)
{
    unsigned char block[BLOCK] = {0};
    const char *slash = strrchr(name, '/');
    int above = slash ? (int)(slash - name) : 0, result;
    char *pax_name;

    if (records->length > SPECIAL)
        return -ERANGE;
    if (asprintf(&pax_name, "%.*s%sPaxHeaders.0%s%s", above, name, above ? "/" : "",
                 slash && slash[1] == 0 ? "" : "/", slash ? slash + 1 : name) < 0)
        return -ENOMEM;
    (void)put_ascii(block, NAME_SIZE, pax_name);
    free(pax_name);
    put_octal(block + 100, 8, 0);
    put_octal(block + 108, 8, 0);
    put_octal(block + 116, 8, 0);
    put_octal(block + 124, 12, (int64_t)records->length);
    put_octal(block + 136, 12, 0);
    block[156] = 'x';
    set_magic_and_sum(block);
    result = put_block(sink, block);
    if (result == 0)
        result = sink->bytes(sink, records->text, records->length);
    return result < 0 ? result : tar_put_padding(sink, records->length);
}

static void put_xattrs(struct records *records, const struct tar_head *head)
{
    char key[300];

    for (size_t i = 0; i < head->xattrs_length; i++) {
        (void)snprintf(key, sizeof key, "SCHILY.xattr.%s", head->xattrs[i].name);
        put_record(records, key, head->xattrs[i].value, head->xattrs[i].length);
    }
}

static bool is_long(const char *text, size_t width)
{
    return strlen(text) > width || !is_ascii(text);
}

int tar_put_head(struct sink *sink, const struct tar_head *head)
{
    unsigned char block[BLOCK] = {0};
    struct records records = {0};
    size_t split = split_name(head->name);
    bool has_long_name = is_long(head->name, NAME_SIZE), is_pax;
    int result = 0;

    if (!fits_octal(8, head->mode) || !fits_octal(8, head->major) || !fits_octal(8, head->minor))
        return -ERANGE;
    is_pax = head->xattrs_length > 0 || (has_long_name && !split) ||
             is_long(head->link, NAME_SIZE) || is_long(head->uname, OWNER_SIZE) ||
             is_long(head->gname, OWNER_SIZE) || !fits_octal(8, head->uid) ||
             !fits_octal(8, head->gid) || !fits_octal(12, head->size) ||
             !fits_octal(12, head->mtime);
    if (is_pax) {
        put_xattrs(&records, head); /* capitals sort first */
        if (!fits_octal(8, head->gid))
            put_number_record(&records, "gid", head->gid);
        if (is_long(head->gname, OWNER_SIZE))
            put_text_record(&records, "gname", head->gname);
        if (is_long(head->link, NAME_SIZE))
            put_text_record(&records, "linkpath", head->link);
        if (!fits_octal(12, head->mtime))
            put_number_record(&records, "mtime", head->mtime);
        if (has_long_name)
            put_text_record(&records, "path", head->name);
        if (!fits_octal(12, head->size))
            put_number_record(&records, "size", head->size);
        if (!fits_octal(8, head->uid))
            put_number_record(&records, "uid", head->uid);
        if (is_long(head->uname, OWNER_SIZE))
            put_text_record(&records, "uname", head->uname);
        result = records.error ? records.error : put_extended(sink, head->name, &records);
        free(records.text);
        if (result < 0)
            return result;
        split = 0;
    }
    if (split > 0)
        memcpy(block + 345, head->name, split);
    (void)put_ascii(block, NAME_SIZE, head->name + (split ? split + 1 : 0));
    put_octal(block + 100, 8, head->mode);
    put_octal(block + 108, 8, head->uid);
    put_octal(block + 116, 8, head->gid);
    put_octal(block + 124, 12, head->size);
    put_octal(block + 136, 12, head->mtime);
    block[156] = (unsigned char)head->type;
    (void)put_ascii(block + 157, NAME_SIZE, head->link);
    (void)put_ascii(block + 265, OWNER_SIZE, head->uname);
    (void)put_ascii(block + 297, OWNER_SIZE, head->gname);
    put_octal(block + 329, 8, head->major);
    put_octal(block + 337, 8, head->minor);
    set_magic_and_sum(block);
    return put_block(sink, block);
}
