#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "json.h"
#include "scan.h"

enum { MOST_KEYS = 32 };

/* From so many bytes on, two threads share the work. */
#ifndef HALVES_FROM
#define HALVES_FROM (1 << 20)
#endif

struct stretch {
    int fd;
    char *data;
    off_t begin;
    size_t size;
    long count; /* how much was there, or -errno */
};

static void *read_stretch(void *argument)
{
    struct stretch *s = argument;
    size_t done = 0;

    while (done < s->size) {
        ssize_t n = pread(s->fd, s->data + done, s->size - done, s->begin + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            s->count = -errno;
            return NULL;
        }
        if (n == 0)
            break;
        done += (size_t)n;
    }
    s->count = (long)done;
    return NULL;
}

long hold_read(int fd, char *data, size_t size)
{
    size_t half = size < HALVES_FROM ? size : size / 2;
    struct stretch first = {.fd = fd, .data = data, .size = half};
    struct stretch second = {
        .fd = fd, .data = data + half, .begin = (off_t)half, .size = size - half};
    pthread_t thread;
    bool has_thread =
        half < size && pthread_create(&thread, NULL, read_stretch, &second) == 0;

    read_stretch(&first);
    if (has_thread)
        pthread_join(thread, NULL);
    else
        read_stretch(&second);
    /* What stands behind the end of a file that became shorter is not part of it. */
    if (first.count < (long)half || second.count < 0)
        return first.count < (long)half ? first.count : second.count;
    return first.count + second.count;
}

struct key {
    const char *name;
    size_t length;
    char type;
    int column; /* -1 for none */
};

struct shape {
    struct key keys[MOST_KEYS];
    int count;
};

static bool take_value(struct json *s, const struct key *key, struct hold_column *out)
{
    switch (key->type) {
    case 's':
        return json_text(s, out);
    case 't':
        return json_time(s, out);
    case 'i':
        return json_number(s, out, false);
    case 'S':
    case 'I':
        return json_list(s, out, key->type == 'S');
    case 'M':
    case 'm':
        return json_map(s, out, key->type == 'M');
    case 'x':
        return json_id_maps(s, out);
    case 'f':
        return json_next(s, '{') && json_any(s, 0);
    default:
        return false;
    }
}

static bool read_keys(struct shape *s, const char *keys)
{
    for (s->count = 0; *keys; s->count++) {
        if (s->count == MOST_KEYS)
            return false;
        s->keys[s->count] = (struct key){.type = keys[0],
                                         .column = keys[1] == '-' ? -1 : keys[1] - '0',
                                         .name = keys + 2,
                                         .length = strlen(keys + 2)};
        keys += 2 + s->keys[s->count].length + 1;
    }
    return s->count > 0;
}

static bool is_ascii(const unsigned char *text, size_t length)
{
    while (length > 0 && text[length - 1] < 0x80)
        length--;
    return length == 0;
}

/* The key of a record that comes next, with its colon: its index, the count for an unknown one, or
 * -1. Those from `guess` on are tried first, by their bytes, as keys come in the table's order. */
static int take_key(struct json *s, const struct shape *shape, int guess)
{
    const unsigned char *name;
    size_t length;

    if (!json_next(s, '"'))
        return -1;
    name = s->at + 1;
    for (int index = guess; index < shape->count; index++) {
        const struct key *key = &shape->keys[index];

        if ((size_t)(s->end - name) > key->length && name[key->length] == '"' &&
            memcmp(name, key->name, key->length) == 0) {
            s->at = name + key->length + 1;
            return json_sign(s, ':') ? index : -1;
        }
    }
    if (!json_text(s, NULL))
        return -1;
    length = (size_t)(s->at - 1 - name);
    if (memchr(name, '\\', length) || !json_sign(s, ':'))
        return -1;
    for (int i = 0; i < shape->count; i++) {
        int index = (guess + i) % shape->count;
        const struct key *key = &shape->keys[index];

        if (key->length != length || strncasecmp(key->name, (const char *)name, length) != 0)
            continue;
        /* In other letter case it is the same key to some readers and another one to others. */
        return memcmp(key->name, name, length) == 0 ? index : -1;
    }
    return is_ascii(name, length) ? shape->count : -1;
}

static void end_line(struct hold_column *column)
{
    column->text[column->size++] = '\n';
}

static bool take_record(struct json *s, const struct shape *shape, struct hold_column *columns)
{
    uint32_t seen = 0;
    int guess = 0;

    if (!json_sign(s, '{'))
        return false;
    do {
        int index = take_key(s, shape, guess);
        const struct key *key;

        if (index < 0)
            return false;
        if (index == shape->count) {
            if (!json_any(s, 0))
                return false;
            continue;
        }
        key = &shape->keys[index];
        /* Twice the same: which counts is for others to say. */
        if (seen & (1u << index) ||
            !take_value(s, key, key->column < 0 ? NULL : &columns[key->column]))
            return false;
        seen |= 1u << index;
        guess = index + 1;
    } while (json_sign(s, ','));
    for (int i = 0; i < shape->count; i++)
        if (shape->keys[i].column >= 0)
            end_line(&columns[shape->keys[i].column]);
    return seen & 1 && json_sign(s, '}');
}

size_t hold_scan_room(size_t length)
{
    /* Signs become fewer, but for the end of a line of each record: 9 bytes at least. (Two halves
     * need no more than the whole.) */
    return length + length / 8 + 16;
}

/* Records one after the other, from s on. */
struct run {
    struct json s;
    const struct shape *shape;
    const unsigned char *data; /* what spans count from */
    uint32_t *spans;
    size_t room;
    struct hold_column *columns;
    bool has_more; /* the text ends behind a comma, with more records in another */
    long count;    /* or -EINVAL */
};

static long take_records(struct run *run)
{
    struct json *s = &run->s;
    size_t count = 0;

    for (int i = 0; i < run->shape->count; i++)
        if (run->shape->keys[i].column >= 0)
            run->columns[run->shape->keys[i].column].size = 0;
    do {
        json_blanks(s);
        if (run->has_more && s->at == s->end)
            return (long)count;
        if (count == run->room)
            return -EINVAL;
        run->spans[2 * count] = (uint32_t)(s->at - run->data);
        if (!take_record(s, run->shape, run->columns))
            return -EINVAL;
        run->spans[2 * count++ + 1] = (uint32_t)(s->at - run->data);
    } while (json_sign(s, ','));
    if (run->has_more || !json_sign(s, ']'))
        return -EINVAL;
    json_blanks(s);
    return s->at == s->end ? (long)count : -EINVAL;
}

static void *take_in_thread(void *argument)
{
    struct run *run = argument;

    run->count = take_records(run);
    return NULL;
}

/* Where a record seems to begin behind the middle; NULL if none does. */
static const unsigned char *find_half(const struct json *s, const struct key *first)
{
    const unsigned char *middle = s->at + (s->end - s->at) / 2;
    char sign[64];
    int length = snprintf(sign, sizeof(sign), "},{\"%s\":", first->name);
    const unsigned char *found;

    if (length < 0 || (size_t)length >= sizeof(sign))
        return NULL;
    found = memmem(middle, (size_t)(s->end - middle), sign, (size_t)length);
    return found ? found + 2 : NULL;
}

/* All records, the second half by another thread. What looks like the begin of a record may be
 * anything: but if all before it are whole records, the one who reads all in turn comes there too.
 * -EINVAL: the whole has to be read in turn. */
static long take_halves(const struct run *all)
{
    struct hold_column others[MOST_KEYS];
    struct run first = *all, second = *all;
    const unsigned char *half = find_half(&all->s, &all->shape->keys[0]);
    size_t text_room;
    pthread_t thread;

    if (!half)
        return -EINVAL;
    first.s.end = second.s.at = half;
    first.has_more = true;
    first.room = all->room / 2;
    second.room = all->room - first.room;
    second.spans += 2 * first.room;
    second.columns = others;
    text_room = hold_scan_room((size_t)(half - all->s.at));
    for (int i = 0; i < all->shape->count; i++) {
        int column = all->shape->keys[i].column;

        if (column >= 0)
            others[column].text = all->columns[column].text + text_room;
    }
    if (pthread_create(&thread, NULL, take_in_thread, &second) != 0)
        return -EINVAL;
    first.count = take_records(&first);
    pthread_join(thread, NULL);
    if (first.count < 0 || second.count < 0)
        return -EINVAL;
    memmove(all->spans + 2 * first.count, second.spans, (size_t)second.count * 2 * sizeof(uint32_t));
    for (int i = 0; i < all->shape->count; i++) {
        int index = all->shape->keys[i].column;
        struct hold_column *column = index < 0 ? NULL : &all->columns[index];

        if (!column)
            continue;
        memmove(column->text + column->size, others[index].text, others[index].size);
        column->size += others[index].size;
    }
    return first.count + second.count;
}

long hold_scan_records(const char *data, size_t length, const char *keys, uint32_t *spans,
                       size_t room, struct hold_column *columns)
{
    const unsigned char *begin = (const unsigned char *)data;
    struct shape shape;
    struct run run = {.s = {.at = begin, .end = begin + length},
                      .shape = &shape,
                      .data = begin,
                      .spans = spans,
                      .room = room,
                      .columns = columns};
    struct json *s = &run.s;
    long count;

    if (length > UINT32_MAX || !read_keys(&shape, keys) || !json_sign(s, '['))
        return -EINVAL;
    if (json_sign(s, ']')) {
        for (int i = 0; i < shape.count; i++)
            if (shape.keys[i].column >= 0)
                columns[shape.keys[i].column].size = 0;
        json_blanks(s);
        return s->at == s->end ? 0 : -EINVAL;
    }
    count = length < HALVES_FROM ? -EINVAL : take_halves(&run);
    return count < 0 ? take_records(&run) : count;
}

long hold_scan_members(const char *data, size_t length, uint32_t *spans, size_t room)
{
    const unsigned char *begin = (const unsigned char *)data;
    struct json s = {.at = begin, .end = begin + length};
    size_t count = 0;

    if (length > UINT32_MAX || !json_sign(&s, '{'))
        return -EINVAL;
    do {
        uint32_t *span = spans + 4 * count++;

        if (count > room || !json_next(&s, '"'))
            return -EINVAL;
        span[0] = (uint32_t)(s.at + 1 - begin);
        if (!json_text(&s, NULL))
            return -EINVAL;
        span[1] = (uint32_t)(s.at - 1 - begin);
        if (memchr(begin + span[0], '\\', span[1] - span[0]) || !json_sign(&s, ':'))
            return -EINVAL;
        json_blanks(&s);
        span[2] = (uint32_t)(s.at - begin);
        if (!json_any(&s, 0))
            return -EINVAL;
        span[3] = (uint32_t)(s.at - begin);
    } while (json_sign(&s, ','));
    return json_sign(&s, '}') ? (long)count : -EINVAL;
}

size_t hold_line_at(const char *text, size_t size, size_t number)
{
    const char *at = text, *end = text + size;

    while (number-- && at) {
        at = memchr(at, '\n', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    return at ? (size_t)(at - text) : size;
}

size_t hold_common(const char *a, size_t a_length, const char *b, size_t b_length, int from_end)
{
    enum { BLOCK = 4096 };
    size_t most = a_length < b_length ? a_length : b_length, same = 0;

    if (from_end) {
        a += a_length;
        b += b_length;
        while (most - same >= BLOCK && memcmp(a - same - BLOCK, b - same - BLOCK, BLOCK) == 0)
            same += BLOCK;
        while (same < most && a[-1 - (ptrdiff_t)same] == b[-1 - (ptrdiff_t)same])
            same++;
        return same;
    }
    while (most - same >= BLOCK && memcmp(a + same, b + same, BLOCK) == 0)
        same += BLOCK;
    while (same < most && a[same] == b[same])
        same++;
    return same;
}

void hold_shift(uint32_t *numbers, size_t count, long delta)
{
    for (size_t i = 0; i < count; i++)
        numbers[i] = (uint32_t)((long)numbers[i] + delta);
}
