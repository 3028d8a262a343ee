#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fullwrite.h"
#include "spill.h"
#include "untar_dirs.h"

/* A million directories are no reason for more memory than this: what is over it goes to a file
 * without a name. No record is longer than a path may be. */
enum { KEPT = 4 << 20, RECORD = 16 << 10 };

static int spill(struct directories *directories)
{
    int result;

    if (directories->spill_fd < 0)
        directories->spill_fd = spill_open(directories->untar->options->directory_fd);
    if (directories->spill_fd < 0)
        return directories->spill_fd;
    result = write_fully(directories->spill_fd, directories->times, directories->times_length,
                         (int64_t)directories->spilled);
    directories->spilled += directories->times_length;
    directories->times_length = 0;
    return result;
}

int directories_add_times(struct directories *directories, const char *path,
                          const struct attributes *attributes)
{
    const struct timespec times[2] = {attributes->atime, attributes->mtime};
    size_t length = strlen(path) + 1, needed = sizeof times + length;
    char *at;

    if (needed > RECORD)
        return -ENAMETOOLONG;
    if (directories->times_length + needed > KEPT) {
        int result = spill(directories);

        if (result < 0)
            return result;
    }
    if (directories->times_length + needed > directories->times_room) {
        size_t room = directories->times_room ? directories->times_room * 2 : 64 << 10;

        at = realloc(directories->times, room);
        if (!at)
            return -ENOMEM;
        directories->times = at;
        directories->times_room = room;
    }
    at = directories->times + directories->times_length;
    memcpy(at, times, sizeof times);
    memcpy(at + sizeof times, path, length);
    directories->times_length += needed;
    return 0;
}

static int set_times(struct directories *directories, const char *path,
                     const struct timespec times[2])
{
    const char *name = strrchr(path, '/');
    char *above;
    struct parent *parent;
    int result;

    if (*path == 0)
        return futimens(directories->untar->options->directory_fd, times) < 0 ? -errno : 0;
    above = strndup(path, name ? (size_t)(name - path) : 0);
    if (!above)
        return -ENOMEM;
    result = directories_get(directories, above, false, &parent);
    free(above);
    if (result == 0) {
        if (utimensat(parent->fd, name ? name + 1 : path, times, AT_SYMLINK_NOFOLLOW) < 0)
            result = -errno;
        parent_release(parent);
    }
    /* Something later in the tar took its place. */
    return result == -ENOENT || result == -ENOTDIR ? 0 : result;
}

/* Set those of all records that are whole; how many bytes they were, or -errno. */
static ssize_t set_records(struct directories *directories, const char *records, size_t length)
{
    size_t at = 0;
    struct timespec times[2];

    while (at + sizeof times < length) {
        const char *path = records + at + sizeof times;
        const char *end = memchr(path, 0, length - at - sizeof times);
        int result;

        if (!end)
            break;
        memcpy(times, records + at, sizeof times);
        result = set_times(directories, path, times);
        if (result < 0)
            return result;
        at = (size_t)(end + 1 - records);
    }
    return (ssize_t)at;
}

int directories_set_times(struct directories *directories)
{
    enum { PART = 256 << 10 };
    uint64_t offset = 0;
    ssize_t done;
    char *part;

    if (directories->spilled > 0) {
        part = malloc(PART);
        if (!part)
            return -ENOMEM;
        while (offset < directories->spilled) {
            done = pread(directories->spill_fd, part, PART, (off_t)offset);
            if (done == 0)
                errno = EIO;
            done = done > 0 ? set_records(directories, part, (size_t)done) : -errno;
            if (done < 0) {
                free(part);
                return (int)done;
            }
            offset += (uint64_t)done;
        }
        free(part);
    }
    done = set_records(directories, directories->times, directories->times_length);
    return done < 0 ? (int)done : 0;
}
