#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "nameset.h"
#include "untar.h"

/* "name" with what terminals would take amiss as \xNN; long names are cut. */
static void quote(const char *name, char *to, size_t room)
{
    char *end = to + room - 8;

    *to++ = '"';
    for (; *name && to < end; name++) {
        unsigned char c = (unsigned char)*name;

        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\')
            to += sprintf(to, "\\x%02x", c);
        else
            *to++ = (char)c;
    }
    strcpy(to, *name ? "...\"" : "\"");
}

int untar_fail(struct untar *untar, int error, uint64_t offset, const char *path,
               const char *reason)
{
    struct hold_untar_result *result = untar->result;
    char name[600] = "";
    uint64_t one = 1;
    ssize_t ignored;

    pthread_mutex_lock(&untar->lock);
    if (untar->error == 0) {
        untar->error = error;
        result->error_offset = offset;
        if (path)
            quote(path, name, sizeof name);
        (void)snprintf(result->message, sizeof result->message, "%s%s%s (at byte %llu of the tar)",
                       reason, path ? ": " : "", name, (unsigned long long)offset);
        ignored = write(untar->stop_fd, &one, sizeof one);
        (void)ignored;
        pthread_cond_broadcast(&untar->for_reader);
        pthread_cond_broadcast(&untar->for_hasher);
        pthread_cond_broadcast(&untar->for_unpacker);
        pthread_cond_broadcast(&untar->for_order);
    }
    pthread_mutex_unlock(&untar->lock);
    return error;
}

int untar_fail_errno(struct untar *untar, int error, uint64_t offset, const char *path,
                     const char *doing)
{
    char said[128] = "", reason[256];

    /* As the Go tools print them: in small letters. */
    (void)snprintf(said, sizeof said, "%s", strerrordesc_np(-error));
    said[0] = (char)tolower((unsigned char)said[0]);
    (void)snprintf(reason, sizeof reason, "%s: %s", doing, said);
    return untar_fail(untar, error, offset, path, reason);
}

bool untar_failed(struct untar *untar)
{
    bool has_failed;

    pthread_mutex_lock(&untar->lock);
    has_failed = untar->error != 0;
    pthread_mutex_unlock(&untar->lock);
    return has_failed;
}

static int run_threads(struct untar *untar)
{
    void *(*const mains[])(void *) = {reader_main, hasher_main, unpacker_main};
    /* They inherit it: one that is woken waits for its turn, and does not interrupt whoever woke
     * it, which as a rule is the one that all wait for. */
    const struct sched_param none = {0};
    bool is_batch =
        sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &none) == 0;
    pthread_t threads[3];
    int started = 0, error = 0;

    for (; started < 3; started++) {
        error = pthread_create(&threads[started], NULL, mains[started], untar);
        if (error) {
            untar_fail_errno(untar, -error, 0, NULL, "start a thread");
            break;
        }
    }
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (is_batch)
        (void)sched_setscheduler(0, SCHED_OTHER, &none);
    return untar->error;
}

int hold_untar(const struct hold_untar_options *options, struct hold_untar_result *result)
{
    struct untar untar = {
        .options = options,
        .result = result,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .for_reader = PTHREAD_COND_INITIALIZER,
        .for_hasher = PTHREAD_COND_INITIALIZER,
        .for_unpacker = PTHREAD_COND_INITIALIZER,
        .for_order = PTHREAD_COND_INITIALIZER,
        .uid = geteuid(),
        .gid = getegid(),
    };
    int code;

    memset(result, 0, sizeof *result);
    untar.stop_fd = eventfd(0, EFD_CLOEXEC);
    untar.names = nameset_new(options->directory_fd);
    if (options->tar_split_fd >= 0)
        untar.split = tarsplit_new(options->tar_split_fd);
    if (untar.stop_fd < 0 || !untar.names || (options->tar_split_fd >= 0 && !untar.split))
        code = untar_fail_errno(&untar, untar.stop_fd < 0 ? -errno : -ENOMEM, 0, NULL, "unpack");
    else
        code = run_threads(&untar);
    if (result->compression == HOLD_COMPRESSION_NONE)
        memcpy(result->compressed_sha256, result->sha256, sizeof result->sha256);
    if (untar.ring)
        munmap(untar.ring, untar.ring_size);
    tarsplit_free(untar.split);
    nameset_free(untar.names);
    if (untar.stop_fd >= 0)
        close(untar.stop_fd);
    return code;
}

void hold_untar_free(struct hold_untar_result *result)
{
    free(result->uids);
    free(result->gids);
    result->uids = result->gids = NULL;
}
