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
 * Both trees are read directory by directory, by two threads, depth first: on a common stack are the
 * directories of which some children are still to be read. What changes below a directory makes it
 * changed too, so it stays known until the last of them is done, and no longer.
 */
enum { WORKERS = 2, CANDIDATES = 512 };

struct pair {
    struct pair *next; /* on the stack */
    struct pair *parent;
    size_t pending; /* itself and children that are not done */
    char *children; /* directories: how they are read, name, NUL; one after the other */
    size_t children_at, children_length;
    bool has_old;
    bool is_reported; /* as a change of its own */
    bool is_dirty;
    char path[];
};

/* How a child is read. */
enum { HAS_OLD = 1, IS_REPORTED = 2 };

struct comparison {
    const struct hold_diff_options *options;
    bool has_sizes;
    struct tree_failure *failure;
    pthread_mutex_t lock;
    pthread_cond_t for_work;
    struct pair *stack;
    struct inodeset *counted; /* of several names, whose size was added */
    int active;
    int error;
};

/* An entry of both that agrees so far. */
struct candidate {
    const char *name;
    bool is_relevant;
    struct statx found;
};

struct worker {
    struct comparison *comparison;
    struct changes changes;
    struct names new_names, old_names;
    struct candidate *candidates;
    size_t candidates_count;
    char *children; /* of the directory that is read now */
    size_t children_length, children_room, children_count;
};

/* -- a directory -- */

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
    pair->is_dirty = true;
    if (found && !S_ISDIR(found->stx_mode)) {
        int result = found->stx_nlink > 1 ? is_first(worker->comparison, found->stx_ino) : 1;

        if (result < 0)
            return result;
        if (result > 0)
            worker->changes.size += found->stx_size;
    }
    return changes_add(&worker->changes, kind, pair->path, name);
}

/* A directory to be read once this one is done. */
static int add_child(struct worker *worker, const char *name, int how)
{
    size_t length = strlen(name) + 1, needed = worker->children_length + 1 + length;

    if (needed > worker->children_room) {
        size_t room = 2 * needed;
        char *children = realloc(worker->children, room);

        if (!children)
            return -ENOMEM;
        worker->children = children;
        worker->children_room = room;
    }
    worker->children[worker->children_length] = (char)how;
    memcpy(worker->children + worker->children_length + 1, name, length);
    worker->children_length = needed;
    worker->children_count++;
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
            result = add_child(worker, name, IS_REPORTED);
    }
    return result;
}

/* Those whose attributes differ are reported; a directory of both is to be read. */
static int compare_candidates(struct worker *worker, struct pair *pair, int new_fd, int old_fd)
{
    size_t count = worker->candidates_count;
    int result = 0;

    worker->candidates_count = 0;
    /* By name from the current directory: by far the quickest of the ways there are. */
    for (int side = 0; side < 2 && count > 0; side++) {
        if (fchdir(side ? old_fd : new_fd) < 0)
            return -errno;
        for (size_t i = 0; i < count; i++)
            if (!worker->candidates[i].is_relevant)
                worker->candidates[i].is_relevant = has_compared(worker->candidates[i].name);
    }
    for (size_t i = 0; result == 0 && i < count; i++) {
        const struct candidate *candidate = &worker->candidates[i];
        bool is_changed =
            candidate->is_relevant && has_other_xattrs(new_fd, old_fd, candidate->name);

        if (is_changed)
            result = report(worker, pair, 'C', candidate->name, &candidate->found);
        if (result == 0 && S_ISDIR(candidate->found.stx_mode))
            result = add_child(worker, candidate->name, HAS_OLD | (is_changed ? IS_REPORTED : 0));
    }
    return result;
}

/* What is only in the new directory, or in both. */
static int compare_name(struct worker *worker, struct pair *pair, int new_fd, int old_fd,
                        const char *name, bool is_new)
{
    struct candidate *candidate = &worker->candidates[worker->candidates_count];
    struct statx *found = &candidate->found, old_found;
    int result = tree_stat(new_fd, name, found);
    bool is_directory = S_ISDIR(found->stx_mode);

    if (result == 0 && !is_new)
        result = tree_stat(old_fd, name, &old_found);
    if (result < 0)
        return result;
    if (is_new || is_different(worker->comparison->options, found, &old_found) ||
        (S_ISLNK(found->stx_mode) && has_other_target(new_fd, old_fd, name))) {
        result = report(worker, pair, is_new ? 'A' : 'C', name, found);
        if (result == 0 && is_directory)
            result = add_child(worker, name,
                               IS_REPORTED |
                                   (!is_new && S_ISDIR(old_found.stx_mode) ? HAS_OLD : 0));
    } else if (is_directory || S_ISREG(found->stx_mode)) {
        candidate->name = name;
        candidate->is_relevant = false;
        if (++worker->candidates_count == CANDIDATES)
            result = compare_candidates(worker, pair, new_fd, old_fd);
    }
    return result;
}

static int compare_names(struct worker *worker, struct pair *pair, int new_fd, int old_fd)
{
    size_t i = 0, j = 0;
    int result = 0;

    while (result == 0 && (i < worker->new_names.count || j < worker->old_names.count)) {
        const char *new = i < worker->new_names.count ? worker->new_names.list[i] : NULL;
        const char *old = j < worker->old_names.count ? worker->old_names.list[j] : NULL;
        int order = !new ? 1 : !old ? -1 : strcmp(new, old);

        if (order > 0)
            result = report(worker, pair, 'D', old, NULL);
        else
            result = compare_name(worker, pair, new_fd, old_fd, new, order < 0);
        i += order <= 0;
        j += order >= 0;
    }
    return result == 0 ? compare_candidates(worker, pair, new_fd, old_fd) : result;
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
            result = compare_names(worker, pair, new_fd, old_fd);
    }
    if (new_fd >= 0)
        close(new_fd);
    if (old_fd >= 0)
        close(old_fd);
    return result;
}

/* -- which directory is next -- */

static void fail(struct comparison *comparison, int error, const char *path)
{
    if (comparison->error)
        return;
    comparison->error = error;
    (void)snprintf(comparison->failure->path, sizeof comparison->failure->path, "/%.500s", path);
}

static struct pair *pair_new(struct pair *parent, const char *name, int how)
{
    size_t above = parent ? strlen(parent->path) : 0, length = strlen(name) + 1;
    struct pair *pair = malloc(sizeof *pair + above + 1 + length);
    char *at;

    if (!pair)
        return NULL;
    *pair = (struct pair){.parent = parent,
                          .pending = 1,
                          .has_old = how & HAS_OLD,
                          .is_reported = how & IS_REPORTED};
    at = pair->path;
    if (above > 0) {
        memcpy(at, parent->path, above);
        at += above;
        *at++ = '/';
    }
    memcpy(at, name, length);
    return pair;
}

/* With the lock held: the next child of the directory that was read last. NULL without memory. */
static struct pair *take_child(struct comparison *comparison)
{
    struct pair *parent = comparison->stack;
    const char *child = parent->children + parent->children_at;
    struct pair *pair = pair_new(parent, child + 1, child[0]);

    parent->children_at += strlen(child + 1) + 2;
    if (parent->children_at == parent->children_length) {
        comparison->stack = parent->next;
        free(parent->children);
        parent->children = NULL;
    }
    return pair;
}

/* With the lock held: what was found below a directory is to be read. */
static void put_children(struct worker *worker, struct pair *pair)
{
    if (worker->children_count == 0)
        return;
    pair->pending += worker->children_count;
    pair->children = worker->children;
    pair->children_length = worker->children_length;
    pair->next = worker->comparison->stack;
    worker->comparison->stack = pair;
    worker->children = NULL;
    worker->children_length = worker->children_room = worker->children_count = 0;
    pthread_cond_signal(&worker->comparison->for_work);
}

/* With the lock held: this one is read. What is dirty and not reported for itself is changed. */
static int finish(struct worker *worker, struct pair *pair)
{
    int result = 0;

    while (pair && --pair->pending == 0) {
        struct pair *parent = pair->parent;

        if (pair->is_dirty && parent)
            parent->is_dirty = true;
        if (pair->is_dirty && !pair->is_reported && result == 0)
            result = changes_add(&worker->changes, 'C', "", pair->path);
        free(pair->children);
        free(pair);
        pair = parent;
    }
    return result;
}

/* With the lock held: read what is next, if there is something, and let its children be next. */
static void work(struct worker *worker)
{
    struct comparison *comparison = worker->comparison;
    struct pair *parent = comparison->stack, *pair = take_child(comparison);
    int result = -ENOMEM;

    if (!pair) {
        fail(comparison, result, "");
        (void)finish(worker, parent);
        return;
    }
    comparison->active++;
    pthread_mutex_unlock(&comparison->lock);
    result = compare_pair(worker, pair);
    pthread_mutex_lock(&comparison->lock);
    comparison->active--;
    if (result < 0)
        fail(comparison, result, pair->path);
    else
        put_children(worker, pair);
    result = finish(worker, pair);
    if (result < 0)
        fail(comparison, result, "");
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct comparison *comparison = worker->comparison;

    /* Its current directory is its own. Where that is forbidden, attributes are not seen, and the
     * process would be moved: then rather fail. */
    int result = unshare(CLONE_FS) < 0 ? -errno : 0;

    worker->candidates = malloc(CANDIDATES * sizeof *worker->candidates);
    if (!worker->candidates)
        result = -ENOMEM;
    pthread_mutex_lock(&comparison->lock);
    if (result < 0)
        fail(comparison, result, "");
    for (;;) {
        while (!comparison->stack && comparison->active > 0 && !comparison->error)
            pthread_cond_wait(&comparison->for_work, &comparison->lock);
        if (!comparison->stack || comparison->error)
            break;
        work(worker);
    }
    pthread_cond_broadcast(&comparison->for_work);
    pthread_mutex_unlock(&comparison->lock);
    names_free(&worker->new_names);
    names_free(&worker->old_names);
    free(worker->candidates);
    free(worker->children);
    return NULL;
}

/* What is left after a failure. */
static void drop_stack(struct worker *worker)
{
    struct pair *pair;

    while ((pair = worker->comparison->stack)) {
        size_t left = 0;

        worker->comparison->stack = pair->next;
        for (size_t at = pair->children_at; at < pair->children_length; left++)
            at += strlen(pair->children + at + 1) + 2;
        for (; left > 0; left--)
            (void)finish(worker, pair);
    }
}

/* Let the whole tree be what is next. */
static int start(struct comparison *comparison)
{
    struct pair *above = pair_new(NULL, "", IS_REPORTED);

    if (!above)
        return -ENOMEM;
    above->children = calloc(1, 2);
    if (!above->children) {
        free(above);
        return -ENOMEM;
    }
    above->children[0] = IS_REPORTED | (comparison->options->old_fd >= 0 ? HAS_OLD : 0);
    above->children_length = 2;
    comparison->stack = above;
    return 0;
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
    int started = 0, result = comparison.counted ? start(&comparison) : -ENOMEM;

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
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    workers[0].comparison = &comparison;
    drop_stack(&workers[0]);
    for (int i = 0; i < WORKERS; i++) {
        result = changes_take(changes, &workers[i].changes);
        if (result < 0)
            fail(&comparison, result, "");
        changes_free(&workers[i].changes);
    }
    inodeset_free(comparison.counted);
    return comparison.error ? comparison.error : changes_sort(changes);
}
