#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "difftar.h"
#include "treewalk.h"

void tree_explain(const struct tree_failure *failure, int error, char *message, size_t room)
{
    if (error == -EOVERFLOW)
        (void)snprintf(message, room, "%s: an owner has no ID in the container", failure->path);
    else
        (void)snprintf(message, room, "%s: %s", failure->path, strerrordesc_np(-error));
}

int hold_tar_from_diff(const struct hold_diff_options *diff,
                       const struct hold_tar_out_options *options,
                       struct hold_tar_out_result *result)
{
    struct lookup lookup = {.fds = &diff->new_fd, .count = 1};
    int code = -ENOMEM;

    if (diff_is_walk(diff)) {
        struct parts *parts = tree_parts_new(diff);

        if (parts)
            code = tar_write_parts(parts, &lookup, options, result);
        tree_parts_free(parts);
    } else {
        struct producer *generator = generator_new(diff);

        if (generator)
            code = tar_write(generator, &lookup, options, result);
        generator_free(generator);
    }
    return code;
}

/* -- calls that need a thread of their own -- */

struct apart {
    const struct hold_diff_options *diff;
    int spill_fd;
    struct hold_segments **segments;
    struct hold_tar_out_result *result;
    struct changes changes;
    int code;
};

static int run_apart(void *(*run)(void *), struct apart *apart)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, run, apart);

    if (error)
        return -error;
    pthread_join(thread, NULL);
    return apart->code;
}

static void *segments_main(void *argument)
{
    struct apart *apart = argument;
    struct producer *generator = generator_new(apart->diff);
    struct lookup lookup = {.fds = &apart->diff->new_fd, .count = 1};

    apart->code = generator ? segments_make(generator, &lookup, apart->spill_fd,
                                            apart->segments, apart->result)
                            : -ENOMEM;
    generator_free(generator);
    return NULL;
}

int hold_segments_from_diff(const struct hold_diff_options *diff, int spill_fd,
                            struct hold_segments **segments, struct hold_tar_out_result *result)
{
    struct apart apart = {
        .diff = diff, .spill_fd = spill_fd, .segments = segments, .result = result};

    return run_apart(segments_main, &apart);
}

static void *changes_main(void *argument)
{
    struct apart *apart = argument;
    struct tree_failure failure = {0};

    apart->code = unshare(CLONE_FS) < 0 ? -errno : 0;
    if (apart->code == 0)
        apart->code = apart->diff->is_overlay
                          ? overlay_changes(apart->diff, &apart->changes, &failure)
                          : compare_trees(apart->diff, true, &apart->changes, &failure);
    if (apart->code < 0)
        tree_explain(&failure, apart->code, apart->result->message, sizeof apart->result->message);
    return NULL;
}

/* -- a list to read -- */

struct hold_change_list {
    struct changes changes;
    const char *waiting; /* had no room in the last block */
};

int hold_changes(const struct hold_diff_options *options, struct hold_change_list **made,
                 uint64_t *size, struct hold_tar_out_result *result)
{
    struct hold_change_list *list = calloc(1, sizeof *list);
    struct apart apart = {.diff = options, .result = result};
    int code;

    memset(result, 0, sizeof *result);
    if (!list)
        return -ENOMEM;
    code = run_apart(changes_main, &apart);
    list->changes = apart.changes;
    if (code < 0) {
        hold_changes_free(list);
        return code;
    }
    *size = list->changes.size;
    *made = list;
    return 0;
}

int64_t hold_changes_read(struct hold_change_list *list, char *to, size_t room)
{
    size_t filled = 0;

    for (;;) {
        size_t length;

        if (!list->waiting) {
            int result = changes_next(&list->changes, &list->waiting);

            if (result < 0)
                return result;
            if (result == 0)
                return (int64_t)filled;
        }
        length = strlen(list->waiting) + 2;
        if (filled + length > room)
            return filled > 0 ? (int64_t)filled : -ENOBUFS;
        memcpy(to + filled, list->waiting - 1, length);
        filled += length;
        list->waiting = NULL;
    }
}

void hold_changes_free(struct hold_change_list *list)
{
    if (!list)
        return;
    changes_free(&list->changes);
    free(list);
}
