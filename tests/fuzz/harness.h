/* What the harnesses share. */
#ifndef HOLDFS_FUZZ_HARNESS_H
#define HOLDFS_FUZZ_HARNESS_H

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* End the run, with a report, if something does not hold. */
static inline void must(int holds)
{
    if (!holds)
        abort();
}

/* A file in memory with this content, to be read from its start. */
static inline int memory(const void *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

#endif
