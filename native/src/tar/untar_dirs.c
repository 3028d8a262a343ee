#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "nameset.h"
#include "untar_dirs.h"

void directories_init(struct directories *directories, struct untar *untar)
{
    memset(directories, 0, sizeof *directories);
    directories->untar = untar;
    directories->spill_fd = -1;
}

void directories_forget(struct directories *directories, const char *path)
{
    for (int i = 0; i < PARENT_SLOTS; i++) {
        struct parent *parent = directories->slots[i];

        if (parent && (!path || strcmp(parent->path, path) == 0)) {
            directories->slots[i] = NULL;
            parent_release(parent);
        }
    }
}

void directories_free(struct directories *directories)
{
    directories_forget(directories, NULL);
    free(directories->times);
    if (directories->spill_fd >= 0)
        close(directories->spill_fd);
}

void parent_release(struct parent *parent)
{
    if (!parent || __atomic_sub_fetch(&parent->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    close(parent->fd);
    __atomic_sub_fetch(parent->open_count, 1, __ATOMIC_RELAXED);
    free(parent);
}

static int open_beneath(const struct untar *untar, const char *path, uint64_t resolve)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
        .resolve = resolve | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    do
        fd = syscall(SYS_openat2, untar->options->directory_fd, *path ? path : ".", &how,
                     sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? -errno : (int)fd;
}

/* Open an existing directory; *is_aliased: a link is on the way. */
static int open_existing(struct directories *directories, const char *path, bool *is_aliased)
{
    struct untar *untar = directories->untar;
    int fd;

    *is_aliased = false;
    if (__atomic_load_n(&directories->open_count, __ATOMIC_RELAXED) >= PARENTS_OPEN)
        (void)jobs_drain(untar);
    fd = open_beneath(untar, path, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    if (fd == -EMFILE || fd == -ENFILE) {
        (void)jobs_drain(untar);
        directories_forget(directories, NULL);
        fd = open_beneath(untar, path, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    }
    if (fd == -ELOOP) {
        (void)jobs_drain(untar);
        *is_aliased = true;
        fd = open_beneath(untar, path, RESOLVE_IN_ROOT);
    }
    return fd;
}

static uint64_t hash_path(const char *path)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 0x100000001b3;
    return hash ^ hash >> 32;
}

/* Keep an open directory in its slot. Takes fd over. */
static int keep_parent(struct directories *directories, const char *path, int fd, bool is_aliased,
                       struct parent **kept)
{
    size_t length = strlen(path) + 1;
    struct parent *parent = malloc(sizeof *parent + length);
    struct parent **slot;
    struct stat found;

    if (!parent || fstat(fd, &found) < 0) {
        int result = parent ? -errno : -ENOMEM;

        free(parent);
        close(fd);
        return result;
    }
    *parent = (struct parent){
        .references = 2, /* the slot and the caller */
        .fd = fd,
        .open_count = &directories->open_count,
        .shard = -1,
        .hash = hash_path(path),
        .is_aliased = is_aliased,
        .is_inheriting = (found.st_mode & S_ISGID) != 0 ||
                         fgetxattr(fd, "system.posix_acl_default", NULL, 0) > 0,
    };
    memcpy(parent->path, path, length);
    __atomic_add_fetch(&directories->open_count, 1, __ATOMIC_RELAXED);
    slot = &directories->slots[parent->hash % PARENT_SLOTS];
    parent_release(*slot);
    *slot = parent;
    *kept = parent;
    return 0;
}

/* Make the last part of path in its parent, which is made too if need be. */
static int make_missing(struct directories *directories, const char *path)
{
    const struct hold_untar_options *options = directories->untar->options;
    struct attributes attributes = {
        .mode = options->parent_mode & 07777,
        .uid = options->parent_uid,
        .gid = options->parent_gid,
    };
    const char *name = strrchr(path, '/');
    char *above = strndup(path, name ? (size_t)(name - path) : 0);
    struct parent *parent;
    int result = above ? directories_get(directories, above, true, &parent) : -ENOMEM;

    free(above);
    if (result < 0)
        return result;
    result = make_directory(directories->untar, parent, name ? name + 1 : path, &attributes, true);
    parent_release(parent);
    return result < 0 ? result : 0;
}

int directories_get(struct directories *directories, const char *path, bool is_made,
                    struct parent **parent)
{
    struct untar *untar = directories->untar;
    struct parent *cached = directories->slots[hash_path(path) % PARENT_SLOTS];
    bool is_aliased;
    int fd, result;

    if (cached && strcmp(cached->path, path) == 0) {
        __atomic_add_fetch(&cached->references, 1, __ATOMIC_RELAXED);
        *parent = cached;
        return 0;
    }
    /* A link or file of this tar may be on the way and not be made yet. */
    if (nameset_has_file_on(untar->names, path) && jobs_drain(untar) < 0)
        return -ECANCELED;
    fd = open_existing(directories, path, &is_aliased);
    if (fd == -ENOENT && is_made) {
        result = make_missing(directories, path);
        if (result < 0 && result != -EEXIST)
            return result;
        fd = open_existing(directories, path, &is_aliased);
    }
    return fd < 0 ? fd : keep_parent(directories, path, fd, is_aliased, parent);
}
