#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "below.h"
#include "holdfs.h"

/* One descriptor is held per level. What is deeper is moved up to the top directory ("parked") and
 * comes up again when that is read once more. */
enum { MAX_DEPTH = 100, MAX_ROUNDS = 10000 };

struct removal {
    int top_fd;
    unsigned long parked;
};

static int remove_directory(struct removal *removal, int parent_fd, const char *name, int depth);

static void clear_flags(int dir_fd, const char *name)
{
    struct stat found;
    int fd, flags;

    /* Only files and directories have these flags, and opening a device may do something. */
    if (fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0 ||
        !(S_ISREG(found.st_mode) || S_ISDIR(found.st_mode)))
        return;
    fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL))) {
        flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
        /* If this fails, so will what is tried next, and that error is the one to tell. */
        (void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
    }
    close(fd);
}

static int unlink_one(int dir_fd, const char *name, int flags)
{
    if (unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT)
        return 0;
    if (errno != EPERM)
        return -errno;
    clear_flags(dir_fd, ".");
    clear_flags(dir_fd, name);
    return unlinkat(dir_fd, name, flags) == 0 || errno == ENOENT ? 0 : -errno;
}

static int is_directory(int dir_fd, const struct dirent *entry)
{
    struct stat found;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    if (fstatat(dir_fd, entry->d_name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return S_ISDIR(found.st_mode);
}

static int park(struct removal *removal, int parent_fd, const char *name)
{
    char parked[32];
    int result;

    do {
        (void)snprintf(parked, sizeof parked, ".removed-%lu", removal->parked++);
        result = renameat2(parent_fd, name, removal->top_fd, parked, RENAME_NOREPLACE);
    } while (result < 0 && errno == EEXIST);
    return result < 0 ? -errno : 0;
}

static int remove_children(struct removal *removal, int fd, int depth)
{
    struct dirent *entry;
    DIR *dir = fdopendir(fd);
    int result = 0;

    if (!dir) {
        result = -errno;
        close(fd);
        return result;
    }
    while (result == 0) {
        errno = 0;
        entry = readdir(dir);
        if (!entry) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (is_directory(fd, entry))
            result = remove_directory(removal, fd, entry->d_name, depth);
        else
            result = unlink_one(fd, entry->d_name, 0);
    }
    closedir(dir);
    return result;
}

static int remove_directory(struct removal *removal, int parent_fd, const char *name, int depth)
{
    int fd, result = -ENOTEMPTY;

    /* A failure to park (immutable, say) is no reason to give up: go on down. */
    if (depth >= MAX_DEPTH && park(removal, parent_fd, name) == 0)
        return 0;
    for (int round = 0; result == -ENOTEMPTY && round < MAX_ROUNDS; round++) {
        fd = hold_open_below(parent_fd, name);
        if (fd < 0)
            return fd == -ENOENT ? 0 : fd;
        if (depth == 0)
            removal->top_fd = fd;
        result = remove_children(removal, fd, depth + 1);
        if (result < 0)
            return result;
        /* Not empty: parked directories, or somebody else made an entry meanwhile. */
        result = unlink_one(parent_fd, name, AT_REMOVEDIR);
    }
    return result;
}

int hold_remove_tree(int dir_fd, const char *name)
{
    struct removal removal = {.top_fd = -1};
    struct stat found;

    if (fstatat(dir_fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISDIR(found.st_mode))
        return unlink_one(dir_fd, name, 0);
    return remove_directory(&removal, dir_fd, name, 0);
}
