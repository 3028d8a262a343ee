#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "changelist.h"
#include "fullwrite.h"
#include "spill.h"

/* Two threads fill a list each: both full, and buffers for a hundred runs, are 16 MiB. */
enum { TEXT = 4 << 20, MOST = 128 << 10, BUFFER = 32 << 10 };

struct change_run {
    const char *now; /* the path that is next */
    /* In memory: */
    char *text;
    const char **list;
    size_t count, at;
    /* In a file, -1 if it is none: */
    int fd;
    char *buffer;
    size_t length, next; /* bytes in the buffer, and where what follows `now` begins */
};

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct change_run *add_run(struct changes *changes)
{
    struct change_run *runs =
        realloc(changes->runs, (changes->runs_count + 1) * sizeof *changes->runs);

    if (!runs)
        return NULL;
    changes->runs = runs;
    runs += changes->runs_count++;
    *runs = (struct change_run){.fd = -1};
    return runs;
}

/* -- adding -- */

static int write_sorted(const struct changes *changes, int fd)
{
    char *buffer = malloc(BUFFER);
    size_t filled = 0;
    int result = buffer ? 0 : -ENOMEM;

    for (size_t i = 0; result == 0 && i < changes->count; i++) {
        size_t length = strlen(changes->list[i]) + 2;

        if (filled + length > BUFFER) {
            result = write_fully(fd, buffer, filled, -1);
            filled = 0;
        }
        memcpy(buffer + filled, changes->list[i] - 1, length);
        filled += length;
    }
    if (result == 0)
        result = write_fully(fd, buffer, filled, -1);
    free(buffer);
    return result == 0 && lseek(fd, 0, SEEK_SET) < 0 ? -errno : result;
}

static int spill(struct changes *changes)
{
    struct change_run *run = add_run(changes);
    int result;

    if (!run)
        return -ENOMEM;
    run->fd = spill_open_anywhere();
    if (run->fd < 0)
        return run->fd;
    qsort(changes->list, changes->count, sizeof *changes->list, by_path);
    result = write_sorted(changes, run->fd);
    changes->used = changes->count = 0;
    return result;
}

int changes_add(struct changes *changes, char kind, const char *directory, const char *name)
{
    size_t above = strlen(directory), length = strlen(name) + 1, needed = 2 + above + 1 + length;
    char *at;

    if (needed > BUFFER)
        return -ENAMETOOLONG;
    if (!changes->text) {
        /* What is not touched takes no memory. */
        changes->text = malloc(TEXT);
        changes->list = malloc(MOST * sizeof *changes->list);
        if (!changes->text || !changes->list)
            return -ENOMEM;
    }
    if (changes->used + needed > TEXT || changes->count == MOST) {
        int result = spill(changes);

        if (result < 0)
            return result;
    }
    at = changes->text + changes->used;
    *at++ = kind;
    changes->list[changes->count++] = at;
    *at++ = '/';
    memcpy(at, directory, above);
    at += above;
    if (above > 0)
        *at++ = '/';
    memcpy(at, name, length);
    changes->used = (size_t)(at + length - changes->text);
    return 0;
}

/* What is in memory becomes a run. */
static int seal(struct changes *changes)
{
    struct change_run *run = changes->count > 0 ? add_run(changes) : NULL;

    if (changes->count == 0)
        return 0;
    if (!run)
        return -ENOMEM;
    qsort(changes->list, changes->count, sizeof *changes->list, by_path);
    run->text = changes->text;
    run->list = changes->list;
    run->count = changes->count;
    changes->text = NULL;
    changes->list = NULL;
    changes->used = changes->count = 0;
    return 0;
}

int changes_take(struct changes *changes, struct changes *from)
{
    int result = seal(from);

    for (size_t i = 0; result == 0 && i < from->runs_count; i++) {
        struct change_run *run = add_run(changes);

        if (!run)
            return -ENOMEM;
        *run = from->runs[i];
        from->runs[i] = (struct change_run){.fd = -1};
    }
    changes->size += from->size;
    return result;
}

/* -- reading -- */

/* The next path of a run in a file: 1, 0 at the end, or -errno. */
static int next_in_file(struct change_run *run)
{
    for (;;) {
        size_t left = run->length - run->next;
        char *begin = run->buffer + run->next, *end = memchr(begin, 0, left);
        ssize_t got;

        if (end) {
            run->now = begin + 1;
            run->next = (size_t)(end + 1 - run->buffer);
            return 1;
        }
        memmove(run->buffer, begin, left);
        run->length = left;
        run->next = 0;
        do
            got = read(run->fd, run->buffer + left, BUFFER - left);
        while (got < 0 && errno == EINTR);
        if (got <= 0)
            return got < 0 ? -errno : 0;
        run->length += (size_t)got;
    }
}

static int next_of(struct change_run *run)
{
    if (run->fd >= 0)
        return next_in_file(run);
    if (run->at == run->count)
        return 0;
    run->now = run->list[run->at++];
    return 1;
}

/* Let what is at `at` sink to where it belongs. */
static void sink(struct changes *changes, size_t at)
{
    size_t *heap = changes->heap, index = heap[at];

    for (;;) {
        size_t below = 2 * at + 1;

        if (below + 1 < changes->heap_count &&
            strcmp(changes->runs[heap[below + 1]].now, changes->runs[heap[below]].now) < 0)
            below++;
        if (below >= changes->heap_count ||
            strcmp(changes->runs[index].now, changes->runs[heap[below]].now) <= 0)
            break;
        heap[at] = heap[below];
        at = below;
    }
    heap[at] = index;
}

int changes_sort(struct changes *changes)
{
    int result = seal(changes);

    if (result == 0)
        changes->heap = malloc((changes->runs_count + 1) * sizeof *changes->heap);
    if (!changes->heap)
        return -ENOMEM;
    for (size_t i = 0; i < changes->runs_count; i++) {
        struct change_run *run = &changes->runs[i];

        if (run->fd >= 0)
            run->buffer = malloc(BUFFER);
        result = run->fd >= 0 && !run->buffer ? -ENOMEM : next_of(run);
        if (result < 0)
            return result;
        if (result > 0)
            changes->heap[changes->heap_count++] = i;
    }
    for (size_t at = changes->heap_count; at > 0; at--)
        sink(changes, at - 1);
    return 0;
}

int changes_next(struct changes *changes, const char **path)
{
    if (changes->is_begun && changes->heap_count > 0) {
        int result = next_of(&changes->runs[changes->heap[0]]);

        if (result < 0)
            return result;
        if (result == 0)
            changes->heap[0] = changes->heap[--changes->heap_count];
        if (changes->heap_count > 0)
            sink(changes, 0);
    }
    changes->is_begun = true;
    if (changes->heap_count == 0)
        return 0;
    *path = changes->runs[changes->heap[0]].now;
    return 1;
}

void changes_free(struct changes *changes)
{
    for (size_t i = 0; i < changes->runs_count; i++) {
        struct change_run *run = &changes->runs[i];

        free(run->text);
        free(run->list);
        free(run->buffer);
        if (run->fd >= 0)
            close(run->fd);
    }
    free(changes->text);
    free(changes->list);
    free(changes->runs);
    free(changes->heap);
    *changes = (struct changes){0};
}
