#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inodeset.h"
#include "treewalk.h"

/*
 * Both trees are read directory by directory, by two threads with a common stack of what is to be
 * read. A directory that is in both stays known until the end, since what changes below makes it
 * changed too.
 */
enum { WORKERS = 2 };

struct pair {
    struct pair *next;  /* on the stack */
    struct pair *older; /* of all pairs, to free them */
    struct pair *parent;
    bool has_old;
    bool is_reported; /* as a change of its own */
    bool is_dirty;    /* atomic */
    char path[];
};

struct comparison {
    const struct hold_diff_options *options;
    bool has_sizes;
    struct tree_failure *failure;
    pthread_mutex_t lock;
    pthread_cond_t for_work;
    struct pair *stack, *all;
    struct inodeset *counted; /* of several names, whose size was added */
    int active;
    int error;
};

struct worker {
    struct comparison *comparison;
    struct changes changes;
    struct names new_names, old_names;
    struct statx *new_found, *old_found;
    size_t *candidates; /* pairs of names that agree so far: new, old */
    unsigned char *is_relevant;
    size_t room;
};

/* -- a directory -- */

static void mark_dirty(struct pair *pair)
{
    for (; pair && !__atomic_exchange_n(&pair->is_dirty, true, __ATOMIC_RELAXED);)
        pair = pair->parent;
}

/* Whether a file of several names was not met before: 1 or 0, or -ENOMEM. */
static int is_first(struct comparison *comparison, uint64_t inode)
{
    int result;

    pthread_mutex_lock(&comparison->lock);
    result = inodeset_add(comparison->counted, inode, "", NULL);
    pthread_mutex_unlock(&comparison->lock);
    return result;
}

static int report(struct worker *worker, struct pair *pair, char kind, const char *name,
                  const struct statx *found)
{
    mark_dirty(pair);
    if (found && !S_ISDIR(found->stx_mode)) {
        int result = found->stx_nlink > 1 ? is_first(worker->comparison, found->stx_ino) : 1;

        if (result < 0)
            return result;
        if (result > 0)
            worker->changes.size += found->stx_size;
    }
    return changes_add(&worker->changes, kind, pair->path, name);
}

static int push(struct comparison *comparison, struct pair *parent, const char *name, bool has_old,
                bool is_reported)
{
    size_t above = parent ? strlen(parent->path) : 0, length = strlen(name) + 1;
    struct pair *pair = malloc(sizeof *pair + above + 1 + length);
    char *at;

    if (!pair)
        return -ENOMEM;
    *pair = (struct pair){.parent = parent, .has_old = has_old, .is_reported = is_reported};
    at = pair->path;
    if (above > 0) {
        memcpy(at, parent->path, above);
        at += above;
        *at++ = '/';
    }
    memcpy(at, name, length);
    pthread_mutex_lock(&comparison->lock);
    pair->next = comparison->stack;
    comparison->stack = pair;
    pair->older = comparison->all;
    comparison->all = pair;
    pthread_cond_signal(&comparison->for_work);
    pthread_mutex_unlock(&comparison->lock);
    return 0;
}

static int read_added(struct worker *worker, struct pair *pair, int new_fd)
{
    struct comparison *comparison = worker->comparison;
    int result = names_read(&worker->new_names, new_fd);

    for (size_t i = 0; result == 0 && i < worker->new_names.count; i++) {
        const char *name = worker->new_names.list[i];
        bool is_directory = name_type(name) == DT_DIR;
        struct statx found;

        if (comparison->has_sizes || name_type(name) == DT_UNKNOWN) {
            result = tree_stat(new_fd, name, &found);
            if (result < 0)
                break;
            is_directory = S_ISDIR(found.stx_mode);
        }
        result = report(worker, pair, 'A', name, comparison->has_sizes ? &found : NULL);
        if (result == 0 && is_directory)
            result = push(comparison, pair, name, false, true);
    }
    return result;
}

static int make_room(struct worker *worker)
{
    size_t count = worker->new_names.count > worker->old_names.count ? worker->new_names.count
                                                                     : worker->old_names.count;

    if (count <= worker->room)
        return 0;
    free(worker->new_found);
    free(worker->old_found);
    free(worker->candidates);
    free(worker->is_relevant);
    worker->room = count * 2;
    worker->new_found = malloc(worker->room * sizeof *worker->new_found);
    worker->old_found = malloc(worker->room * sizeof *worker->old_found);
    worker->candidates = malloc(worker->room * 2 * sizeof *worker->candidates);
    worker->is_relevant = malloc(worker->room);
    return worker->new_found && worker->old_found && worker->candidates && worker->is_relevant
               ? 0
               : -ENOMEM;
}

/* Those whose attributes differ are reported; a directory of both is to be read. */
static int compare_candidates(struct worker *worker, struct pair *pair, int new_fd, int old_fd,
                              size_t count)
{
    int result = 0;

    memset(worker->is_relevant, 0, count);
    /* By name from the current directory: by far the quickest of the ways there are. */
    for (int side = 0; side < 2; side++) {
        if (fchdir(side ? old_fd : new_fd) < 0)
            return -errno;
        for (size_t i = 0; i < count; i++)
            if (!worker->is_relevant[i])
                worker->is_relevant[i] =
                    has_compared(worker->new_names.list[worker->candidates[2 * i]]);
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        const char *name = worker->new_names.list[worker->candidates[2 * i]];
        const struct statx *found = &worker->new_found[worker->candidates[2 * i]];
        bool is_changed =
            worker->is_relevant[i] && has_other_xattrs(new_fd, old_fd, name);

        if (is_changed)
            result = report(worker, pair, 'C', name, found);
        if (result == 0 && S_ISDIR(found->stx_mode))
            result = push(worker->comparison, pair, name, true, is_changed);
    }
    return result;
}

static int compare_names(struct worker *worker, struct pair *pair, int new_fd, int old_fd)
{
    const struct hold_diff_options *options = worker->comparison->options;
    size_t i = 0, j = 0, candidates = 0;
    int result = 0;

    while (result == 0 && (i < worker->new_names.count || j < worker->old_names.count)) {
        const char *new = i < worker->new_names.count ? worker->new_names.list[i] : NULL;
        const char *old = j < worker->old_names.count ? worker->old_names.list[j] : NULL;
        int order = !new ? 1 : !old ? -1 : strcmp(new, old);
        struct statx *new_found = &worker->new_found[i], *old_found = &worker->old_found[j];
        bool is_directory;

        if (order > 0) {
            result = report(worker, pair, 'D', old, NULL);
            j++;
            continue;
        }
        result = tree_stat(new_fd, new, new_found);
        if (result < 0)
            break;
        is_directory = S_ISDIR(new_found->stx_mode);
        i++;
        if (order < 0) {
            result = report(worker, pair, 'A', new, new_found);
            if (result == 0 && is_directory)
                result = push(worker->comparison, pair, new, false, true);
            continue;
        }
        j++;
        result = tree_stat(old_fd, old, old_found);
        if (result < 0)
            break;
        if (is_different(options, new_found, old_found) ||
            (S_ISLNK(new_found->stx_mode) && has_other_target(new_fd, old_fd, new))) {
            result = report(worker, pair, 'C', new, new_found);
            if (result == 0 && is_directory)
                result = push(worker->comparison, pair, new, S_ISDIR(old_found->stx_mode), true);
        } else if (is_directory || S_ISREG(new_found->stx_mode)) {
            worker->candidates[2 * candidates] = i - 1;
            worker->candidates[2 * candidates++ + 1] = j - 1;
        }
    }
    return result == 0 ? compare_candidates(worker, pair, new_fd, old_fd, candidates) : result;
}

static int compare_pair(struct worker *worker, struct pair *pair)
{
    const struct hold_diff_options *options = worker->comparison->options;
    int new_fd = tree_open(options->new_fd, pair->path), old_fd = -1;
    int result = new_fd < 0 ? new_fd : 0;

    if (result == 0 && !pair->has_old)
        result = read_added(worker, pair, new_fd);
    if (result == 0 && pair->has_old) {
        old_fd = tree_open(options->old_fd, pair->path);
        result = old_fd < 0 ? old_fd : names_read(&worker->new_names, new_fd);
        if (result == 0)
            result = names_read(&worker->old_names, old_fd);
        if (result == 0)
            result = make_room(worker);
        if (result == 0)
            result = compare_names(worker, pair, new_fd, old_fd);
    }
    if (new_fd >= 0)
        close(new_fd);
    if (old_fd >= 0)
        close(old_fd);
    return result;
}

static void fail(struct comparison *comparison, int error, const char *path)
{
    if (comparison->error)
        return;
    comparison->error = error;
    (void)snprintf(comparison->failure->path, sizeof comparison->failure->path, "/%.500s", path);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct comparison *comparison = worker->comparison;
    struct pair *pair;

    /* Its current directory is its own. Where that is forbidden, attributes are not seen, and the
     * process would be moved: then rather fail. */
    int result = unshare(CLONE_FS) < 0 ? -errno : 0;

    pthread_mutex_lock(&comparison->lock);
    if (result < 0)
        fail(comparison, result, "");
    for (;;) {
        while (!comparison->stack && comparison->active > 0 && !comparison->error)
            pthread_cond_wait(&comparison->for_work, &comparison->lock);
        pair = comparison->stack;
        if (!pair || comparison->error)
            break;
        comparison->stack = pair->next;
        comparison->active++;
        pthread_mutex_unlock(&comparison->lock);
        result = compare_pair(worker, pair);
        pthread_mutex_lock(&comparison->lock);
        comparison->active--;
        if (result < 0)
            fail(comparison, result, pair->path);
        if (comparison->error || (!comparison->stack && comparison->active == 0))
            pthread_cond_broadcast(&comparison->for_work);
    }
    pthread_mutex_unlock(&comparison->lock);
    names_free(&worker->new_names);
    names_free(&worker->old_names);
    free(worker->new_found);
    free(worker->old_found);
    free(worker->candidates);
    free(worker->is_relevant);
    return NULL;
}

/* What is dirty and not reported for itself is changed. Frees the pairs. */
static int finish_pairs(struct comparison *comparison, struct changes *changes)
{
    struct pair *pair;
    int result = comparison->error;

    while ((pair = comparison->all)) {
        comparison->all = pair->older;
        if (result == 0 && pair->is_dirty && !pair->is_reported && pair->path[0])
            result = changes_add(changes, 'C', "", pair->path);
        free(pair);
    }
    return result;
}

int compare_trees(const struct hold_diff_options *options, bool has_sizes, struct changes *changes,
                  struct tree_failure *failure)
{
    struct comparison comparison = {
        .options = options,
        .has_sizes = has_sizes,
        .failure = failure,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .for_work = PTHREAD_COND_INITIALIZER,
        .counted = inodeset_new(),
    };
    struct worker workers[WORKERS] = {0};
    pthread_t threads[WORKERS];
    int started = 0, result = -ENOMEM;

    if (comparison.counted)
        result = push(&comparison, NULL, "", options->old_fd >= 0, true);
    if (result < 0) {
        inodeset_free(comparison.counted);
        return result;
    }
    for (; started < WORKERS; started++) {
        workers[started].comparison = &comparison;
        if (pthread_create(&threads[started], NULL, worker_main, &workers[started]))
            break;
    }
    if (started == 0)
        fail(&comparison, -EAGAIN, "");
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        if (changes_take(changes, &workers[i].changes) < 0) {
            changes_free(&workers[i].changes);
            fail(&comparison, -ENOMEM, "");
        }
    }
    result = finish_pairs(&comparison, changes);
    inodeset_free(comparison.counted);
    changes_sort(changes);
    return result;
}
