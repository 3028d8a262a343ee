#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "treewalk.h"

/* What makes two entries of one name the same: mode, owner, device, size and time, target and some
 * attributes; neither inode nor the time of the last change of status. */

enum { XATTRS = 4096 };

static int to_container(const struct hold_id_range *map, size_t length, uint32_t id, uint32_t *to)
{
    if (length == 0) {
        *to = id;
        return 0;
    }
    for (size_t i = 0; i < length; i++)
        if (id >= map[i].host && id - map[i].host < map[i].size) {
            *to = map[i].container + (id - map[i].host);
            return 0;
        }
    return -EINVAL;
}

/* As the Go library: if the new owner has no container ID, both are compared as they are. */
static bool has_other_owner(const struct hold_diff_options *options, const struct statx *new,
                            const struct statx *old)
{
    uint32_t new_uid, new_gid, old_uid, old_gid;

    if (to_container(options->new_uid_map, options->new_uid_map_length, new->stx_uid, &new_uid) ||
        to_container(options->new_gid_map, options->new_gid_map_length, new->stx_gid, &new_gid))
        return new->stx_uid != old->stx_uid || new->stx_gid != old->stx_gid;
    if (to_container(options->old_uid_map, options->old_uid_map_length, old->stx_uid, &old_uid) ||
        to_container(options->old_gid_map, options->old_gid_map_length, old->stx_gid, &old_gid)) {
        old_uid = old->stx_uid;
        old_gid = old->stx_gid;
    }
    return new_uid != old_uid || new_gid != old_gid;
}

/* A file system or tar may have cut the nanoseconds off. */
static bool is_same_time(const struct statx_timestamp *a, const struct statx_timestamp *b)
{
    return a->tv_sec == b->tv_sec && (a->tv_nsec == b->tv_nsec || a->tv_nsec == 0 || b->tv_nsec == 0);
}

bool is_different(const struct hold_diff_options *options, const struct statx *new,
                         const struct statx *old)
{
    if (new->stx_mode != old->stx_mode || has_other_owner(options, new, old) ||
        new->stx_rdev_major != old->stx_rdev_major || new->stx_rdev_minor != old->stx_rdev_minor)
        return true;
    return !S_ISDIR(new->stx_mode) &&
           (new->stx_size != old->stx_size || !is_same_time(&new->stx_mtime, &old->stx_mtime));
}

bool has_other_target(int new_fd, int old_fd, const char *name)
{
    char new_target[PATH_MAX], old_target[PATH_MAX];
    ssize_t new_length = readlinkat(new_fd, name, new_target, sizeof new_target);
    ssize_t old_length = readlinkat(old_fd, name, old_target, sizeof old_target);

    return new_length != old_length ||
           (new_length > 0 && memcmp(new_target, old_target, (size_t)new_length) != 0);
}

/* -- extended attributes -- */

static bool is_compared(const char *name)
{
    return strcmp(name, "security.capability") == 0 || strncmp(name, "user.", 5) == 0;
}

bool has_compared(const char *name)
{
    char list[XATTRS];
    ssize_t length = llistxattr(name, list, sizeof list);

    if (length < 0)
        return errno == ERANGE; /* too many to be none */
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(list + at) + 1)
        if (is_compared(list + at))
            return true;
    return false;
}

/* All of those of one file, by path: how many, and whether each is the same at the other. */
static int count_same(const char *path, const char *other, bool *is_same)
{
    ssize_t length = llistxattr(path, NULL, 0);
    char *list = length > 0 ? malloc((size_t)length) : NULL;
    char *values = malloc(2 * XATTR_SIZE_MAX);
    int count = 0;

    *is_same = true;
    length = list ? llistxattr(path, list, (size_t)length) : 0;
    for (ssize_t at = 0; values && at < length; at += (ssize_t)strlen(list + at) + 1) {
        ssize_t one, two;

        if (!is_compared(list + at))
            continue;
        count++;
        one = lgetxattr(path, list + at, values, XATTR_SIZE_MAX);
        two = lgetxattr(other, list + at, values + XATTR_SIZE_MAX, XATTR_SIZE_MAX);
        if (one != two || (one > 0 && memcmp(values, values + XATTR_SIZE_MAX, (size_t)one) != 0))
            *is_same = false;
    }
    free(list);
    free(values);
    return count;
}

bool has_other_xattrs(int new_fd, int old_fd, const char *name)
{
    char new_path[NAME_MAX + 64], old_path[NAME_MAX + 64];
    bool is_same, ignored;

    (void)snprintf(new_path, sizeof new_path, "/proc/self/fd/%d/%s", new_fd, name);
    (void)snprintf(old_path, sizeof old_path, "/proc/self/fd/%d/%s", old_fd, name);
    return count_same(new_path, old_path, &is_same) != count_same(old_path, new_path, &ignored) ||
           !is_same;
}
