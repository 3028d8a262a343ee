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

struct walk {
    int top_fd;
    bool opens;
    tree_visit *visit;
    void *context;
    struct tree_failure *failure;
    char path[PATH_MAX];
};

static int fail_at(struct walk *walk, int error)
{
    if (walk->failure->path[0] == 0)
        (void)snprintf(walk->failure->path, sizeof walk->failure->path, "/%.500s", walk->path);
    return error;
}

/* Open the directory at walk->path and go there. */
static int enter(struct walk *walk)
{
    int fd = tree_open(walk->top_fd, walk->path);

    if (fd >= 0 && fchdir(fd) < 0) {
        int result = -errno;

        close(fd);
        return result;
    }
    return fd;
}

/* length is that of walk->path. */
static int walk_directory(struct walk *walk, size_t length)
{
    struct names names = {0};
    int fd = enter(walk), result = fd < 0 ? fd : names_read(&names, fd);

    for (size_t i = 0; result >= 0 && i < names.count; i++) {
        const char *name = names.list[i];
        size_t name_length = strlen(name), below = length > 0 ? length + 1 : 0;
        struct tree_entry entry = {
            .path = walk->path, .name = name, .directory_fd = fd, .fd = -1};

        if (below + name_length + 1 > sizeof walk->path) {
            result = -ENAMETOOLONG;
            break;
        }
        if (length > 0)
            walk->path[length] = '/';
        memcpy(walk->path + below, name, name_length + 1);
        result = walk->opens ? tree_look(fd, name, &entry.found, &entry.fd)
                             : tree_stat(fd, name, &entry.found);
        if (result == 0)
            result = walk->visit(walk->context, &entry);
        if (entry.fd >= 0)
            close(entry.fd);
        if (result < 0) {
            fail_at(walk, result);
            break;
        }
        if (S_ISDIR(entry.found.stx_mode)) {
            /* However deep, only one is open. */
            close(fd);
            result = walk_directory(walk, below + name_length);
            walk->path[length] = 0;
            fd = result < 0 ? -1 : enter(walk);
            result = fd < 0 && result >= 0 ? fd : result;
        }
        walk->path[length] = 0;
    }
    if (result < 0)
        fail_at(walk, result);
    if (fd >= 0)
        close(fd);
    names_free(&names);
    return result;
}

int walk_tree(int top_fd, bool opens, tree_visit *visit, void *context,
              struct tree_failure *failure)
{
    struct walk walk = {.top_fd = top_fd,
                        .opens = opens,
                        .visit = visit,
                        .context = context,
                        .failure = failure};
    int result = walk_directory(&walk, 0);

    return result < 0 ? result : 0;
}
