#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "copydata.h"

enum { XATTRS = 64 << 10 };

/* -- data -- */

static bool has_no_range(int error)
{
    return error == EXDEV || error == EINVAL || error == EOPNOTSUPP || error == ENOSYS ||
           error == EPERM;
}

static ssize_t copy_through(char *buffer, int from, int to, off_t offset, size_t length)
{
    ssize_t got = pread(from, buffer, length < COPY_BUFFER ? length : COPY_BUFFER, offset);
    ssize_t done = 0;

    while (done < got) {
        ssize_t written =
            pwrite(to, buffer + done, (size_t)(got - done), offset + done);

        if (written < 0)
            return written;
        done += written;
    }
    return got;
}

static int copy_range(char *buffer, int from, int to, off_t begin, off_t end, bool is_through)
{
    while (begin < end) {
        size_t length = (size_t)(end - begin);
        loff_t in = begin, out = begin;
        ssize_t copied = is_through ? copy_through(buffer, from, to, begin, length)
                                    : copy_file_range(from, &in, to, &out, length, 0);

        if (copied < 0 && errno == EINTR)
            continue;
        if (copied < 0 && !is_through && has_no_range(errno)) {
            is_through = true;
            continue;
        }
        if (copied <= 0)
            return copied < 0 ? -errno : -EIO; /* it became shorter */
        begin += copied;
    }
    return 0;
}

bool can_share(int directory_fd)
{
    struct statfs found;

    return fstatfs(directory_fd, &found) < 0 || found.f_type != EXT4_SUPER_MAGIC;
}

int copy_data(char *buffer, int from, int to, const struct statx *found, bool shares)
{
    off_t size = (off_t)found->stx_size, offset = 0;
    bool is_through = !shares && size <= COPY_BUFFER;

    if (size == 0)
        return 0;
    if (found->stx_blocks * 512 >= found->stx_size) /* without holes */
        return copy_range(buffer, from, to, 0, size, is_through);
    while (offset < size) {
        off_t begin = lseek(from, offset, SEEK_DATA), end;
        int result;

        if (begin < 0 && errno == ENXIO)
            break; /* a hole up to the end */
        if (begin < 0)
            return -errno;
        end = lseek(from, begin, SEEK_HOLE);
        if (end < 0)
            return -errno;
        if (end > size)
            end = size;
        result = copy_range(buffer, from, to, begin, end, is_through);
        if (result < 0)
            return result;
        offset = end;
    }
    return ftruncate(to, size) < 0 ? -errno : 0;
}

/* -- attributes -- */

static bool is_copied(const char *name)
{
    return strcmp(name, "security.capability") == 0 || strncmp(name, "user.", 5) == 0 ||
           strcmp(name, "trusted.overlay.opaque") == 0;
}

static int copy_xattrs(int from, int to)
{
    char list[4096], *names = list, *value = NULL;
    ssize_t length = flistxattr(from, list, sizeof list);
    int result = 0;

    if (length < 0 && errno == ERANGE) {
        names = malloc(XATTRS);
        length = names ? flistxattr(from, names, XATTRS) : -1;
    }
    if (length < 0)
        result = errno == ENOTSUP ? 0 : -errno;
    for (ssize_t at = 0; result == 0 && at < length; at += (ssize_t)strlen(names + at) + 1) {
        ssize_t size;

        if (!is_copied(names + at))
            continue;
        if (!value)
            value = malloc(XATTR_SIZE_MAX);
        size = value ? fgetxattr(from, names + at, value, XATTR_SIZE_MAX) : -1;
        if (size < 0 || fsetxattr(to, names + at, value, (size_t)size, 0) < 0)
            result = value ? -errno : -ENOMEM;
    }
    if (names != list)
        free(names);
    free(value);
    return result;
}

void times_of(const struct statx *found, struct timespec times[2])
{
    times[0] = (struct timespec){found->stx_atime.tv_sec, found->stx_atime.tv_nsec};
    times[1] = (struct timespec){found->stx_mtime.tv_sec, found->stx_mtime.tv_nsec};
}

int copy_attributes(const struct copied_owner *owner, int from, int to, const struct statx *found,
                    bool has_mode)
{
    struct timespec times[2];
    int result;

    if (!has_owner(owner, found) && fchown(to, found->stx_uid, found->stx_gid) < 0 &&
        !owner->ignores_errors)
        return -errno;
    if (!has_mode && fchmod(to, found->stx_mode & 07777) < 0)
        return -errno;
    result = copy_xattrs(from, to);
    times_of(found, times);
    return result < 0 ? result : futimens(to, times) < 0 ? -errno : 0;
}
