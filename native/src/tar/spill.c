#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "spill.h"

static int open_in_memory(void)
{
    int fd = memfd_create("holdfs-spill", MFD_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int spill_open(int directory_fd)
{
    int fd = openat(directory_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        return open_in_memory();
    return fd < 0 ? -errno : fd;
}

int spill_open_anywhere(void)
{
    const char *top = secure_getenv("TMPDIR");
    int fd = open(top && *top ? top : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    return fd < 0 ? open_in_memory() : fd;
}
