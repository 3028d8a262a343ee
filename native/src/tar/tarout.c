#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l/crc64.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "encode.h"
#include "sink.h"

/*
 * The ring holds a stretch of the tar that goes out. The producer reserves room in it, piece after
 * piece, fills in the headers and leaves the content of files to readers, who work ahead; the
 * caller's thread writes what is complete. A large file is read by the producer, piece by piece.
 */
enum {
    RING = 12 << 20, LARGE = 1 << 20, PIPE = 1 << 20, WRITE_BATCH = 256 << 10,
    READERS = 4, /* more than there are processors, for a disk to have more to do at a time */
    TASKS = 256, WAKE_TASKS = 64, BATCH_TASKS = 32, BATCH_BYTES = 256 << 10
};

struct task {
    uint64_t begin;
    bool is_done;
    struct sink_file file;
    char *name; /* the file's; NULL: not in use */
};

struct outlet {
    struct sink sink;
    struct producer *producer;
    const struct lookup *lookup;
    const struct hold_tar_out_options *options;
    struct hold_tar_out_result *result;
    pthread_mutex_t lock;
    pthread_cond_t for_producer, for_readers, for_writer;
    unsigned char *ring;
    uint64_t filled;  /* the producer's own: where its next byte goes */
    uint64_t offered; /* up to here all is filled in or a task */
    uint64_t written;
    struct task tasks[TASKS];
    uint64_t task_end, task_next, task_first; /* added, taken by a reader, not yet done */
    bool producer_waits, writer_waits;
    int readers_wait;
    bool is_ended;
    int error;
};

/* Keep the first failure; message may be the one that is there already. */
static int fail(struct outlet *outlet, int error, const char *message)
{
    pthread_mutex_lock(&outlet->lock);
    if (outlet->error == 0) {
        outlet->error = error == -ESTALE ? -EBADMSG : error;
        (void)snprintf(outlet->result->message, sizeof outlet->result->message, "%s", message);
        pthread_cond_broadcast(&outlet->for_producer);
        pthread_cond_broadcast(&outlet->for_readers);
        pthread_cond_broadcast(&outlet->for_writer);
    }
    pthread_mutex_unlock(&outlet->lock);
    return error;
}

static int fail_file(struct outlet *outlet, const char *name, int error)
{
    char message[900];

    lookup_explain(outlet->lookup, name, error, message, sizeof message);
    return fail(outlet, error, message);
}

/* -- the producer -- */

/* With the lock held: how far the writer may go. */
static uint64_t ready(const struct outlet *outlet)
{
    return outlet->task_first < outlet->task_end ? outlet->tasks[outlet->task_first % TASKS].begin
                                                 : outlet->offered;
}

/* For a batch, or for less if no more will come before it is written. */
static void wake_writer(struct outlet *outlet, bool is_urgent)
{
    bool is_all = outlet->task_first == outlet->task_end &&
                  (outlet->is_ended || outlet->producer_waits);

    if (outlet->writer_waits &&
        (is_urgent || is_all || ready(outlet) - outlet->written >= WRITE_BATCH)) {
        outlet->writer_waits = false;
        pthread_cond_signal(&outlet->for_writer);
    }
}

static void wake_readers(struct outlet *outlet, uint64_t least)
{
    if (outlet->readers_wait > 0 && outlet->task_end - outlet->task_next >= least)
        pthread_cond_signal(&outlet->for_readers);
}

/* With the lock held, wait until `length` bytes are free, and a task if one is wanted. */
static int wait_for_room(struct outlet *outlet, size_t length, bool has_task)
{
    outlet->offered = outlet->filled;
    while (outlet->error == 0 &&
           (outlet->filled + length - outlet->written > RING ||
            (has_task && outlet->task_end - outlet->task_first >= TASKS))) {
        wake_readers(outlet, 1);
        wake_writer(outlet, true);
        outlet->producer_waits = true;
        pthread_cond_wait(&outlet->for_producer, &outlet->lock);
    }
    outlet->producer_waits = false;
    return outlet->error;
}

static int spans_of(struct outlet *outlet, uint64_t position, size_t length, struct iovec spans[2])
{
    size_t at = (size_t)(position % RING), first = RING - at;

    if (first > length)
        first = length;
    spans[0] = (struct iovec){.iov_base = outlet->ring + at, .iov_len = first};
    spans[1] = (struct iovec){.iov_base = outlet->ring, .iov_len = length - first};
    return first < length ? 2 : 1;
}

static int put_bytes(struct sink *sink, const void *data, size_t length)
{
    struct outlet *outlet = (struct outlet *)sink;
    const char *from = data;

    while (length > 0) {
        size_t now = length < LARGE ? length : LARGE;
        struct iovec spans[2];
        int result;

        pthread_mutex_lock(&outlet->lock);
        result = wait_for_room(outlet, now, false);
        pthread_mutex_unlock(&outlet->lock);
        if (result < 0)
            return result;
        (void)spans_of(outlet, outlet->filled, now, spans);
        memcpy(spans[0].iov_base, from, spans[0].iov_len);
        memcpy(spans[1].iov_base, from + spans[0].iov_len, spans[1].iov_len);
        outlet->filled += now;
        from += now;
        length -= now;
    }
    return 0;
}

/* Read exactly `size` bytes of fd into the ring, and sum them unless crc is NULL. 0, -ESTALE if there
 * are fewer, or -errno. */
static int read_into(struct outlet *outlet, int fd, uint64_t position, size_t size, uint64_t *crc)
{
    while (size > 0) {
        struct iovec spans[2];
        int count = spans_of(outlet, position, size, spans);
        ssize_t got = readv(fd, spans, count);
        size_t first;

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ESTALE;
        first = (size_t)got < spans[0].iov_len ? (size_t)got : spans[0].iov_len;
        if (crc)
            *crc = crc64_iso_refl(*crc, spans[0].iov_base, first);
        if (crc && (size_t)got > first)
            *crc = crc64_iso_refl(*crc, spans[1].iov_base, (size_t)got - first);
        position += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static int put_large(struct outlet *outlet, const struct sink_file *file)
{
    uint64_t left = file->size, crc = 0;
    int fd = lookup_open(outlet->lookup, file), result = 0;

    if (fd < 0)
        return fail_file(outlet, file->name, fd);
    while (left > 0 && result == 0) {
        size_t now = left < LARGE ? (size_t)left : LARGE;

        pthread_mutex_lock(&outlet->lock);
        result = wait_for_room(outlet, now, false);
        wake_writer(outlet, false);
        pthread_mutex_unlock(&outlet->lock);
        if (result < 0)
            break;
        result = read_into(outlet, fd, outlet->filled, now, file->has_crc ? &crc : NULL);
        if (result < 0)
            fail_file(outlet, file->name, result);
        outlet->filled += now;
        left -= now;
        /* The last piece only goes out if the sum is right: nobody can take it for whole. */
        if (result == 0 && left == 0 && file->has_crc && crc != file->crc)
            result = fail_file(outlet, file->name, -ESTALE);
    }
    close(fd);
    return result;
}

static int put_file(struct sink *sink, const struct sink_file *file)
{
    struct outlet *outlet = (struct outlet *)sink;
    struct task *task;
    char *name;
    int result;

    if (file->size > LARGE)
        return put_large(outlet, file);
    name = strdup(file->name);
    result = name ? 0 : fail(outlet, -ENOMEM, "no memory for a name");
    pthread_mutex_lock(&outlet->lock);
    if (result == 0)
        result = wait_for_room(outlet, (size_t)file->size, true);
    if (result == 0) {
        task = &outlet->tasks[outlet->task_end % TASKS];
        *task = (struct task){.begin = outlet->filled, .file = *file, .name = name};
        task->file.name = name;
        outlet->task_end++;
        outlet->filled += file->size;
        outlet->offered = outlet->filled;
        wake_readers(outlet, WAKE_TASKS);
    }
    pthread_mutex_unlock(&outlet->lock);
    if (result < 0) {
        free(name);
        close_sink_file(file);
    }
    return result;
}

static void *producer_main(void *argument)
{
    struct outlet *outlet = argument;
    char message[sizeof outlet->result->message] = "";
    int result = outlet->producer->run(outlet->producer, &outlet->sink, message, sizeof message);

    if (result < 0)
        fail(outlet, result, message);
    pthread_mutex_lock(&outlet->lock);
    outlet->offered = outlet->filled;
    outlet->is_ended = true;
    pthread_cond_broadcast(&outlet->for_readers);
    pthread_cond_signal(&outlet->for_writer);
    pthread_mutex_unlock(&outlet->lock);
    return NULL;
}

/* -- the readers -- */

static int read_task(struct outlet *outlet, const struct task *task)
{
    const struct sink_file *file = &task->file;
    uint64_t crc = 0;
    int fd = lookup_open(outlet->lookup, file), result;

    if (fd < 0)
        return fd;
    result = read_into(outlet, fd, task->begin, (size_t)file->size, file->has_crc ? &crc : NULL);
    close(fd);
    return result == 0 && file->has_crc && crc != file->crc ? -ESTALE : result;
}

/* With the lock held, take some tasks, all that follow each other: what a lock costs is shared. */
static void take_tasks(struct outlet *outlet)
{
    size_t count = 0;
    uint64_t bytes = 0;

    while (outlet->task_next < outlet->task_end && count++ < BATCH_TASKS && bytes < BATCH_BYTES)
        bytes += outlet->tasks[outlet->task_next++ % TASKS].file.size;
}

/* With the lock held: these are read. */
static void finish_tasks(struct outlet *outlet, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++)
        outlet->tasks[i % TASKS].is_done = true;
    while (outlet->task_first < outlet->task_next &&
           outlet->tasks[outlet->task_first % TASKS].is_done)
        outlet->task_first++;
    wake_writer(outlet, false);
    if (outlet->producer_waits && outlet->task_end - outlet->task_first <= TASKS / 2)
        pthread_cond_signal(&outlet->for_producer);
}

static void *reader_main(void *argument)
{
    struct outlet *outlet = argument;
    uint64_t first, end;
    int result = 0;

    pthread_mutex_lock(&outlet->lock);
    for (;;) {
        while (outlet->task_next == outlet->task_end && !outlet->is_ended && !outlet->error) {
            outlet->readers_wait++;
            pthread_cond_wait(&outlet->for_readers, &outlet->lock);
            outlet->readers_wait--;
        }
        if (outlet->error || outlet->task_next == outlet->task_end)
            break;
        first = outlet->task_next;
        take_tasks(outlet);
        end = outlet->task_next;
        wake_readers(outlet, WAKE_TASKS);
        pthread_mutex_unlock(&outlet->lock);
        for (uint64_t i = first; i < end && result == 0; i++) {
            struct task *task = &outlet->tasks[i % TASKS];

            result = read_task(outlet, task);
            if (result < 0)
                fail_file(outlet, task->name, result);
            free(task->name);
            task->name = NULL;
        }
        pthread_mutex_lock(&outlet->lock);
        if (result < 0)
            break; /* what is in the ring must not go out */
        finish_tasks(outlet, first, end);
    }
    pthread_mutex_unlock(&outlet->lock);
    return NULL;
}

/* -- the writer -- */

static int write_some(struct outlet *outlet, struct encoder *encoder, uint64_t end)
{
    struct iovec spans[2];
    size_t length = (size_t)(end - outlet->written);
    int count = spans_of(outlet, outlet->written, length, spans), result = 0;

    for (int i = 0; i < count && result == 0; i++)
        result = encode(encoder, spans[i].iov_base, spans[i].iov_len, false);
    __atomic_store_n(&outlet->result->written, encoder_written(encoder), __ATOMIC_RELAXED);
    __atomic_store_n(&outlet->result->size, end, __ATOMIC_RELAXED);
    return result;
}

static int write_all(struct outlet *outlet, struct encoder *encoder)
{
    uint64_t end;
    int result;

    for (;;) {
        pthread_mutex_lock(&outlet->lock);
        while (ready(outlet) == outlet->written && !outlet->error &&
               !(outlet->is_ended && outlet->task_first == outlet->task_end)) {
            outlet->writer_waits = true;
            wake_readers(outlet, 1);
            pthread_cond_wait(&outlet->for_writer, &outlet->lock);
        }
        outlet->writer_waits = false;
        end = ready(outlet);
        result = outlet->error;
        pthread_mutex_unlock(&outlet->lock);
        if (result < 0)
            return result;
        if (end == outlet->written) {
            result = encode(encoder, NULL, 0, true);
            outlet->result->written = encoder_written(encoder);
            return result;
        }
        if (end - outlet->written > LARGE)
            end = outlet->written + LARGE;
        result = write_some(outlet, encoder, end);
        if (result < 0)
            return result;
        pthread_mutex_lock(&outlet->lock);
        outlet->written = end;
        if (outlet->producer_waits)
            pthread_cond_signal(&outlet->for_producer);
        pthread_mutex_unlock(&outlet->lock);
    }
}

static int run(struct outlet *outlet, struct encoder *encoder)
{
    pthread_t threads[1 + READERS];
    int started = 0, result;

    for (; started < 1 + READERS; started++)
        if (pthread_create(&threads[started], NULL, started ? reader_main : producer_main, outlet)) {
            fail(outlet, -EAGAIN, "start a thread: resource temporarily unavailable");
            break;
        }
    result = write_all(outlet, encoder);
    if (result < 0) {
        char said[128];

        (void)snprintf(said, sizeof said, "write the tar: %s", strerrordesc_np(-result));
        fail(outlet, result, result == -ECANCELED ? "canceled" : said);
    }
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < TASKS; i++) {
        if (outlet->tasks[i].name)
            close_sink_file(&outlet->tasks[i].file);
        free(outlet->tasks[i].name);
    }
    return outlet->error;
}

int tar_write(struct producer *producer, const struct lookup *lookup,
              const struct hold_tar_out_options *options, struct hold_tar_out_result *result)
{
    struct outlet *outlet = calloc(1, sizeof *outlet);
    struct encoder *encoder = encoder_new((enum hold_compression)options->compression, options->fd,
                                          options->cancel_fd);
    int code = encoder ? -ENOMEM : -errno;
    void *ring = MAP_FAILED;

    memset(result, 0, sizeof *result);
    (void)fcntl(options->fd, F_SETPIPE_SZ, PIPE); /* only a pipe has a size */
    if (outlet && encoder)
        ring = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring != MAP_FAILED) {
        *outlet = (struct outlet){
            .sink = {.bytes = put_bytes, .file = put_file},
            .producer = producer,
            .lookup = lookup,
            .options = options,
            .result = result,
            .lock = PTHREAD_MUTEX_INITIALIZER,
            .for_producer = PTHREAD_COND_INITIALIZER,
            .for_readers = PTHREAD_COND_INITIALIZER,
            .for_writer = PTHREAD_COND_INITIALIZER,
            .ring = ring,
        };
        code = run(outlet, encoder);
        munmap(ring, RING);
    } else {
        (void)snprintf(result->message, sizeof result->message, "write the tar: %s",
                       strerrordesc_np(-code));
    }
    encoder_free(encoder);
    free(outlet);
    return code;
}
