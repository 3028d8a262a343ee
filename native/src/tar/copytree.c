#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "copydata.h"
#include "inodeset.h"
#include "treewalk.h"

/*
 * Two threads with a stack of directories. A directory gets its times when all in it is made: what
 * is made in its directories later does not change them. Only files of several names wait for the
 * end, when one thread makes them, and their directories get their times again.
 */
enum { WORKERS = 2 };

struct directory {
    struct directory *next;
    char path[];
};

struct copy {
    int source_fd, target_fd;
    bool ignore_chown_errors, in_userns;
    bool shares;    /* data, if the file system can */
    bool has_modes; /* files get the mode that they are made with */
    pthread_mutex_t lock;
    pthread_cond_t for_work;
    struct directory *stack;
    struct directory *linked; /* files of several names */
    int active;
    int error;
    char failed[512];
};

struct worker {
    struct copy *copy;
    struct copied_owner owner; /* of what is made in the directory that is copied */
    struct names names;
    char *buffer;
};

static void fail(struct copy *copy, int error, const char *path)
{
    pthread_mutex_lock(&copy->lock);
    if (copy->error == 0) {
        copy->error = error;
        (void)snprintf(copy->failed, sizeof copy->failed, "/%.500s", path);
    }
    pthread_cond_broadcast(&copy->for_work);
    pthread_mutex_unlock(&copy->lock);
}

static int push(struct copy *copy, struct directory **stack, const char *above, const char *name)
{
    struct directory *directory = malloc(sizeof *directory + strlen(above) + strlen(name) + 2);

    if (!directory)
        return -ENOMEM;
    (void)sprintf(directory->path, "%s%s%s", above, *above ? "/" : "", name);
    pthread_mutex_lock(&copy->lock);
    directory->next = *stack;
    *stack = directory;
    pthread_cond_signal(&copy->for_work);
    pthread_mutex_unlock(&copy->lock);
    return 0;
}

/* -- one entry -- */

/* from is the file, closed here; -1: open it. */
static int copy_file(struct worker *worker, int from_fd, int from, int to_fd, const char *name,
                     const struct statx *found)
{
    const struct copy *copy = worker->copy;
    int to, result;
    /* A change of owner takes the other bits, and writing may. */
    bool has_mode = copy->has_modes && (found->stx_mode & 07000) == 0;

    if (from < 0)
        from = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (from < 0)
        return -errno;
    to = openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                has_mode ? found->stx_mode & 0777 : 0600);
    if (to < 0) {
        result = -errno;
        close(from);
        return result;
    }
    result = copy_data(worker->buffer, from, to, found, copy->shares);
    if (result == 0)
        result = copy_attributes(&worker->owner, from, to, found, has_mode);
    close(from);
    if (close(to) < 0 && result == 0)
        result = -errno;
    return result;
}

static int copy_special(const struct worker *worker, int from_fd, int to_fd, const char *name,
                        const struct statx *found)
{
    const struct copy *copy = worker->copy;
    char target[PATH_MAX];
    struct timespec times[2];

    if (S_ISLNK(found->stx_mode)) {
        ssize_t length = readlinkat(from_fd, name, target, sizeof target - 1);

        if (length < 0)
            return -errno;
        target[length] = 0;
        if (symlinkat(target, to_fd, name) < 0)
            return -errno;
    } else {
        if (copy->in_userns && (S_ISCHR(found->stx_mode) || S_ISBLK(found->stx_mode)))
            return 0;
        if (mknodat(to_fd, name, found->stx_mode,
                    makedev(found->stx_rdev_major, found->stx_rdev_minor)) < 0)
            return -errno;
    }
    if (!has_owner(&worker->owner, found) &&
        fchownat(to_fd, name, found->stx_uid, found->stx_gid, AT_SYMLINK_NOFOLLOW) < 0 &&
        !copy->ignore_chown_errors)
        return -errno;
    if (!S_ISLNK(found->stx_mode) && fchmodat(to_fd, name, found->stx_mode & 07777, 0) < 0)
        return -errno;
    times_of(found, times);
    return utimensat(to_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* -- directories -- */

/* What is made in the directory belongs to us, unless that gives it its own group. */
static int find_owner(struct worker *worker, int to_fd)
{
    struct stat found;

    if (fstat(to_fd, &found) < 0)
        return -errno;
    worker->owner = (struct copied_owner){
        .ignores_errors = worker->copy->ignore_chown_errors,
        .is_known = found.st_gid == getegid(),
        .uid = geteuid(),
        .gid = getegid(),
    };
    return 0;
}

static int copy_entries(struct worker *worker, const char *path, int from_fd, int to_fd)
{
    struct copy *copy = worker->copy;
    int result = names_read(&worker->names, from_fd);

    for (size_t i = 0; result == 0 && i < worker->names.count; i++) {
        const char *name = worker->names.list[i];
        struct statx found;
        int from;

        result = tree_look(from_fd, name, &found, &from);
        if (result < 0) {
            fail(copy, result, path);
        } else if (S_ISDIR(found.stx_mode)) {
            result = mkdirat(to_fd, name, 0700) < 0 ? -errno
                                                    : push(copy, &copy->stack, path, name);
        } else if (found.stx_nlink > 1) {
            result = push(copy, &copy->linked, path, name);
            if (from >= 0)
                close(from);
        } else if (S_ISREG(found.stx_mode)) {
            result = copy_file(worker, from_fd, from, to_fd, name, &found);
        } else {
            result = copy_special(worker, from_fd, to_fd, name, &found);
        }
        if (result < 0) {
            char failed[512];

            (void)snprintf(failed, sizeof failed, "%.250s/%.250s", path, name);
            fail(copy, result, failed);
        }
    }
    return result;
}

/* Open the same directory in both trees. */
static int open_both(const struct copy *copy, const char *path, int *from_fd, int *to_fd)
{
    *from_fd = tree_open(copy->source_fd, path);
    if (*from_fd < 0)
        return *from_fd;
    *to_fd = tree_open(copy->target_fd, path);
    if (*to_fd < 0)
        close(*from_fd);
    return *to_fd < 0 ? *to_fd : 0;
}

static int copy_directory(struct worker *worker, const char *path)
{
    struct statx found;
    int from_fd, to_fd, result = open_both(worker->copy, path, &from_fd, &to_fd);

    if (result < 0)
        return result;
    /* Before reading it changes its time of access. */
    result = statx(from_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &found) < 0 ? -errno : 0;
    if (result == 0)
        result = find_owner(worker, to_fd);
    if (result == 0)
        result = copy_entries(worker, path, from_fd, to_fd);
    if (result == 0)
        result = copy_attributes(&worker->owner, from_fd, to_fd, &found, false);
    close(from_fd);
    close(to_fd);
    return result;
}

/* Not the first three: who writes an error to one of these must not meet a file of the copy. */
static void close_between(int first, int last)
{
    if (first <= STDERR_FILENO)
        first = STDERR_FILENO + 1;
    if (first <= last)
        (void)close_range((unsigned)first, (unsigned)last, 0);
}

/*
 * Give the thread descriptors of its own, of which it has only the first three and those of both directories: it
 * opens and closes 100,000 files, each under a lock that all threads of a process share. What others
 * close meanwhile is closed then, as it is not kept here.
 */
static bool part_descriptors(const struct copy *copy)
{
    bool is_in_order = copy->source_fd < copy->target_fd;
    int low = is_in_order ? copy->source_fd : copy->target_fd;
    int high = is_in_order ? copy->target_fd : copy->source_fd;

    if (close_range((unsigned)high + 1, UINT_MAX, CLOSE_RANGE_UNSHARE) < 0)
        return false;
    close_between(low + 1, high - 1);
    close_between(0, low - 1);
    return true;
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct copy *copy = worker->copy;
    struct directory *directory;
    bool is_parted = part_descriptors(copy);
    int result;

    /* The file mask must not take from what mknod is given. */
    if (unshare(CLONE_FS) == 0)
        (void)umask(0);
    else
        fail(copy, -errno, "");
    pthread_mutex_lock(&copy->lock);
    for (;;) {
        while (!copy->stack && copy->active > 0 && !copy->error)
            pthread_cond_wait(&copy->for_work, &copy->lock);
        directory = copy->stack;
        if (!directory || copy->error)
            break;
        copy->stack = directory->next;
        copy->active++;
        pthread_mutex_unlock(&copy->lock);
        result = copy_directory(worker, directory->path);
        if (result < 0)
            fail(copy, result, directory->path);
        free(directory);
        pthread_mutex_lock(&copy->lock);
        copy->active--;
        if (copy->error || (!copy->stack && copy->active == 0))
            pthread_cond_broadcast(&copy->for_work);
    }
    pthread_mutex_unlock(&copy->lock);
    /* Who has waited for the thread may unmount: the kernel would close them only after that. */
    if (is_parted)
        (void)close_range(0, UINT_MAX, 0);
    return NULL;
}

/* -- files of several names -- */

static int link_to(const struct copy *copy, const char *first, int to_fd, const char *name)
{
    const char *slash = strrchr(first, '/');
    char above[PATH_MAX];
    int fd, result;

    (void)snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - first) : 0, first);
    fd = tree_open(copy->target_fd, above);
    if (fd < 0)
        return fd;
    result = linkat(fd, slash ? slash + 1 : first, to_fd, name, 0) < 0 ? -errno : 0;
    close(fd);
    return result;
}

static int copy_linked(struct worker *worker, struct inodeset *set, const char *path)
{
    const struct copy *copy = worker->copy;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *first;
    struct statx directory, found;
    struct timespec times[2];
    char above[PATH_MAX];
    int from_fd, to_fd, result;

    (void)snprintf(above, sizeof above, "%.*s", slash ? (int)(slash - path) : 0, path);
    result = open_both(copy, above, &from_fd, &to_fd);
    if (result < 0)
        return result;
    result = statx(to_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &directory) < 0 ? -errno : 0;
    if (result == 0)
        result = find_owner(worker, to_fd);
    if (result == 0)
        result = tree_stat(from_fd, name, &found);
    if (result == 0) {
        result = inodeset_add(set, found.stx_ino, path, &first);
        if (result > 0)
            result = S_ISREG(found.stx_mode)
                         ? copy_file(worker, from_fd, -1, to_fd, name, &found)
                         : copy_special(worker, from_fd, to_fd, name, &found);
        else if (result == 0)
            result = link_to(copy, first, to_fd, name);
    }
    times_of(&directory, times);
    if (result == 0 && futimens(to_fd, times) < 0)
        result = -errno;
    close(from_fd);
    close(to_fd);
    return result;
}

static void *linker_main(void *argument)
{
    struct worker *worker = argument;
    struct copy *copy = worker->copy;
    struct inodeset *set = inodeset_new();

    if (unshare(CLONE_FS) == 0)
        (void)umask(0);
    else
        fail(copy, -errno, "");
    if (!set)
        fail(copy, -ENOMEM, "");
    for (struct directory *each = copy->linked; each && copy->error == 0; each = each->next) {
        int result = copy_linked(worker, set, each->path);

        if (result < 0)
            fail(copy, result, each->path);
    }
    inodeset_free(set);
    return NULL;
}

static void run(struct copy *copy)
{
    struct worker workers[WORKERS] = {0};
    pthread_t threads[WORKERS];
    int started = 0;

    for (int i = 0; i < WORKERS; i++) {
        workers[i].copy = copy;
        workers[i].buffer = malloc(COPY_BUFFER);
        if (!workers[i].buffer)
            fail(copy, -ENOMEM, "");
    }
    for (; started < WORKERS && copy->error == 0; started++)
        if (pthread_create(&threads[started], NULL, worker_main, &workers[started]))
            break;
    if (started == 0)
        fail(copy, -EAGAIN, "");
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (copy->linked && copy->error == 0) {
        if (pthread_create(&threads[0], NULL, linker_main, &workers[0]))
            fail(copy, -EAGAIN, "");
        else
            pthread_join(threads[0], NULL);
    }
    for (int i = 0; i < WORKERS; i++) {
        names_free(&workers[i].names);
        free(workers[i].buffer);
    }
}

static void free_all(struct directory *list)
{
    while (list) {
        struct directory *next = list->next;

        free(list);
        list = next;
    }
}

int hold_copy_tree(int source_fd, int target_fd, int ignore_chown_errors, int in_userns,
                   char *message, size_t room)
{
    struct copy copy = {
        .source_fd = source_fd,
        .target_fd = target_fd,
        .ignore_chown_errors = ignore_chown_errors,
        .in_userns = in_userns,
        .shares = can_share(target_fd),
        /* One that it has for what is made in it counts more than the mode. */
        .has_modes = fgetxattr(target_fd, "system.posix_acl_default", NULL, 0) < 0,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .for_work = PTHREAD_COND_INITIALIZER,
    };
    int result = push(&copy, &copy.stack, "", "");

    if (result < 0)
        fail(&copy, result, "");
    else
        run(&copy);
    free_all(copy.stack);
    free_all(copy.linked);
    if (copy.error && room > 0)
        (void)snprintf(message, room, "copy %s: %s", copy.failed, strerrordesc_np(-copy.error));
    return copy.error;
}
