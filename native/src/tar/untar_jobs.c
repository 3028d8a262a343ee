#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>

#include "untar_dirs.h"

/* A sleeping writer is woken for so much: waking costs as much as a small file. */
enum { WAKE_JOBS = 16, WAKE_BYTES = 256 << 10, QUEUED = 4096, UNEVEN = 64 };

static void free_job(struct job *job)
{
    parent_release(job->parent);
    parent_release(job->target_parent);
    free(job);
}

static bool is_idle(const struct untar *untar)
{
    for (int i = 0; i < untar->writers; i++)
        if (untar->shards[i].head)
            return false;
    return true;
}

/* In files: one that is made and given its attributes costs as much as writing 32 KiB. */
static uint64_t job_cost(const struct job *job)
{
    return 1 + (job->size >> 15);
}

/* Take the done one off the list. With the lock held. */
static void remove_head(struct shard *shard)
{
    struct untar *untar = shard->untar;

    shard->load -= job_cost(shard->head);
    shard->head = shard->head->next;
    if (!shard->head)
        shard->tail = NULL;
    shard->queued--;
    ring_check_space(untar);
    if (untar->order_waits > 0 || (shard->is_full && shard->queued <= QUEUED / 2) ||
        (untar->is_draining && is_idle(untar)))
        pthread_cond_broadcast(&untar->for_order);
}

static void *writer_main(void *argument)
{
    struct shard *shard = argument;
    struct untar *untar = shard->untar;
    struct job *job;

    pthread_mutex_lock(&untar->lock);
    for (;;) {
        while (!shard->head && !untar->is_closed) {
            shard->is_waiting = true;
            pthread_cond_wait(&shard->work, &untar->lock);
        }
        shard->is_waiting = false;
        shard->unseen = 0;
        shard->unseen_bytes = 0;
        job = shard->head;
        if (!job)
            break;
        /* After a failure the jobs are only freed. */
        if (untar->error == 0) {
            pthread_mutex_unlock(&untar->lock);
            (void)make_job(shard, job);
            pthread_mutex_lock(&untar->lock);
        }
        remove_head(shard);
        pthread_mutex_unlock(&untar->lock);
        free_job(job);
        pthread_mutex_lock(&untar->lock);
    }
    pthread_mutex_unlock(&untar->lock);
    return NULL;
}

int jobs_start(struct untar *untar, int writers)
{
    for (int i = 0; i < writers; i++) {
        struct shard *shard = &untar->shards[i];
        int error;

        shard->untar = untar;
        shard->index = i;
        pthread_cond_init(&shard->work, NULL);
        error = pthread_create(&shard->thread, NULL, writer_main, shard);
        if (error) {
            pthread_cond_destroy(&shard->work);
            return -error;
        }
        pthread_mutex_lock(&untar->lock);
        untar->writers++;
        pthread_mutex_unlock(&untar->lock);
    }
    return 0;
}

void jobs_wake(struct untar *untar)
{
    for (int i = 0; i < untar->writers; i++)
        if (untar->shards[i].is_waiting && untar->shards[i].head) {
            untar->shards[i].is_waiting = false;
            pthread_cond_signal(&untar->shards[i].work);
        }
}

/* The writer for a job. Two in one directory wait for each other, so it stays with one of them
 * unless the other has much less to do. With the lock held. */
static struct shard *choose_shard(struct untar *untar, struct parent *parent)
{
    int lightest = 0;

    for (int i = 1; i < untar->writers; i++)
        if (untar->shards[i].load < untar->shards[lightest].load)
            lightest = i;
    if (parent->shard < 0 ||
        untar->shards[parent->shard].load > untar->shards[lightest].load + UNEVEN)
        parent->shard = lightest;
    return &untar->shards[parent->shard];
}

void jobs_add(struct untar *untar, struct job *job)
{
    struct shard *shard;

    pthread_mutex_lock(&untar->lock);
    shard = choose_shard(untar, job->parent);
    shard->is_full = shard->queued >= QUEUED;
    while (shard->is_full && shard->queued > QUEUED / 2) {
        jobs_wake(untar);
        pthread_cond_wait(&untar->for_order, &untar->lock);
    }
    shard->is_full = false;
    job->order = untar->jobs++;
    job->next = NULL;
    if (shard->tail)
        shard->tail->next = job;
    else
        shard->head = job;
    shard->tail = job;
    shard->queued++;
    shard->load += job_cost(job);
    shard->unseen++;
    shard->unseen_bytes += job->size;
    if (shard->is_waiting && (shard->unseen >= WAKE_JOBS || shard->unseen_bytes >= WAKE_BYTES)) {
        shard->is_waiting = false;
        pthread_cond_signal(&shard->work);
    }
    pthread_mutex_unlock(&untar->lock);
}

int jobs_drain(struct untar *untar)
{
    int result;

    pthread_mutex_lock(&untar->lock);
    while (!is_idle(untar)) {
        jobs_wake(untar);
        untar->is_draining = true;
        pthread_cond_wait(&untar->for_order, &untar->lock);
    }
    untar->is_draining = false;
    result = untar->error;
    pthread_mutex_unlock(&untar->lock);
    return result;
}

void jobs_wait_before(struct shard *shard, uint64_t order)
{
    struct untar *untar = shard->untar;
    bool is_first;

    pthread_mutex_lock(&untar->lock);
    do {
        is_first = true;
        for (int i = 0; i < untar->writers; i++)
            if (untar->shards[i].head && untar->shards[i].head->order < order)
                is_first = false;
        if (!is_first) {
            /* The one with the lowest number never waits, so this ends. */
            jobs_wake(untar);
            untar->order_waits++;
            pthread_cond_wait(&untar->for_order, &untar->lock);
            untar->order_waits--;
        }
    } while (!is_first);
    pthread_mutex_unlock(&untar->lock);
}

void jobs_join(struct untar *untar)
{
    pthread_mutex_lock(&untar->lock);
    untar->is_closed = true;
    for (int i = 0; i < untar->writers; i++)
        pthread_cond_signal(&untar->shards[i].work);
    pthread_mutex_unlock(&untar->lock);
    for (int i = 0; i < untar->writers; i++) {
        pthread_join(untar->shards[i].thread, NULL);
        pthread_cond_destroy(&untar->shards[i].work);
    }
}
