#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

void hold_return_blocks(int size)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, size);
#else
    (void)size;
#endif
}

long hold_read_fresh(int fd, char *memory, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)memory + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)memory + size) / page * page;
    size_t done = 0;

    /* Only advice: where it can't be followed, pages are small. */
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
    while (done < size) {
        ssize_t got = read(fd, memory + done, size - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (long)done;
}
