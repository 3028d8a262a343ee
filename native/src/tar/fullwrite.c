#define _GNU_SOURCE
#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

#include "fullwrite.h"

int write_fully(int fd, const void *data, size_t length, int64_t offset)
{
    const char *from = data;

    while (length > 0) {
        ssize_t written = offset < 0 ? write(fd, from, length) : pwrite(fd, from, length, offset);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        from += written;
        length -= (size_t)written;
        if (offset >= 0)
            offset += written;
    }
    return 0;
}
