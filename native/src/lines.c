#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"

static const char SEPARATOR = 0x1f;

struct text {
    const char *at;
    const char *end;
};

struct out {
    char *at;
};

static void put(struct out *out, const char *lead, struct text value)
{
    size_t length = strlen(lead), size = (size_t)(value.end - value.at);

    memcpy(out->at, lead, length);
    memcpy(out->at + length, value.at, size);
    out->at += length + size;
    *out->at++ = '\n';
}

/* Take what stands before the sign, and the sign. */
static bool take(struct text *from, char sign, struct text *found)
{
    const char *end;

    if (from->at >= from->end)
        return false;
    end = memchr(from->at, sign, (size_t)(from->end - from->at));
    if (!end)
        return false;
    *found = (struct text){from->at, end};
    from->at = end + 1;
    return true;
}

static bool is_same(struct text a, struct text b)
{
    size_t size = (size_t)(a.end - a.at);

    return size == (size_t)(b.end - b.at) && memcmp(a.at, b.at, size) == 0;
}

static void put_each(struct out *out, const char *lead, struct text list)
{
    struct text entry;

    while (take(&list, SEPARATOR, &entry))
        put(out, lead, entry);
}

/* The value of a map's key, of several the last; false where it has none. */
static bool value_of(struct text map, struct text key, struct text *value)
{
    struct text found, its;
    bool is_there = false;

    while (take(&map, SEPARATOR, &found) && take(&map, SEPARATOR, &its))
        if (is_same(found, key)) {
            *value = its;
            is_there = true;
        }
    return is_there;
}

/* The image's own digest first, then each other one of a manifest item, once. */
static void put_digests(struct out *out, struct text own, struct text keys, struct text digests)
{
    static const char lead[] = "\tdigest: ", manifest[] = "manifest";
    const size_t length = sizeof(manifest) - 1;
    struct text left = keys, key, digest;

    if (own.at < own.end)
        put(out, lead, own);
    while (take(&left, SEPARATOR, &key)) {
        struct text before = {keys.at, key.at}, earlier, other;
        bool is_new;

        if ((size_t)(key.end - key.at) < length || memcmp(key.at, manifest, length) != 0 ||
            !value_of(digests, key, &digest))
            continue;
        is_new = digest.at < digest.end && !is_same(digest, own);
        while (is_new && take(&before, SEPARATOR, &earlier))
            if ((size_t)(earlier.end - earlier.at) >= length &&
                memcmp(earlier.at, manifest, length) == 0 && value_of(digests, earlier, &other))
                is_new = !is_same(other, digest);
        if (is_new)
            put(out, lead, digest);
    }
}

static uint64_t hash(struct text value)
{
    uint64_t sum = 0xcbf29ce484222325;

    for (const char *at = value.at; at < value.end; at++)
        sum = (sum ^ (unsigned char)*at) * 0x100000001b3;
    return sum;
}

int hold_has_twice(const struct hold_column *column, size_t count)
{
    struct text left = {column->text, column->text + column->size}, line;
    struct text *places;
    size_t room = 16;
    int is_twice = 0;

    while (room < 2 * count)
        room *= 2;
    places = calloc(room, sizeof(*places));
    if (!places)
        return -ENOMEM;
    while (!is_twice && count-- && take(&left, '\n', &line)) {
        size_t at = hash(line) % room;

        while (places[at].at && !is_same(places[at], line))
            at = (at + 1) % room;
        is_twice = places[at].at != NULL;
        places[at] = line;
    }
    free(places);
    return is_twice;
}

size_t hold_image_lines(struct hold_column *columns, char *text)
{
    struct text left[5], cell[5];
    struct out out = {text};

    for (int i = 0; i < 5; i++)
        left[i] = (struct text){columns[i].text, columns[i].text + columns[i].size};
    for (;;) {
        for (int i = 0; i < 5; i++)
            if (!take(&left[i], '\n', &cell[i]))
                return (size_t)(out.at - text);
        put(&out, "", cell[0]);
        put_each(&out, "\tname: ", cell[1]);
        put_digests(&out, cell[2], cell[3], cell[4]);
        put_each(&out, "\tdata: ", cell[3]);
    }
}
