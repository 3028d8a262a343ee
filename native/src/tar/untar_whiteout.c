#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../holdfs.h"
#include "untar_unpack.h"

#define PREFIX ".wh."
#define META_PREFIX ".wh..wh."
#define OPAQUE ".wh..wh..opq"

bool unpack_is_aufs(const struct unpacker *unpacker, const char *name)
{
    int whiteouts = unpacker->untar->options->whiteouts;

    if (strncmp(name, META_PREFIX, strlen(META_PREFIX)) != 0 || strcmp(name, OPAQUE) == 0)
        return false;
    /* As an overlay's whiteout it would be one named .wh.*, by which the Go tools know stores with
     * a mount program. Merging, only those at the top are known not to be deletions. */
    return whiteouts == HOLD_WHITEOUTS_OVERLAY || whiteouts == HOLD_WHITEOUTS_OVERLAY_USER ||
           (whiteouts == HOLD_WHITEOUTS_MERGE && name == unpacker->path);
}

static int overlay_opaque(struct unpacker *unpacker, struct parent *parent)
{
    const char *name = unpacker->untar->options->whiteouts == HOLD_WHITEOUTS_OVERLAY
                           ? "trusted.overlay.opaque"
                           : "user.overlay.opaque";

    if (fsetxattr(parent->fd, name, "y", 1, 0) < 0)
        return unpack_fail_errno(unpacker, -errno, "set opaque");
    return 0;
}

static int overlay_whiteout(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    const struct attributes *attributes = &unpacker->attributes;
    size_t above = (size_t)(name - unpacker->path);
    char *target = strdup(unpacker->path);
    bool is_here;

    if (!target)
        return unpack_fail_errno(unpacker, -ENOMEM, "mknod");
    strcpy(target + above, name + strlen(PREFIX));
    is_here = nameset_has(unpacker->untar->names, target);
    free(target);
    /* Of the same tar: it may not be written yet, but the outcome mustn't hang on that. */
    if (is_here || mknodat(parent->fd, name + strlen(PREFIX), S_IFCHR, 0) < 0)
        return unpack_fail_errno(unpacker, is_here ? -EEXIST : -errno, "mknod");
    if (unpacker->untar->options->force_mask < 0 &&
        fchownat(parent->fd, name + strlen(PREFIX), attributes->uid, attributes->gid,
                 AT_SYMLINK_NOFOLLOW) < 0 &&
        !unpacker->untar->options->ignore_chown_errors)
        return unpack_fail_errno(unpacker, -errno, "chown");
    return 0;
}

static int empty_directory(struct unpacker *unpacker, int fd, char *path, size_t length,
                           size_t room);

/* An entry of a directory that becomes opaque: goes, unless this tar made it. */
static int empty_entry(struct unpacker *unpacker, int fd, char *path, size_t length, size_t room,
                       const struct dirent *entry)
{
    size_t name_length = strlen(entry->d_name);
    struct stat found;
    int below_fd;

    if (length + name_length + 2 > room)
        return -ENAMETOOLONG;
    if (length > 0)
        path[length++] = '/';
    memcpy(path + length, entry->d_name, name_length + 1);
    if (!nameset_has(unpacker->untar->names, path))
        return hold_remove_tree(fd, entry->d_name);
    if (fstatat(fd, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISDIR(found.st_mode))
        return 0;
    below_fd = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below_fd < 0)
        return -errno;
    return empty_directory(unpacker, below_fd, path, length + name_length, room);
}

/* Takes fd over. path[..length] is the directory's, and restored. */
static int empty_directory(struct unpacker *unpacker, int fd, char *path, size_t length,
                           size_t room)
{
    DIR *directory = fdopendir(fd);
    const struct dirent *entry;
    int result = 0;

    if (!directory) {
        result = -errno;
        close(fd);
        return result;
    }
    while (result == 0) {
        errno = 0;
        entry = readdir(directory);
        if (!entry) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        result = empty_entry(unpacker, fd, path, length, room, entry);
        path[length] = 0;
    }
    closedir(directory);
    return result;
}

static int merge_opaque(struct unpacker *unpacker, struct parent *parent)
{
    enum { ROOM = 64 << 10 };
    size_t length = strlen(parent->path);
    char *path = malloc(ROOM);
    int result = path && length < ROOM ? 0 : -ENOMEM;
    int fd = -1;

    if (result == 0) {
        memcpy(path, parent->path, length + 1);
        fd = openat(parent->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = fd < 0 ? -errno : empty_directory(unpacker, fd, path, length, ROOM);
    }
    free(path);
    return result < 0 ? unpack_fail_errno(unpacker, result, "empty the directory of") : 0;
}

/* Deletions come after all that is written, and no directory stays open that may be gone. */
static int merge_whiteout(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    int result = jobs_drain(unpacker->untar);

    if (result < 0)
        return result;
    if (strcmp(name, OPAQUE) == 0)
        result = merge_opaque(unpacker, parent);
    else if ((result = hold_remove_tree(parent->fd, name + strlen(PREFIX))) < 0)
        result = unpack_fail_errno(unpacker, result, "remove what is deleted by");
    directories_forget(&unpacker->directories, NULL);
    return result;
}

int unpack_whiteout(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    int whiteouts = unpacker->untar->options->whiteouts, result;
    const char *deleted = name + strlen(PREFIX);

    if (whiteouts == HOLD_WHITEOUTS_KEEP || strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return 0;
    if (*deleted == 0 || strcmp(deleted, ".") == 0 || strcmp(deleted, "..") == 0)
        return unpack_fail(unpacker, -EBADMSG, "the whiteout deletes no name");
    if (whiteouts == HOLD_WHITEOUTS_MERGE)
        result = merge_whiteout(unpacker, parent, name);
    else if (strcmp(name, OPAQUE) == 0)
        result = overlay_opaque(unpacker, parent);
    else
        result = overlay_whiteout(unpacker, parent, name);
    return result < 0 ? result : 1;
}
