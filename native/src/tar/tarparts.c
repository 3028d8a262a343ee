#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "encode.h"
#include "parts.h"

/*
 * A tar whose parts are made by several threads at once, each into a slot, and go out in order: who
 * finishes the part whose turn it is writes it, and those behind it that others have finished. A
 * part that is larger than its slot waits for its turn, and is written while it is made.
 */
enum {
    SLOTS = 16, SLOT = 256 << 10, PIPE = 1 << 20,
    SPLICED = 32 << 10 /* a file so large is not worth copying */
};

struct slot {
    struct sink sink;
    struct outlet *outlet;
    uint64_t number;
    bool has_turn; /* its maker writes */
    bool is_made;
    size_t filled;
    unsigned char *bytes;
    void *part;
};

struct outlet {
    struct parts *parts;
    const struct lookup *lookup;
    struct encoder *encoder;
    struct hold_tar_out_result *result;
    pthread_mutex_t source; /* of parts->next; taken before the other */
    pthread_mutex_t lock;   /* of what follows */
    pthread_cond_t turned, has_room;
    uint64_t taken, turn; /* parts that are made or written; the first of these */
    bool is_writing, is_ended;
    int makers; /* started */
    int error;
    struct slot slots[SLOTS];
};

/* -- in order -- */

/* Keep the first failure; message may be the one that is there already. */
static int fail(struct outlet *outlet, int error, const char *message)
{
    pthread_mutex_lock(&outlet->lock);
    if (outlet->error == 0) {
        outlet->error = error == -ESTALE ? -EBADMSG : error;
        (void)snprintf(outlet->result->message, sizeof outlet->result->message, "%s", message);
        pthread_cond_broadcast(&outlet->turned);
        pthread_cond_broadcast(&outlet->has_room);
    }
    pthread_mutex_unlock(&outlet->lock);
    return error;
}

/* With nobody else writing: note what went out, or that it did not. */
static int note(struct outlet *outlet, uint64_t size, int result)
{
    struct hold_tar_out_result *so_far = outlet->result;
    char said[128];

    __atomic_store_n(&so_far->written, encoder_written(outlet->encoder), __ATOMIC_RELAXED);
    if (result == 0) {
        __atomic_store_n(&so_far->size, so_far->size + size, __ATOMIC_RELAXED);
        return 0;
    }
    (void)snprintf(said, sizeof said, "write the tar: %s", strerrordesc_np(-result));
    return fail(outlet, result, result == -ECANCELED ? "canceled" : said);
}

static int write_bytes(struct outlet *outlet, const unsigned char *bytes, size_t length)
{
    return note(outlet, length, encode(outlet->encoder, bytes, length, false));
}

static int write_slot(struct slot *slot)
{
    size_t length = slot->filled;

    slot->filled = 0;
    return length ? write_bytes(slot->outlet, slot->bytes, length) : 0;
}

/* Wait until all before a part is out. */
static int wait_for_turn(struct sink *sink)
{
    struct slot *slot = (struct slot *)sink;
    struct outlet *outlet = slot->outlet;
    int result;

    if (slot->has_turn)
        return 0;
    pthread_mutex_lock(&outlet->lock);
    while (outlet->error == 0 && (outlet->turn != slot->number || outlet->is_writing))
        pthread_cond_wait(&outlet->turned, &outlet->lock);
    result = outlet->error;
    if (result == 0)
        slot->has_turn = outlet->is_writing = true;
    pthread_mutex_unlock(&outlet->lock);
    return result;
}

/* A failure is told of in its turn, so that it is the first of several. */
static int fail_in_turn(struct slot *slot, int error, const char *message)
{
    (void)wait_for_turn(&slot->sink);
    return fail(slot->outlet, error, message);
}

/* Write all parts that are complete, unless somebody does. */
static void finish(struct slot *slot)
{
    struct outlet *outlet = slot->outlet;

    pthread_mutex_lock(&outlet->lock);
    slot->is_made = true;
    if (slot->has_turn)
        outlet->is_writing = false;
    slot->has_turn = false;
    if (!outlet->is_writing)
        while (outlet->error == 0 && outlet->slots[outlet->turn % SLOTS].is_made) {
            struct slot *first = &outlet->slots[outlet->turn % SLOTS];

            outlet->is_writing = true;
            pthread_mutex_unlock(&outlet->lock);
            (void)write_slot(first);
            pthread_mutex_lock(&outlet->lock);
            outlet->is_writing = first->is_made = false;
            outlet->turn++;
            pthread_cond_broadcast(&outlet->turned);
            if (outlet->taken - outlet->turn <= SLOTS / 2)
                pthread_cond_signal(&outlet->has_room);
        }
    pthread_mutex_unlock(&outlet->lock);
}

/* -- the sink of a part -- */

static int put_bytes(struct sink *sink, const void *data, size_t length)
{
    struct slot *slot = (struct slot *)sink;
    int result = 0;

    if (length > SLOT - slot->filled) {
        result = wait_for_turn(sink);
        if (result == 0)
            result = write_slot(slot);
    }
    if (result == 0 && length > SLOT)
        return write_bytes(slot->outlet, data, length);
    if (result < 0)
        return result;
    memcpy(slot->bytes + slot->filled, data, length);
    slot->filled += length;
    return 0;
}

/* Read exactly so much into the slot. 0, -ESTALE if there is less, or -errno. */
static int read_into(struct slot *slot, int fd, size_t size)
{
    while (size > 0) {
        ssize_t got = read(fd, slot->bytes + slot->filled, size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -ESTALE;
        slot->filled += (size_t)got;
        size -= (size_t)got;
    }
    return 0;
}

/* In its turn, with nothing in the slot. *is_read: the failure is not one of writing. */
static int put_through(struct slot *slot, int fd, uint64_t size, bool *is_read)
{
    struct outlet *outlet = slot->outlet;
    int result = 0;

    if (size >= SPLICED && encoder_splices(outlet->encoder)) {
        uint64_t left = size;

        result = encoder_splice(outlet->encoder, fd, &left);
        if (result == -EINVAL) /* what holds the file has no such call */
            result = 0;
        *is_read = result < 0 && result != -EPIPE && result != -ECANCELED;
        if (*is_read)
            return result;
        result = note(outlet, size - left, result);
        size = left; /* 0, or for reading */
    }
    while (size > 0 && result == 0) {
        size_t now = size < SLOT ? (size_t)size : SLOT;

        result = read_into(slot, fd, now);
        *is_read = result < 0;
        if (result == 0)
            result = write_slot(slot);
        size -= now;
    }
    return result;
}

static int put_file(struct sink *sink, const struct sink_file *file)
{
    struct slot *slot = (struct slot *)sink;
    struct outlet *outlet = slot->outlet;
    bool is_read = true;
    char message[900];
    int fd = lookup_open(outlet->lookup, file), result = fd < 0 ? fd : 0;

    if (result == 0 && (file->size > SLOT - slot->filled ||
                        (file->size >= SPLICED && encoder_splices(outlet->encoder)))) {
        is_read = false;
        result = wait_for_turn(sink);
        if (result == 0)
            result = write_slot(slot);
        if (result == 0)
            result = put_through(slot, fd, file->size, &is_read);
    } else if (result == 0) {
        result = read_into(slot, fd, (size_t)file->size);
    }
    if (fd >= 0)
        close(fd);
    if (result < 0 && is_read) {
        lookup_explain(outlet->lookup, file->name, result, message, sizeof message);
        (void)fail_in_turn(slot, result, message);
    }
    return result;
}

/* -- the makers -- */

/* The slot of the next part, described; NULL at the end. */
static struct slot *take(struct outlet *outlet)
{
    char message[sizeof outlet->result->message] = "";
    struct slot *slot = NULL;
    int result = 0;

    pthread_mutex_lock(&outlet->source);
    pthread_mutex_lock(&outlet->lock);
    while (outlet->error == 0 && outlet->taken - outlet->turn == SLOTS)
        pthread_cond_wait(&outlet->has_room, &outlet->lock);
    if (outlet->error == 0 && !outlet->is_ended)
        slot = &outlet->slots[outlet->taken % SLOTS];
    pthread_mutex_unlock(&outlet->lock);
    if (slot) {
        result = outlet->parts->next(outlet->parts, slot->part, message, sizeof message);
        pthread_mutex_lock(&outlet->lock);
        slot->number = outlet->taken;
        if (result != 0)
            outlet->taken++;
        outlet->is_ended = result <= 0;
        pthread_mutex_unlock(&outlet->lock);
    }
    pthread_mutex_unlock(&outlet->source);
    if (result < 0)
        (void)fail_in_turn(slot, result, message);
    return result > 0 ? slot : NULL;
}

static void *maker_main(void *argument)
{
    struct outlet *outlet = argument;
    struct parts *parts = outlet->parts;
    struct slot *slot;
    int maker, result = 0;

    pthread_mutex_lock(&outlet->lock);
    maker = outlet->makers++;
    pthread_mutex_unlock(&outlet->lock);
    while (result == 0 && (slot = take(outlet))) {
        char message[sizeof outlet->result->message] = "";

        result = parts->make(parts, maker, slot->part, &slot->sink, message, sizeof message);
        if (result < 0)
            (void)fail_in_turn(slot, result, message);
        else
            finish(slot);
    }
    return NULL;
}

static int run(struct outlet *outlet)
{
    static const unsigned char end[1024];
    pthread_t threads[MAKERS];
    int started = 0, result;

    for (; started < MAKERS; started++)
        if (pthread_create(&threads[started], NULL, maker_main, outlet)) {
            (void)fail(outlet, -EAGAIN, "start a thread: resource temporarily unavailable");
            break;
        }
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (outlet->error < 0)
        return outlet->error;
    result = write_bytes(outlet, end, sizeof end);
    if (result == 0)
        result = note(outlet, 0, encode(outlet->encoder, NULL, 0, true));
    return result;
}

int tar_write_parts(struct parts *parts, const struct lookup *lookup,
                    const struct hold_tar_out_options *options, struct hold_tar_out_result *result)
{
    struct outlet *outlet = calloc(1, sizeof *outlet);
    struct encoder *encoder = encoder_new((enum hold_compression)options->compression, options->fd,
                                          options->cancel_fd);
    int code = encoder ? -ENOMEM : -errno;
    unsigned char *room = malloc(SLOTS * (SLOT + parts->size));

    memset(result, 0, sizeof *result);
    (void)fcntl(options->fd, F_SETPIPE_SZ, PIPE); /* only a pipe has a size */
    if (outlet && encoder && room) {
        *outlet = (struct outlet){
            .parts = parts,
            .lookup = lookup,
            .encoder = encoder,
            .result = result,
            .source = PTHREAD_MUTEX_INITIALIZER,
            .lock = PTHREAD_MUTEX_INITIALIZER,
            .turned = PTHREAD_COND_INITIALIZER,
            .has_room = PTHREAD_COND_INITIALIZER,
        };
        for (size_t i = 0; i < SLOTS; i++)
            outlet->slots[i] = (struct slot){
                .sink = {.bytes = put_bytes, .file = put_file, .in_order = wait_for_turn},
                .outlet = outlet,
                .bytes = room + i * SLOT,
                .part = room + SLOTS * SLOT + i * parts->size,
            };
        code = run(outlet);
    } else {
        (void)snprintf(result->message, sizeof result->message, "write the tar: %s",
                       strerrordesc_np(-code));
    }
    encoder_free(encoder);
    free(room);
    free(outlet);
    return code;
}
