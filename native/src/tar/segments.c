#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc64.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fullwrite.h"
#include "sink.h"

enum { SPILL = 256 << 10, WINDOW = 64 << 10 };

/* One stretch of the tar, up to `end`: bytes of the spill file, or a file whose record is there. */
struct segment {
    uint64_t end;
    uint64_t at; /* in the spill file; the highest bit says it is a file */
};

#define IS_FILE ((uint64_t)1 << 63)

/* In the spill file, followed by the name. */
struct record {
    uint64_t crc;
    uint32_t has_crc;
    uint32_t name_length;
};

struct hold_segments {
    struct sink sink;
    struct segment *list;
    size_t length, room;
    uint64_t size;
    int spill_fd;
    uint64_t spilled;       /* bytes in the file; what follows them is in the buffer */
    char *buffer;           /* only while the list is made */
    size_t buffered;
    struct lookup lookup;
    int *directory_fds;
    pthread_mutex_t lock; /* of the file that was read last; never held while anything is read */
    size_t open_index;
    int open_fd;
};

/* -- making -- */

static int flush(struct hold_segments *segments)
{
    int result = write_fully(segments->spill_fd, segments->buffer, segments->buffered,
                             (int64_t)segments->spilled);

    if (result < 0)
        return result;
    segments->spilled += segments->buffered;
    segments->buffered = 0;
    return 0;
}

static int spill(struct hold_segments *segments, const void *data, size_t length)
{
    const char *from = data;

    while (length > 0) {
        size_t now = SPILL - segments->buffered;

        if (now > length)
            now = length;
        memcpy(segments->buffer + segments->buffered, from, now);
        segments->buffered += now;
        from += now;
        length -= now;
        if (segments->buffered == SPILL) {
            int result = flush(segments);

            if (result < 0)
                return result;
        }
    }
    return 0;
}

static int add(struct hold_segments *segments, uint64_t length, uint64_t at)
{
    struct segment *last = segments->length ? &segments->list[segments->length - 1] : NULL;
    uint64_t before = segments->length > 1 ? last[-1].end : 0;

    if (length > (uint64_t)INT64_MAX - segments->size)
        return -EFBIG;
    segments->size += length;
    /* Bytes that follow each other in both are one segment. */
    if (last && !(last->at & IS_FILE) && last->at + (last->end - before) == at) {
        last->end = segments->size;
        return 0;
    }
    if (segments->length == segments->room) {
        size_t room = segments->room ? segments->room * 2 : 256;
        struct segment *list = realloc(segments->list, room * sizeof *list);

        if (!list)
            return -ENOMEM;
        segments->list = list;
        segments->room = room;
    }
    segments->list[segments->length++] = (struct segment){.end = segments->size, .at = at};
    return 0;
}

static int put_bytes(struct sink *sink, const void *data, size_t length)
{
    struct hold_segments *segments = (struct hold_segments *)sink;
    uint64_t at = segments->spilled + segments->buffered;
    int result = spill(segments, data, length);

    return result < 0 ? result : add(segments, length, at);
}

static int put_file(struct sink *sink, const struct sink_file *file)
{
    struct hold_segments *segments = (struct hold_segments *)sink;
    struct record record = {.crc = file->crc,
                            .has_crc = file->has_crc,
                            .name_length = (uint32_t)strlen(file->name)};
    uint64_t at = segments->spilled + segments->buffered;
    int result = file->size > 0 ? spill(segments, &record, sizeof record) : 0;

    close_sink_file(file); /* it is read later, if at all */
    if (file->size == 0)
        return 0;
    if (result == 0)
        result = spill(segments, file->name, record.name_length);
    return result < 0 ? result : add(segments, file->size, at | IS_FILE);
}

static int own_fds(struct hold_segments *segments, const struct lookup *lookup, int spill_fd)
{
    segments->directory_fds = calloc(lookup->count + 1, sizeof *segments->directory_fds);
    segments->buffer = malloc(SPILL);
    if (!segments->directory_fds || !segments->buffer)
        return -ENOMEM;
    segments->spill_fd = fcntl(spill_fd, F_DUPFD_CLOEXEC, 0);
    if (segments->spill_fd < 0)
        return -errno;
    for (; segments->lookup.count < lookup->count; segments->lookup.count++) {
        int fd = fcntl(lookup->fds[segments->lookup.count], F_DUPFD_CLOEXEC, 0);

        if (fd < 0)
            return -errno;
        segments->directory_fds[segments->lookup.count] = fd;
    }
    segments->lookup.fds = segments->directory_fds;
    return 0;
}

int segments_make(struct producer *producer, const struct lookup *lookup, int spill_fd,
                  struct hold_segments **made, struct hold_tar_out_result *result)
{
    struct hold_segments *segments = calloc(1, sizeof *segments);
    int code = -ENOMEM;

    memset(result, 0, sizeof *result);
    if (segments) {
        segments->sink = (struct sink){.bytes = put_bytes, .file = put_file};
        segments->spill_fd = segments->open_fd = -1;
        pthread_mutex_init(&segments->lock, NULL);
        code = own_fds(segments, lookup, spill_fd);
    }
    if (code == 0)
        code = producer->run(producer, &segments->sink, result->message, sizeof result->message);
    if (code == 0)
        code = flush(segments);
    if (code < 0) {
        if (result->message[0] == 0)
            (void)snprintf(result->message, sizeof result->message, "list the tar's segments: %s",
                           strerrordesc_np(-code));
        hold_segments_free(segments);
        return code;
    }
    free(segments->buffer);
    segments->buffer = NULL;
    result->size = segments->size;
    *made = segments;
    return 0;
}

void hold_segments_free(struct hold_segments *segments)
{
    if (!segments)
        return;
    for (size_t i = 0; i < segments->lookup.count; i++)
        close(segments->directory_fds[i]);
    if (segments->spill_fd >= 0)
        close(segments->spill_fd);
    if (segments->open_fd >= 0)
        close(segments->open_fd);
    pthread_mutex_destroy(&segments->lock);
    free(segments->directory_fds);
    free(segments->buffer);
    free(segments->list);
    free(segments);
}

/* -- reading -- */

uint64_t hold_segments_size(const struct hold_segments *segments)
{
    return segments->size;
}

/* pread(2) of everything. 0, -ESTALE if the file is shorter, or -errno. */
static int read_exactly(int fd, char *to, size_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t got = pread(fd, to, length, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ESTALE;
        to += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return 0;
}

/* A stretch of the spill file: what many small files have there is read at once. */
struct window {
    size_t wanted; /* how much to read at a time */
    uint64_t begin;
    size_t length;
    char bytes[WINDOW];
};

/* Read exactly length bytes of the spill file. */
static int read_spill(const struct hold_segments *segments, struct window *window, uint64_t at,
                      void *to, size_t length)
{
    if (length > WINDOW)
        return read_exactly(segments->spill_fd, to, length, at);
    if (at < window->begin || at + length > window->begin + window->length) {
        uint64_t left = segments->spilled - at;
        size_t now = window->wanted < left ? window->wanted : (size_t)left;
        int result;

        if (now < length)
            now = length;
        result = read_exactly(segments->spill_fd, window->bytes, now, at);
        window->begin = at;
        window->length = result < 0 ? 0 : now;
        if (result < 0)
            return result;
    }
    memcpy(to, window->bytes + (at - window->begin), length);
    return 0;
}

static int read_record(const struct hold_segments *segments, struct window *window, uint64_t at,
                       struct record *record, char **name)
{
    int result = read_spill(segments, window, at, record, sizeof *record);

    if (result < 0)
        return result;
    *name = malloc(record->name_length + (size_t)1);
    if (!*name)
        return -ENOMEM;
    (*name)[record->name_length] = 0;
    result = read_spill(segments, window, at + sizeof *record, *name, record->name_length);
    if (result < 0)
        free(*name);
    return result;
}

/* The descriptor that was left open for this segment, now the caller's; -1 if there is none. */
static int take_open(struct hold_segments *segments, size_t index)
{
    int fd = -1;

    pthread_mutex_lock(&segments->lock);
    if (segments->open_fd >= 0 && segments->open_index == index) {
        fd = segments->open_fd;
        segments->open_fd = -1;
    }
    pthread_mutex_unlock(&segments->lock);
    return fd;
}

/* Leave fd open for the next reader of the segment. Returns the one in whose place it is, or -1. */
static int leave_open(struct hold_segments *segments, size_t index, int fd)
{
    int before;

    pthread_mutex_lock(&segments->lock);
    before = segments->open_fd;
    segments->open_fd = fd;
    segments->open_index = index;
    pthread_mutex_unlock(&segments->lock);
    return before;
}

/* Where a segment begins in the tar. */
static uint64_t begin_of(const struct hold_segments *segments, size_t index)
{
    return index > 0 ? segments->list[index - 1].end : 0;
}

static int read_file(struct hold_segments *segments, struct window *window, size_t index, char *to,
                     size_t length, uint64_t offset)
{
    const struct segment *segment = &segments->list[index];
    uint64_t size = segment->end - begin_of(segments, index);
    struct record record;
    char *name;
    int fd, result = read_record(segments, window, segment->at & ~IS_FILE, &record, &name);

    if (result < 0)
        return result;
    fd = take_open(segments, index);
    if (fd < 0)
        fd = lookup_open(&segments->lookup,
                         &(struct sink_file){.name = name, .fd = -1, .size = size});
    free(name);
    if (fd < 0)
        return fd;
    result = read_exactly(fd, to, length, offset);
    /* Only of a large file more is read by and by. */
    if (length < size)
        fd = leave_open(segments, index, fd);
    if (fd >= 0)
        close(fd);
    if (result == 0 && record.has_crc && length == size &&
        crc64_iso_refl(0, (unsigned char *)to, length) != record.crc)
        return -ESTALE;
    return result;
}

/* The segment that `offset` is in. */
static size_t find(const struct hold_segments *segments, uint64_t offset)
{
    size_t low = 0, high = segments->length;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (segments->list[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t hold_segments_read(struct hold_segments *segments, uint64_t offset, void *to, size_t length)
{
    struct window window; /* its bytes are not to be cleared */
    char *at = to;
    size_t index;

    if (offset >= segments->size)
        return 0;
    if (length > segments->size - offset)
        length = (size_t)(segments->size - offset);
    /* That much of it at most, and what names take. */
    window.wanted = length < WINDOW ? length : WINDOW;
    window.begin = window.length = 0;
    for (index = find(segments, offset); length > 0; index++) {
        const struct segment *segment = &segments->list[index];
        uint64_t inside = offset - begin_of(segments, index);
        size_t now = segment->end - offset < length ? (size_t)(segment->end - offset) : length;
        int result = segment->at & IS_FILE
                         ? read_file(segments, &window, index, at, now, inside)
                         : read_spill(segments, &window, segment->at + inside, at, now);

        if (result < 0)
            return result == -ESTALE ? -EBADMSG : result;
        at += now;
        offset += now;
        length -= now;
    }
    return at - (char *)to;
}
