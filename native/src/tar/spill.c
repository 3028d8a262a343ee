#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "spill.h"

int spill_open(int directory_fd)
{
    int fd = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        fd = memfd_create("holdfs-spill", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
