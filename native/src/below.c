#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "below.h"

int hold_open_below(int dir_fd, const char *name)
{
    struct statx found;
    int result, fd;

    do
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return -errno;
    /* By the mount, not by the device: a bind mount has that of its source. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &found) < 0)
        result = -errno;
    else
        result = found.stx_attributes & STATX_ATTR_MOUNT_ROOT ? -EBUSY : fd;
    if (result < 0)
        close(fd);
    return result;
}
