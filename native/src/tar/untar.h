/*
 * The threads of hold_untar and what they share.
 *
 *   reader  ──►  ring of the tar's bytes  ──►  hasher
 *                                         ──►  unpacker  ──►  writer(s)
 *
 * The reader reads, decompresses and hashes what it read; the hasher takes the digest of the tar;
 * the unpacker parses, makes directories and gives everything else to the writers, as jobs whose
 * payload stays in the ring until they are done. One lock guards all that is shared.
 */
#ifndef HOLDFS_UNTAR_H
#define HOLDFS_UNTAR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "tar.h"
#include "tarsplit.h"

enum { BLOCK = 512, MAX_WRITERS = 2 };

#define OVERRIDE_STAT "user.containers.override_stat"

struct nameset;
struct parent;

enum job_kind { JOB_FILE, JOB_SYMLINK, JOB_NODE, JOB_LINK };

/* What a member gives to whatever is made for it. IDs are those on disk. */
struct attributes {
    mode_t mode;      /* without the type */
    mode_t real_mode; /* the header's own, for force_mask */
    bool has_real;
    uid_t uid;
    gid_t gid;
    struct timespec atime, mtime;
    const char *xattrs; /* name, NUL, length as size_t, value; one after the other */
    size_t xattrs_length;
};

/* One thing to make. Its strings are in the same allocation. */
struct job {
    struct job *next;
    uint64_t order; /* among the jobs of all writers */
    uint64_t begin; /* of the payload in the tar; without one, of nothing needed before it */
    uint64_t size;
    uint64_t member_offset;
    enum job_kind kind;
    struct parent *parent, *target_parent; /* each holds a reference */
    const char *path;                      /* cleaned; for messages */
    const char *name, *target;
    mode_t type;
    dev_t device;
    struct attributes attributes;
};

/* One writer and its jobs, in order; head is the one that is being done. */
struct shard {
    struct untar *untar;
    int index;
    pthread_t thread;
    pthread_cond_t work;
    struct job *head, *tail;
    unsigned queued;
    uint64_t load; /* what the queued jobs cost, see job_cost() */
    unsigned unseen; /* jobs since the writer was last woken or saw the list */
    uint64_t unseen_bytes;
    bool is_waiting;
    bool is_full; /* the unpacker waits until half of the jobs are done */
};

struct untar {
    const struct hold_untar_options *options;
    struct hold_untar_result *result;

    pthread_mutex_t lock;
    pthread_cond_t for_reader, for_hasher, for_unpacker, for_order;
    unsigned char *ring;
    size_t ring_size;
    uint64_t written, hashed, parsed; /* positions in the tar */
    size_t reader_wants;              /* bytes free; 0: the reader does not wait */
    bool hasher_waits, unpacker_waits;
    int order_waits;  /* writers that wait for another's jobs */
    bool is_draining; /* the unpacker waits for all jobs */
    bool is_ended;   /* nothing more will be written to the ring */
    bool is_closed;  /* no more jobs will come */
    int error;       /* the first failure, -errno; everybody stops */
    int stop_fd;        /* eventfd: readable once somebody failed */

    int writers;
    uint64_t jobs;
    struct shard shards[MAX_WRITERS];

    /* the unpacker's own */
    uint64_t available; /* written, when last looked at */
    uint64_t released;  /* parsed, as last told */
    struct tarsplit *split;
    struct nameset *names;
    bool has_umask; /* it is 0 in our threads, so modes are right at creation */
    uid_t uid;
    gid_t gid;
};

/* -- untar.c: failing -- */

/* Keep the first failure and make all threads stop. path may be NULL. Returns error. */
int untar_fail(struct untar *untar, int error, uint64_t offset, const char *path,
               const char *reason);
/* The same for what the kernel said about doing something. */
int untar_fail_errno(struct untar *untar, int error, uint64_t offset, const char *path,
                     const char *doing);
/* Whether somebody failed. */
bool untar_failed(struct untar *untar);

/* -- untar_ring.c -- */

/* Make the ring; called by the reader once the compression is known. 0 or -errno. */
int ring_make(struct untar *untar, size_t size);
/* The reader: where to write and how much, after waiting for space. 0 or the failure. */
int ring_space(struct untar *untar, unsigned char **to, size_t *room);
void ring_written(struct untar *untar, size_t length);
void ring_end(struct untar *untar);
/* The unpacker: wait until the tar is there up to `end`. 1, or 0 if it ends before (then
 * untar->available is where), or the failure. */
int ring_need(struct untar *untar, uint64_t end);
/* Tell that nothing before `position` is needed by the unpacker any more. */
void ring_parsed(struct untar *untar, uint64_t position);
/* [position, position + length) in one or two pieces; how many. */
int ring_spans(const struct untar *untar, uint64_t position, size_t length, struct iovec spans[2]);
void ring_copy(const struct untar *untar, uint64_t position, size_t length, void *to);
/* With the lock held: wake the reader if there is enough space. */
void ring_check_space(struct untar *untar);
void *hasher_main(void *untar);

/* -- untar_source.c -- */
void *reader_main(void *untar);

/* -- untar_jobs.c -- */
int jobs_start(struct untar *untar, int writers);
/* Give a job to a writer and take it over. */
void jobs_add(struct untar *untar, struct job *job);
/* Wake writers that have something to do: before the unpacker waits. With the lock held. */
void jobs_wake(struct untar *untar);
/* Wait until all jobs are done. 0 or the failure. */
int jobs_drain(struct untar *untar);
/* A writer: wait until all jobs before `order` are done. */
void jobs_wait_before(struct shard *shard, uint64_t order);
void jobs_join(struct untar *untar);

/* -- untar_make.c: making one thing; they return -errno -- */

/* Do a job. Tells a failure itself. */
int make_job(struct shard *shard, struct job *job);
/* Create a regular file in place of what is there. shard: NULL in the unpacker. The descriptor. */
int make_file(struct untar *untar, struct shard *shard, const struct job *job);
/* Give it owner, mode, attributes and times. */
int make_file_complete(struct untar *untar, int fd, const struct job *job);
/* Make a directory in place of what is there, unless it is one; is_missing: that is an error.
 * 1 if it is new, 0 if it was there. */
int make_directory(struct untar *untar, struct parent *parent, const char *name,
                   const struct attributes *attributes, bool is_missing);
/* Owner, mode and attributes of a directory that is open. */
int make_directory_attributes(struct untar *untar, int fd, const struct attributes *attributes);
/* writev or pwritev (offset >= 0) of everything. */
int make_write(int fd, struct iovec *spans, int count, off_t offset);

/* -- untar_unpack.c -- */
void *unpacker_main(void *untar);

#endif
