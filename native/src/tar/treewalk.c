#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "treewalk.h"

enum { LISTED = 32 << 10 };

int tree_open(int top_fd, const char *path)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    do
        fd = syscall(SYS_openat2, top_fd, *path ? path : ".", &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? -errno : (int)fd;
}

int tree_stat(int directory_fd, const char *name, struct statx *found)
{
    return statx(directory_fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                 STATX_BASIC_STATS, found) < 0
               ? -errno
               : 0;
}

int tree_look(int directory_fd, const char *name, struct statx *found, int *fd)
{
    *fd = -1;
    if (name_type(name) == DT_REG)
        *fd = openat(directory_fd, name,
                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (*fd < 0)
        return tree_stat(directory_fd, name, found);
    if (statx(*fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, found) < 0) {
        int result = -errno;

        close(*fd);
        *fd = -1;
        return result;
    }
    if (!S_ISREG(found->stx_mode)) { /* it was replaced */
        close(*fd);
        *fd = -1;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_names(struct names *names, const char *listed, size_t length)
{
    if (names->length + length > names->room) {
        size_t room = names->room * 2 > names->length + length ? names->room * 2
                                                               : names->length + length;
        char *text = realloc(names->text, room);

        if (!text)
            return -ENOMEM;
        names->text = text;
        names->room = room;
    }
    for (size_t at = 0; at < length;) {
        const struct dirent64 *entry = (const void *)(listed + at);
        size_t name_length = strlen(entry->d_name) + 1;

        at += entry->d_reclen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        names->text[names->length++] = (char)entry->d_type;
        memcpy(names->text + names->length, entry->d_name, name_length);
        names->length += name_length;
        names->count++;
    }
    return 0;
}

int names_read(struct names *names, int fd)
{
    char listed[LISTED] __attribute__((aligned(8)));
    ssize_t length;
    char *at;

    names->length = names->count = 0;
    do {
        length = getdents64(fd, listed, sizeof listed);
        if (length < 0)
            return -errno;
        if (add_names(names, listed, (size_t)length) < 0)
            return -ENOMEM;
    } while (length > 0);
    free(names->list);
    names->list = malloc((names->count + 1) * sizeof *names->list);
    if (!names->list)
        return -ENOMEM;
    at = names->text;
    for (size_t i = 0; i < names->count; i++) {
        names->list[i] = at + 1;
        at += strlen(at + 1) + 2;
    }
    qsort(names->list, names->count, sizeof *names->list, by_name);
    return 0;
}

void names_free(struct names *names)
{
    free(names->text);
    free(names->list);
    *names = (struct names){0};
}

/* -- the walk -- */

struct tree_walk {
    int top_fd;
    bool has_entered; /* the directory at path */
    char path[PATH_MAX];
    struct listed {
        struct names names;
        size_t next, length; /* of the names; of the path */
    } *listed; /* from the top down */
    size_t depth, room;
};

static int fail_at(struct tree_failure *failure, const char *path, int error)
{
    if (failure->path[0] == 0)
        (void)snprintf(failure->path, sizeof failure->path, "/%.500s", path);
    return error;
}

struct tree_walk *tree_walk_new(int top_fd)
{
    struct tree_walk *walk = calloc(1, sizeof *walk);

    if (walk)
        walk->top_fd = top_fd;
    return walk;
}

void tree_walk_free(struct tree_walk *walk)
{
    if (!walk)
        return;
    while (walk->depth > 0)
        names_free(&walk->listed[--walk->depth].names);
    free(walk->listed);
    free(walk);
}

/* Where the file system does not say in its lists of what type a name is, ask for it. */
static int find_types(struct names *names, int fd)
{
    for (size_t i = 0; i < names->count; i++) {
        struct statx found;
        int result;

        if (name_type(names->list[i]) != DT_UNKNOWN)
            continue;
        result = tree_stat(fd, names->list[i], &found);
        if (result < 0)
            return result;
        names->list[i][-1] = (char)IFTODT(found.stx_mode);
    }
    return 0;
}

/* List the directory at walk->path: none stays open, however deep. */
static int enter(struct tree_walk *walk)
{
    struct listed *listed;
    int fd, result;

    if (walk->depth == walk->room) {
        size_t room = walk->room * 2 + 16;

        listed = realloc(walk->listed, room * sizeof *listed);
        if (!listed)
            return -ENOMEM;
        walk->listed = listed;
        walk->room = room;
    }
    fd = tree_open(walk->top_fd, walk->path);
    if (fd < 0)
        return fd;
    listed = &walk->listed[walk->depth++];
    *listed = (struct listed){.length = strlen(walk->path)};
    result = names_read(&listed->names, fd);
    if (result == 0)
        result = find_types(&listed->names, fd);
    close(fd);
    return result;
}

/* Join a name to the path whose length this is. 0 or -ENAMETOOLONG. */
static int join(char path[PATH_MAX], size_t length, const char *name)
{
    size_t below = length > 0 ? length + 1 : 0, size = strlen(name) + 1;

    if (below + size > PATH_MAX)
        return -ENAMETOOLONG;
    if (length > 0)
        path[length] = '/';
    memcpy(path + below, name, size);
    return 0;
}

/* Whether there was room for it. */
static bool add_name(struct tree_run *run, size_t *used, const char *name)
{
    size_t size = strlen(name) + 1;

    if (run->count == RUN_NAMES || 1 + size > sizeof run->text - *used)
        return false;
    run->text[(*used)++] = name[-1];
    memcpy(run->text + *used, name, size);
    run->names[run->count++] = run->text + *used;
    *used += size;
    return true;
}

int tree_walk_next(struct tree_walk *walk, struct tree_run *run, struct tree_failure *failure)
{
    struct listed *listed;
    size_t used = 0;
    int result = walk->has_entered ? 0 : enter(walk);

    if (result < 0)
        return fail_at(failure, walk->path, result);
    walk->has_entered = true;
    for (;;) {
        if (walk->depth == 0)
            return 0;
        listed = &walk->listed[walk->depth - 1];
        walk->path[listed->length] = 0;
        if (listed->next < listed->names.count)
            break;
        names_free(&listed->names);
        walk->depth--;
    }
    memcpy(run->directory, walk->path, listed->length + 1);
    run->count = 0;
    while (walk->has_entered && listed->next < listed->names.count) {
        const char *name = listed->names.list[listed->next];

        if (!add_name(run, &used, name))
            break;
        listed->next++;
        /* Its names come next. Too long a path is told of where the name is looked at. */
        if (name_type(name) == DT_DIR && join(walk->path, listed->length, name) == 0)
            walk->has_entered = false;
    }
    return 1;
}

int tree_run_visit(int top_fd, const struct tree_run *run, bool opens, tree_visit *visit,
                   void *context, struct tree_failure *failure)
{
    size_t length = strlen(run->directory);
    char path[PATH_MAX];
    int fd = tree_open(top_fd, run->directory), result = fd < 0 ? fd : 0;

    memcpy(path, run->directory, length + 1);
    if (result == 0 && fchdir(fd) < 0)
        result = -errno;
    for (size_t i = 0; result >= 0 && i < run->count; i++) {
        const char *name = run->names[i];
        struct tree_entry entry = {.path = path, .name = name, .directory_fd = fd, .fd = -1};

        result = join(path, length, name);
        if (result == 0)
            result = opens ? tree_look(fd, name, &entry.found, &entry.fd)
                           : tree_stat(fd, name, &entry.found);
        if (result == 0)
            result = visit(context, &entry);
        if (entry.fd >= 0)
            close(entry.fd);
    }
    if (result < 0)
        fail_at(failure, path, result);
    if (fd >= 0)
        close(fd);
    return result < 0 ? result : 0;
}

int walk_tree(int top_fd, bool opens, tree_visit *visit, void *context,
              struct tree_failure *failure)
{
    struct tree_walk *walk = tree_walk_new(top_fd);
    struct tree_run run;
    int result = walk ? 1 : -ENOMEM;

    while (result > 0) {
        result = tree_walk_next(walk, &run, failure);
        if (result > 0) {
            result = tree_run_visit(top_fd, &run, opens, visit, context, failure);
            result = result < 0 ? result : 1;
        }
    }
    tree_walk_free(walk);
    return result;
}
