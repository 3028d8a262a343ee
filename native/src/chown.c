#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "below.h"
#include "chown.h"

#define CAPABILITY "security.capability"

/* Down to this depth a descriptor is held for each directory on the way; below, a directory is
 * closed while those in it are visited, and found again as their parent. */
enum { HELD_DEPTH = 64, CAPABILITY_SIZE = 64 };

/* The first name of a file with several: where its others are to lead once it is changed. */
struct seen {
    uint64_t device, inode;
    char *path;
};

struct walk {
    const struct hold_id_maps *old_maps, *new_maps;
    unsigned int overflow_uid, overflow_gid;
    int top_fd;
    /* The path of what is being looked at; grows and shrinks with the walk. */
    char path[PATH_MAX];
    size_t length;
    /* Open addressing; capacity is a power of two. */
    struct seen *seen;
    size_t count, capacity;
};

static int to_inside(const struct hold_id_range *ranges, size_t count, unsigned int *id)
{
    if (count == 0)
        return 1;
    for (size_t n = 0; n < count; n++) {
        if (*id >= ranges[n].outside && *id - ranges[n].outside < ranges[n].size) {
            *id = ranges[n].inside + (*id - ranges[n].outside);
            return 1;
        }
    }
    return 0;
}

static unsigned int to_outside(const struct hold_id_range *ranges, size_t count, unsigned int id,
                               unsigned int overflow)
{
    if (count == 0)
        return id;
    for (size_t n = 0; n < count; n++)
        if (id >= ranges[n].inside && id - ranges[n].inside < ranges[n].size)
            return ranges[n].outside + (id - ranges[n].inside);
    return overflow;
}

static int map_owner(const struct walk *walk, unsigned int *uid, unsigned int *gid)
{
    const struct hold_id_maps *from = walk->old_maps, *to = walk->new_maps;
    unsigned int inside_uid = *uid, inside_gid = *gid;

    if (!to_inside(from->uids, from->uid_count, &inside_uid) ||
        !to_inside(from->gids, from->gid_count, &inside_gid)) {
        /* A layer may have been made without regard to its maps: its root is root, then. */
        if (*uid || *gid)
            return -EOVERFLOW;
        inside_uid = inside_gid = 0;
    }
    *uid = to_outside(to->uids, to->uid_count, inside_uid, walk->overflow_uid);
    *gid = to_outside(to->gids, to->gid_count, inside_gid, walk->overflow_gid);
    return 0;
}

static struct seen *find_slot(struct seen *seen, size_t capacity, uint64_t device, uint64_t inode)
{
    size_t n = (size_t)((inode ^ device) * 0x9e3779b97f4a7c15u) & (capacity - 1);

    while (seen[n].path && (seen[n].inode != inode || seen[n].device != device))
        n = (n + 1) & (capacity - 1);
    return &seen[n];
}

static int grow(struct walk *walk)
{
    size_t capacity = walk->capacity ? walk->capacity * 2 : 256;
    struct seen *larger = calloc(capacity, sizeof *larger);

    if (!larger)
        return -ENOMEM;
    for (size_t n = 0; n < walk->capacity; n++) {
        const struct seen *old = &walk->seen[n];

        if (old->path)
            *find_slot(larger, capacity, old->device, old->inode) = *old;
    }
    free(walk->seen);
    walk->seen = larger;
    walk->capacity = capacity;
    return 0;
}

/* The first name of the file, or NULL the first time; *error is -ENOMEM if that can't be kept. */
static const char *first_name(struct walk *walk, const struct stat *found, int *error)
{
    struct seen *slot;

    *error = 0;
    if (walk->count * 2 >= walk->capacity && (*error = grow(walk)) < 0)
        return NULL;
    slot = find_slot(walk->seen, walk->capacity, found->st_dev, found->st_ino);
    if (slot->path)
        return slot->path;
    slot->path = strdup(walk->path);
    if (!slot->path) {
        *error = -ENOMEM;
        return NULL;
    }
    slot->device = found->st_dev;
    slot->inode = found->st_ino;
    walk->count++;
    return NULL;
}

/* Attributes are read and set by path: not all kinds of files can be opened for it. */
static void name_in_proc(char *buffer, size_t size, int dir_fd, const char *name)
{
    (void)snprintf(buffer, size, "/proc/self/fd/%d/%s", dir_fd, name);
}

static int change_one(const struct walk *walk, int dir_fd, const char *name,
                      const struct stat *found)
{
    char capability[CAPABILITY_SIZE], full[PATH_MAX];
    unsigned int uid = found->st_uid, gid = found->st_gid;
    ssize_t size = -1;
    int result = map_owner(walk, &uid, &gid);

    if (result < 0)
        return result;
    if (uid == found->st_uid && gid == found->st_gid)
        return 0;
    if (S_ISREG(found->st_mode)) {
        name_in_proc(full, sizeof full, dir_fd, name);
        size = lgetxattr(full, CAPABILITY, capability, sizeof capability);
        if (size < 0 && errno != ENODATA && errno != EOPNOTSUPP)
            return -errno;
    }
    if (fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    /* The kernel has taken these with the old owner. Not for a link: it has no mode. */
    if (!S_ISLNK(found->st_mode) && (found->st_mode & (S_ISUID | S_ISGID)) &&
        fchmodat(dir_fd, name, found->st_mode & 07777, 0) < 0)
        return -errno;
    if (size > 0 && lsetxattr(full, CAPABILITY, capability, (size_t)size, 0) < 0)
        return -errno;
    return 0;
}

/* Change one entry, not what is below it. *relinked is set if the directory itself was changed. */
static int change_entry(struct walk *walk, int dir_fd, const char *name, int *relinked,
                        int *is_directory)
{
    struct stat found;
    int result;

    if (fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    *is_directory = S_ISDIR(found.st_mode);
    if (!*is_directory && found.st_nlink > 1) {
        const char *first = first_name(walk, &found, &result);

        if (result < 0)
            return result;
        if (first) {
            /* Still the old file where the first name got a copy: lead this one there too. */
            *relinked = 1;
            if (unlinkat(dir_fd, name, 0) < 0)
                return -errno;
            return linkat(walk->top_fd, first, dir_fd, name, 0) < 0 ? -errno : 0;
        }
    }
    return change_one(walk, dir_fd, name, &found);
}

static int enter_path(struct walk *walk, const char *name)
{
    size_t length = strlen(name), slash = walk->length > 0;

    if (walk->length + slash + length >= sizeof walk->path)
        return -ENAMETOOLONG;
    memcpy(walk->path + walk->length, "/", slash);
    memcpy(walk->path + walk->length + slash, name, length + 1);
    walk->length += slash + length;
    return 0;
}

static void leave_path(struct walk *walk, size_t length)
{
    walk->length = length;
    walk->path[length] = '\0';
}

/* Names of directories, each ended by NUL, the whole by an empty one. */
struct names {
    char *text;
    size_t length, capacity;
};

static int add_name(struct names *names, const char *name)
{
    size_t size = strlen(name) + 1;

    if (names->length + size + 1 > names->capacity) {
        size_t capacity = names->capacity * 2 + size + 256;
        char *larger = realloc(names->text, capacity);

        if (!larger)
            return -ENOMEM;
        names->text = larger;
        names->capacity = capacity;
    }
    memcpy(names->text + names->length, name, size);
    names->length += size;
    names->text[names->length] = '\0';
    return 0;
}

/* Change all entries of a directory and collect the directories among them. Keeps dir_fd. */
static int change_entries(struct walk *walk, int dir_fd, struct names *below)
{
    size_t length = walk->length;
    struct dirent *entry;
    struct stat before;
    int result = 0, relinked = 0, is_directory = 0;
    /* Reading has a position, and closes its descriptor: one of its own. */
    int read_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = read_fd < 0 ? NULL : fdopendir(read_fd);

    if (!dir) {
        result = -errno;
        if (read_fd >= 0)
            close(read_fd);
        return result;
    }
    if (fstat(dir_fd, &before) < 0)
        result = -errno;
    while (result == 0) {
        errno = 0;
        entry = readdir(dir);
        if (!entry) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        result = enter_path(walk, entry->d_name);
        if (result == 0)
            result = change_entry(walk, dir_fd, entry->d_name, &relinked, &is_directory);
        if (result == 0 && is_directory)
            result = add_name(below, entry->d_name);
        if (result < 0)
            break; /* the path tells where */
        leave_path(walk, length);
    }
    if (result == 0 && relinked) {
        const struct timespec times[] = {before.st_atim, before.st_mtim};

        if (futimens(dir_fd, times) < 0)
            result = -errno;
    }
    closedir(dir);
    return result;
}

/* The parent of child_fd, if it is still the directory that it was. */
static int open_parent(int child_fd, const struct stat *parent)
{
    struct stat found;
    int fd = openat(child_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &found) == 0 && found.st_ino == parent->st_ino && found.st_dev == parent->st_dev)
        return fd;
    close(fd);
    return -ESTALE;
}

static int change_directory(struct walk *walk, int *dir_fd, int depth);

/* Visit one directory in *dir_fd, which is another descriptor of the same afterwards, or -1. */
static int change_below(struct walk *walk, int *dir_fd, const char *name, int depth)
{
    struct stat parent;
    int result, child_fd = hold_open_below(*dir_fd, name);

    if (child_fd < 0)
        return child_fd;
    if (fstat(*dir_fd, &parent) < 0) {
        result = -errno;
    } else {
        if (depth > HELD_DEPTH) {
            close(*dir_fd);
            *dir_fd = -1;
        }
        result = change_directory(walk, &child_fd, depth);
        if (result == 0 && *dir_fd < 0) {
            *dir_fd = open_parent(child_fd, &parent);
            if (*dir_fd < 0)
                result = *dir_fd;
        }
    }
    if (child_fd >= 0)
        close(child_fd);
    return result;
}

static int change_directory(struct walk *walk, int *dir_fd, int depth)
{
    struct names below = {0};
    size_t length = walk->length;
    int result = change_entries(walk, *dir_fd, &below);

    for (const char *name = below.text; result == 0 && name && *name; name += strlen(name) + 1) {
        result = enter_path(walk, name);
        if (result == 0)
            result = change_below(walk, dir_fd, name, depth + 1);
        if (result == 0)
            leave_path(walk, length);
    }
    free(below.text);
    return result;
}

int hold_chown_tree(int dir_fd, const struct hold_id_maps *old_maps,
                    const struct hold_id_maps *new_maps, unsigned int overflow_uid,
                    unsigned int overflow_gid, char *path, size_t path_size)
{
    struct walk *walk = calloc(1, sizeof *walk);
    int result, fd;

    if (path_size == 0 || !walk) {
        free(walk);
        return path_size ? -ENOMEM : -EINVAL;
    }
    path[0] = '\0';
    walk->old_maps = old_maps;
    walk->new_maps = new_maps;
    walk->overflow_uid = overflow_uid;
    walk->overflow_gid = overflow_gid;
    walk->top_fd = dir_fd;
    fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    result = fd < 0 ? -errno : change_directory(walk, &fd, 0);
    if (fd >= 0)
        close(fd);
    if (result < 0)
        (void)snprintf(path, path_size, "%s", walk->path);
    for (size_t n = 0; n < walk->capacity; n++)
        free(walk->seen[n].path);
    free(walk->seen);
    free(walk);
    return result;
}
