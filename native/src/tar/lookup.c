#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanpath.h"
#include "sink.h"

static int open_in(int directory_fd, const char *name)
{
    struct open_how how = {
        /* Not to wait for a writer where a file became a fifo. */
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long fd;

    do
        fd = syscall(SYS_openat2, directory_fd, name, &how, sizeof how);
    while (fd < 0 && (errno == EINTR || errno == EAGAIN));
    return fd < 0 ? -errno : (int)fd;
}

int lookup_open(const struct lookup *lookup, const struct sink_file *file)
{
    char path[PATH_MAX];
    struct stat found;
    int fd = -ENOENT;

    if (file->fd >= 0)
        return file->fd;
    if (strlen(file->name) >= sizeof path)
        return -ENAMETOOLONG;
    (void)clean_path(file->name, path); /* as Go joins it: d/../f needs no d */
    for (size_t i = 0; i < lookup->count && fd < 0; i++)
        fd = open_in(lookup->fds[i], path);
    if (fd < 0)
        return fd;
    if (fstat(fd, &found) < 0 || !S_ISREG(found.st_mode) || (uint64_t)found.st_size != file->size) {
        close(fd);
        return -ESTALE;
    }
    return fd;
}

void lookup_explain(const struct lookup *lookup, const char *name, int error, char *message,
                    size_t room)
{
    char link[64], directory[PATH_MAX] = "", path[PATH_MAX], said[128];
    ssize_t length = 0;

    if (error == -ESTALE) {
        (void)snprintf(message, room, "file integrity checksum failed for \"%s\"", name);
        return;
    }
    if (lookup->count > 0) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", lookup->fds[lookup->count - 1]);
        length = readlink(link, directory, sizeof directory - 1);
    }
    directory[length > 0 ? length : 0] = 0;
    (void)snprintf(said, sizeof said, "%s", strerrordesc_np(-error));
    said[0] = (char)tolower((unsigned char)said[0]);
    if (strlen(name) < sizeof path) {
        (void)clean_path(name, path);
        name = path;
    }
    (void)snprintf(message, room, "open %s/%s: %s", directory, name, said);
}
