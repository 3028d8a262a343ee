/* Who asks a mounted file system, again and again, and says how long one time takes.
 *
 *     caller stat PATH COUNT    a stat that the kernel may not answer itself: one request
 *     caller read PATH COUNT    open, one read, close: open, read, flush and release
 *
 * In C, as an interpreter would add microseconds to both sides and bring them closer.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int ask(const char *path)
{
    struct statx attributes;

    return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &attributes);
}

static int read_once(const char *path)
{
    static char buffer[65536];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count;

    if (fd < 0)
        return -1;
    count = read(fd, buffer, sizeof buffer);
    if (close(fd) < 0 || count <= 0)
        return -1;
    return 0;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    int (*call)(const char *) = argc == 4 && strcmp(argv[1], "read") == 0 ? read_once : ask;
    long count = argc == 4 ? atol(argv[3]) : 0;
    double start;

    if (count <= 0) {
        fprintf(stderr, "usage: caller stat|read PATH COUNT\n");
        return 2;
    }
    start = now_s();
    for (long i = 0; i < count; i++) {
        if (call(argv[2]) < 0) {
            fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
            return 1;
        }
    }
    printf("%.9f\n", (now_s() - start) / (double)count);
    return 0;
}
