#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>

#include "holdfs.h"

int hold_lock_try(int fd, int exclusive)
{
    struct flock range = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(fd, F_OFD_SETLK, &range) < 0)
        return errno == EACCES ? -EAGAIN : -errno;
    return 0;
}
