#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tarparse.h"

#define XATTR "SCHILY.xattr."

void pax_clear(struct pax *pax)
{
    free(pax->text);
    free(pax->xattrs);
    free(pax->joined_map);
    memset(pax, 0, sizeof *pax);
}

bool parse_decimal(const char *text, size_t length, int64_t *number)
{
    bool is_negative = length > 0 && text[0] == '-';
    uint64_t limit = (uint64_t)INT64_MAX + is_negative, value = 0;

    if (length > 0 && (text[0] == '-' || text[0] == '+')) {
        text++;
        length--;
    }
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';

        if (digit > 9 || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* Seconds with any number of decimals, of which nine count. */
static bool parse_time(const char *text, struct timespec *time)
{
    const char *point = strchr(text, '.');
    size_t whole = point ? (size_t)(point - text) : strlen(text);
    int64_t seconds;
    long nanos = 0;
    int digits = 0;

    if (!parse_decimal(text, whole, &seconds))
        return false;
    for (const char *at = point ? point + 1 : ""; *at; at++) {
        if (*at < '0' || *at > '9')
            return false;
        if (digits < 9) {
            nanos = nanos * 10 + (*at - '0');
            digits++;
        }
    }
    for (; digits < 9; digits++)
        nanos *= 10;
    if (text[0] == '-' && nanos > 0) {
        if (seconds == INT64_MIN)
            return false;
        seconds--;
        nanos = 1000000000 - nanos;
    }
    *time = (struct timespec){.tv_sec = seconds, .tv_nsec = nanos};
    return true;
}

static int add_xattr(struct pax *pax, const char *name, const char *value, size_t length)
{
    size_t name_length = strlen(name) + 1;

    if (!pax->xattrs) /* never more than the records themselves: a length takes less than a prefix */
        return -ENOMEM;
    memcpy(pax->xattrs + pax->xattrs_length, name, name_length);
    pax->xattrs_length += name_length;
    memcpy(pax->xattrs + pax->xattrs_length, &length, sizeof length);
    pax->xattrs_length += sizeof length;
    memcpy(pax->xattrs + pax->xattrs_length, value, length);
    pax->xattrs_length += length;
    return 0;
}

/* Versions 0.0 of GNU sparse give the map as pairs of records of the same two names. */
static int add_to_map(struct pax *pax, const char *value, size_t length, bool is_offset)
{
    if (is_offset != (pax->joined_count % 2 == 0) || memchr(value, ',', length))
        return -EBADMSG;
    if (!pax->joined_map)
        return -ENOMEM;
    if (pax->joined_count > 0)
        pax->joined_map[pax->joined_length++] = ',';
    memcpy(pax->joined_map + pax->joined_length, value, length);
    pax->joined_length += length;
    pax->joined_map[pax->joined_length] = 0;
    pax->joined_count++;
    return 0;
}

static int put_record(struct pax *pax, const char *key, const char *value, size_t length)
{
    const struct {
        const char *key;
        const char **to;
        bool no_nul;
    } known[] = {
        {"path", &pax->path, true},
        {"linkpath", &pax->link, true},
        {"uid", &pax->uid, false},
        {"gid", &pax->gid, false},
        {"size", &pax->size, false},
        {"mtime", &pax->mtime, false},
        {"atime", &pax->atime, false},
        {"GNU.sparse.major", &pax->sparse_major, false},
        {"GNU.sparse.minor", &pax->sparse_minor, false},
        {"GNU.sparse.name", &pax->sparse_name, false},
        {"GNU.sparse.size", &pax->sparse_size, false},
        {"GNU.sparse.realsize", &pax->sparse_real_size, false},
        {"GNU.sparse.numblocks", &pax->sparse_blocks, false},
        {"GNU.sparse.map", &pax->sparse_map, false},
    };

    if (strncmp(key, XATTR, strlen(XATTR)) == 0)
        return length > 0 ? add_xattr(pax, key + strlen(XATTR), value, length) : 0;
    if (strcmp(key, "GNU.sparse.offset") == 0 || strcmp(key, "GNU.sparse.numbytes") == 0)
        return add_to_map(pax, value, length, key[11] == 'o');
    if ((strcmp(key, "uname") == 0 || strcmp(key, "gname") == 0) && memchr(value, 0, length))
        return -EBADMSG;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(key, known[i].key) == 0) {
            /* In a number or a name of ours a NUL is no better than in the names Go checks. */
            if (memchr(value, 0, length))
                return -EBADMSG;
            *known[i].to = length > 0 ? value : NULL; /* empty: as if it were not there */
        }
    return 0;
}

/* "LENGTH KEY=VALUE\n", where LENGTH is that of all of it. */
static int parse_record(struct pax *pax, char **at, char *end)
{
    char *space = memchr(*at, ' ', (size_t)(end - *at)), *next, *equals;
    int64_t length;

    if (!space || !parse_decimal(*at, (size_t)(space - *at), &length) || length < 5 ||
        length > end - *at)
        return -EBADMSG;
    next = *at + length;
    if (next <= space + 1 || next[-1] != '\n')
        return -EBADMSG;
    equals = memchr(space + 1, '=', (size_t)(next - 1 - (space + 1)));
    if (!equals || equals == space + 1 || memchr(space + 1, 0, (size_t)(equals - space - 1)))
        return -EBADMSG;
    *equals = next[-1] = 0;
    *at = next;
    return put_record(pax, space + 1, equals + 1, (size_t)(next - 1 - (equals + 1)));
}

int pax_parse(struct pax *pax, char *text, size_t length)
{
    char *at = text, *end = text + length;
    int result = 0;

    pax_clear(pax);
    pax->text = text;
    if (memmem(text, length, XATTR, strlen(XATTR)))
        pax->xattrs = malloc(length + 1);
    if (memmem(text, length, "GNU.sparse.offset", 17))
        pax->joined_map = calloc(1, length + 1);
    while (result == 0 && at < end)
        result = parse_record(pax, &at, end);
    if (result == 0 && pax->joined_count > 0)
        pax->sparse_map = pax->joined_map;
    return result;
}

int pax_merge(const struct pax *pax, struct tar_member *member)
{
    if (pax->path)
        member->name = pax->path;
    if (pax->link)
        member->link = pax->link;
    if ((pax->uid && !parse_decimal(pax->uid, strlen(pax->uid), &member->uid)) ||
        (pax->gid && !parse_decimal(pax->gid, strlen(pax->gid), &member->gid)) ||
        (pax->size && !parse_decimal(pax->size, strlen(pax->size), &member->size)) ||
        (pax->mtime && !parse_time(pax->mtime, &member->mtime)) ||
        (pax->atime && !parse_time(pax->atime, &member->atime)))
        return -EBADMSG;
    if (pax->atime)
        member->has_atime = true;
    member->xattrs = pax->xattrs;
    member->xattrs_length = pax->xattrs_length;
    return 0;
}
