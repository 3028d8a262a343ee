#define _GNU_SOURCE
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>

#include "untar.h"

/* One mapping, not two: a mirrored one would count twice in the process's memory, and what wraps
 * around is written with two iovecs as well. Headers never wrap: they are aligned to BLOCK. */

enum {
    PUBLISH = 1 << 20,       /* at most this much is written before others see it */
    HASH_BATCH = 256 << 10,  /* what the hasher is woken for */
    SPACE_BATCH = 1 << 20,   /* what the reader is woken for */
    PARSED_BATCH = 256 << 10
};

int ring_make(struct untar *untar, size_t size)
{
    void *ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (ring == MAP_FAILED)
        return -errno;
    pthread_mutex_lock(&untar->lock);
    untar->ring = ring;
    untar->ring_size = size;
    pthread_mutex_unlock(&untar->lock);
    return 0;
}

static size_t free_space(const struct untar *untar)
{
    uint64_t needed = untar->parsed < untar->hashed ? untar->parsed : untar->hashed;

    for (int i = 0; i < untar->writers; i++)
        if (untar->shards[i].head && untar->shards[i].head->begin < needed)
            needed = untar->shards[i].head->begin;
    return untar->ring_size - (size_t)(untar->written - needed);
}

void ring_check_space(struct untar *untar)
{
    if (untar->reader_wants > 0 && free_space(untar) >= untar->reader_wants) {
        untar->reader_wants = 0;
        pthread_cond_signal(&untar->for_reader);
    }
}

int ring_space(struct untar *untar, unsigned char **to, size_t *room)
{
    size_t at, space;
    int result;

    pthread_mutex_lock(&untar->lock);
    space = free_space(untar);
    while (space < BLOCK && untar->error == 0) {
        untar->reader_wants = SPACE_BATCH;
        pthread_cond_wait(&untar->for_reader, &untar->lock);
        space = free_space(untar);
    }
    untar->reader_wants = 0;
    result = untar->error;
    at = (size_t)(untar->written % untar->ring_size);
    pthread_mutex_unlock(&untar->lock);
    if (space > untar->ring_size - at)
        space = untar->ring_size - at;
    *to = untar->ring + at;
    *room = space < PUBLISH ? space : PUBLISH;
    return result;
}

static void wake_consumers(struct untar *untar)
{
    if (untar->unpacker_waits)
        pthread_cond_signal(&untar->for_unpacker);
    if (untar->hasher_waits &&
        (untar->written - untar->hashed >= HASH_BATCH || untar->is_ended || untar->error))
        pthread_cond_signal(&untar->for_hasher);
}

void ring_written(struct untar *untar, size_t length)
{
    pthread_mutex_lock(&untar->lock);
    untar->written += length;
    wake_consumers(untar);
    pthread_mutex_unlock(&untar->lock);
}

void ring_end(struct untar *untar)
{
    pthread_mutex_lock(&untar->lock);
    untar->is_ended = true;
    wake_consumers(untar);
    pthread_mutex_unlock(&untar->lock);
}

int ring_need(struct untar *untar, uint64_t end)
{
    int result;

    if (untar->available >= end)
        return 1;
    pthread_mutex_lock(&untar->lock);
    if (untar->written < end && !untar->is_ended) {
        /* Whoever waits has to let go of what it no longer needs, and wake who works for it. */
        jobs_wake(untar);
        while (untar->written < end && !untar->is_ended && untar->error == 0) {
            ring_check_space(untar);
            untar->unpacker_waits = true;
            pthread_cond_wait(&untar->for_unpacker, &untar->lock);
        }
        untar->unpacker_waits = false;
    }
    untar->available = untar->written;
    result = untar->error ? untar->error : untar->written >= end;
    pthread_mutex_unlock(&untar->lock);
    return result;
}

void ring_parsed(struct untar *untar, uint64_t position)
{
    /* Seldom enough not to fight for the lock. What is held back is less than the ring spares. */
    if (position - untar->released < PARSED_BATCH)
        return;
    pthread_mutex_lock(&untar->lock);
    untar->parsed = untar->released = position;
    ring_check_space(untar);
    pthread_mutex_unlock(&untar->lock);
}

int ring_spans(const struct untar *untar, uint64_t position, size_t length, struct iovec spans[2])
{
    size_t at = (size_t)(position % untar->ring_size);
    size_t first = untar->ring_size - at;

    if (first >= length) {
        spans[0] = (struct iovec){.iov_base = untar->ring + at, .iov_len = length};
        return 1;
    }
    spans[0] = (struct iovec){.iov_base = untar->ring + at, .iov_len = first};
    spans[1] = (struct iovec){.iov_base = untar->ring, .iov_len = length - first};
    return 2;
}

void ring_copy(const struct untar *untar, uint64_t position, size_t length, void *to)
{
    struct iovec spans[2];
    int count = ring_spans(untar, position, length, spans);

    memcpy(to, spans[0].iov_base, spans[0].iov_len);
    if (count > 1)
        memcpy((char *)to + spans[0].iov_len, spans[1].iov_base, spans[1].iov_len);
}

static int hash_range(struct untar *untar, EVP_MD_CTX *context, uint64_t begin, uint64_t end)
{
    struct iovec spans[2];
    int count = ring_spans(untar, begin, (size_t)(end - begin), spans);

    for (int i = 0; i < count; i++)
        if (!EVP_DigestUpdate(context, spans[i].iov_base, spans[i].iov_len))
            return -ENOMEM;
    return 0;
}

void *hasher_main(void *argument)
{
    struct untar *untar = argument;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint64_t begin = 0, end;
    bool is_last = false;

    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        untar_fail(untar, -ENOMEM, 0, NULL, "no memory for a digest");
    while (!is_last && !untar_failed(untar)) {
        pthread_mutex_lock(&untar->lock);
        while (untar->written - untar->hashed < HASH_BATCH && !untar->is_ended && !untar->error) {
            untar->hasher_waits = true;
            pthread_cond_wait(&untar->for_hasher, &untar->lock);
        }
        untar->hasher_waits = false;
        end = untar->written;
        is_last = untar->is_ended || untar->error;
        pthread_mutex_unlock(&untar->lock);
        if (end - begin > PUBLISH) {
            end = begin + PUBLISH;
            is_last = false;
        }
        if (end > begin && hash_range(untar, context, begin, end) < 0)
            untar_fail(untar, -ENOMEM, begin, NULL, "cannot compute a digest");
        begin = end;
        pthread_mutex_lock(&untar->lock);
        untar->hashed = end;
        ring_check_space(untar);
        pthread_mutex_unlock(&untar->lock);
    }
    if (context)
        EVP_DigestFinal_ex(context, untar->result->sha256, NULL);
    untar->result->size = untar->hashed;
    EVP_MD_CTX_free(context);
    return NULL;
}
