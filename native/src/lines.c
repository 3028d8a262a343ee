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

static struct text whole(const struct hold_column *column)
{
    return (struct text){column->text, column->text + column->size};
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

/* Texts that are found by what they are. */
struct table {
    size_t room; /* a power of two, more than there will be texts */
    struct text *places;
};

/* With room for so many. 0 or -ENOMEM. */
static int table_make(struct table *table, size_t count)
{
    table->room = 16;
    while (table->room < 2 * count)
        table->room *= 2;
    table->places = calloc(table->room, sizeof *table->places);
    return table->places ? 0 : -ENOMEM;
}

/* Where the text is, or is to be put: its at is NULL there. */
static size_t table_find(const struct table *table, struct text text)
{
    size_t at = hash(text) % table->room;

    while (table->places[at].at && !is_same(table->places[at], text))
        at = (at + 1) % table->room;
    return at;
}

int hold_has_twice(const struct hold_column *column, size_t count)
{
    struct text left = whole(column), line;
    struct table table;
    int is_twice = table_make(&table, count);

    while (is_twice == 0 && count-- && take(&left, '\n', &line)) {
        size_t at = table_find(&table, line);

        is_twice = table.places[at].at != NULL;
        table.places[at] = line;
    }
    free(table.places);
    return is_twice;
}

size_t hold_image_lines(struct hold_column *columns, char *text)
{
    struct text left[5], cell[5];
    struct out out = {text};

    for (int i = 0; i < 5; i++)
        left[i] = whole(&columns[i]);
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

/* An image or a container. */
struct user {
    struct text id, names;
    struct user *next; /* on the same layer */
};

struct layer_users {
    struct user *first, *last, *container;
};

/* Take the next one of a set's columns: id, layer, names. */
static bool take_user(struct text left[3], struct user *user, struct text *layer)
{
    user->next = NULL;
    return take(&left[0], '\n', &user->id) && take(&left[1], '\n', layer) &&
           take(&left[2], '\n', &user->names);
}

static void put_user(struct out *out, const char *lead, const struct user *user)
{
    put(out, lead, user->id);
    put_each(out, "\t\tname: ", user->names);
}

/* Note each image and container at the layer that it is on. room is for all of them. */
static void find_users(const struct table *table, struct layer_users *found, struct user *room,
                       const struct hold_column *images, const struct hold_column *containers)
{
    struct text left[] = {whole(&images[0]), whole(&images[1]), whole(&images[2])}, layer;
    struct text others[] = {whole(&containers[0]), whole(&containers[1]), whole(&containers[2])};

    for (; take_user(left, room, &layer); room++) {
        size_t at = table_find(table, layer);
        struct layer_users *users = &found[at];

        table->places[at] = layer;
        if (users->last)
            users->last->next = room;
        else
            users->first = room;
        users->last = room;
    }
    for (; take_user(others, room, &layer); room++) {
        size_t at = table_find(table, layer);

        table->places[at] = layer;
        found[at].container = room;
    }
}

long hold_layer_lines(struct hold_column *layers, struct hold_column *images,
                      struct hold_column *containers, size_t users, char *text)
{
    struct table table;
    int result = table_make(&table, users);
    struct layer_users *found = calloc(table.room, sizeof *found);
    struct user *room = malloc((users + 1) * sizeof *room); /* the last take fails in it */
    struct text ids = whole(&layers[0]), names = whole(&layers[1]), id, its;
    struct out out = {text};

    if (result < 0 || !found || !room)
        result = -ENOMEM;
    else
        find_users(&table, found, room, images, containers);
    while (result == 0 && take(&ids, '\n', &id) && take(&names, '\n', &its)) {
        const struct layer_users *on = &found[table_find(&table, id)];

        put(&out, "", id);
        put_each(&out, "\tname: ", its);
        for (const struct user *image = on->first; image; image = image->next)
            put_user(&out, "\timage: ", image);
        if (on->container)
            put_user(&out, "\tcontainer: ", on->container);
    }
    free(room);
    free(found);
    free(table.places);
    return result < 0 ? result : out.at - text;
}
