#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "inodeset.h"
#include "nameset.h"
#include "treewalk.h"

bool overlay_is_opaque(const struct hold_diff_options *options, int fd)
{
    const char *name = options->in_userns ? "user.overlay.opaque" : "trusted.overlay.opaque";
    char value[2];

    return fgetxattr(fd, name, value, sizeof value) == 1 && value[0] == 'y';
}

/* statx of a path in a lower, no link followed anywhere. */
static int stat_beneath(int top_fd, const char *path, struct statx *found)
{
    const char *slash = strrchr(path, '/');
    char above[PATH_MAX];
    int fd, result;

    if (!slash)
        return tree_stat(top_fd, path, found);
    memcpy(above, path, (size_t)(slash - path));
    above[slash - path] = 0;
    fd = tree_open(top_fd, above);
    if (fd < 0)
        return fd;
    result = tree_stat(fd, slash + 1, found);
    close(fd);
    return result;
}

/* The nearest lower that has path, hidden by nothing between: 1 and what it is, 0, or -errno. */
static int find_lower(const struct hold_diff_options *options, const char *path,
                      struct statx *found)
{
    for (size_t i = 0; i < options->lowers; i++) {
        int result = stat_beneath(options->lower_fds[i], path, found);

        if (result == 0)
            return !is_whiteout(found);
        /* Something else than a directory is on the way, as a rule a whiteout. */
        if (result == -ENOTDIR || result == -ELOOP)
            return 0;
        if (result != -ENOENT)
            return result;
    }
    return 0;
}

int overlay_hides(const struct hold_diff_options *options, const char *path)
{
    struct statx found;

    return find_lower(options, path, &found);
}

struct upper {
    const struct hold_diff_options *options;
    struct changes *changes;
    struct inodeset *seen;
    struct nameset *listed; /* paths that have a change */
};

static bool is_same_directory(const struct statx *upper, const struct statx *lower)
{
    const struct statx_timestamp *a = &upper->stx_mtime, *b = &lower->stx_mtime;

    return S_ISDIR(upper->stx_mode) && S_ISDIR(lower->stx_mode) &&
           upper->stx_size == lower->stx_size && upper->stx_mode == lower->stx_mode &&
           a->tv_sec == b->tv_sec && (a->tv_nsec == b->tv_nsec || a->tv_nsec == 0 || b->tv_nsec == 0);
}

/* 'D' for what is deleted, 'A', 'C', or 0 for a directory as it was; -errno. */
static int kind_of(struct upper *upper, const struct tree_entry *entry)
{
    struct statx lower;
    int result;

    if (is_whiteout(&entry->found))
        return 'D';
    result = find_lower(upper->options, entry->path, &lower);
    if (result < 0)
        return result;
    if (result == 0)
        return 'A';
    if (S_ISDIR(entry->found.stx_mode)) {
        int fd = openat(entry->directory_fd, entry->name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        bool is_opaque;

        if (fd < 0)
            return -errno;
        is_opaque = overlay_is_opaque(upper->options, fd);
        close(fd);
        if (is_opaque)
            return 'D';
    }
    return is_same_directory(&entry->found, &lower) ? 0 : 'C';
}

static int list(struct upper *upper, int kind, const char *path)
{
    int result = nameset_add(upper->listed, path, true);

    return result > 0 ? changes_add(upper->changes, (char)kind, "", path) : result;
}

/* The directories that something is new below or gone from are changed, all the way up. */
static int add(struct upper *upper, int kind, const char *path)
{
    char above[PATH_MAX];
    int result = 0;

    for (const char *slash = path; kind != 'C' && result >= 0; slash++) {
        slash = strchr(slash, '/');
        if (!slash)
            break;
        memcpy(above, path, (size_t)(slash - path));
        above[slash - path] = 0;
        result = list(upper, 'C', above);
    }
    return result < 0 ? result : list(upper, kind, path);
}

static int visit(void *context, struct tree_entry *entry)
{
    struct upper *upper = context;
    int kind = kind_of(upper, entry), result;

    if (kind < 0)
        return kind;
    if (!S_ISDIR(entry->found.stx_mode)) {
        result = entry->found.stx_nlink > 1
                     ? inodeset_add(upper->seen, entry->found.stx_ino, "", NULL)
                     : 1;
        if (result < 0)
            return result;
        if (result > 0)
            upper->changes->size += entry->found.stx_size;
    }
    return kind ? add(upper, kind, entry->path) : 0;
}

int overlay_changes(const struct hold_diff_options *options, struct changes *changes,
                    struct tree_failure *failure)
{
    struct upper upper = {.options = options,
                          .changes = changes,
                          .seen = inodeset_new(),
                          .listed = nameset_new(-1)};
    int result = -ENOMEM;

    if (upper.seen && upper.listed)
        result = walk_tree(options->new_fd, false, visit, &upper, failure);
    inodeset_free(upper.seen);
    nameset_free(upper.listed);
    return result < 0 ? result : changes_sort(changes);
}
