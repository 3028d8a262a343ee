#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../holdfs.h"
#include "untar_dirs.h"

static bool is_forced(const struct untar *untar)
{
    return untar->options->force_mask >= 0;
}

static bool needs_owner(const struct untar *untar, const struct attributes *attributes,
                        bool is_inheriting)
{
    return !is_forced(untar) && (is_inheriting || attributes->uid != untar->uid ||
                                 attributes->gid != untar->gid);
}

/* Whether the mode is not that given at creation: chown and write take set-ID bits away. */
static bool needs_mode(const struct untar *untar, const struct attributes *attributes,
                       bool is_inheriting)
{
    return is_inheriting || !untar->has_umask || (attributes->mode & (S_ISUID | S_ISGID));
}

static int chown_result(const struct untar *untar, int result)
{
    return result == 0 || untar->options->ignore_chown_errors ? 0 : -errno;
}

/* One attribute of what fd or path is. Some do not exist everywhere; a label is the mount's. */
static int set_xattr(const struct untar *untar, int fd, const char *path, const char *name,
                     const void *value, size_t length)
{
    int result;

    if (strcmp(name, "security.selinux") == 0)
        return 0;
    result = path ? lsetxattr(path, name, value, length, 0) : fsetxattr(fd, name, value, length, 0);
    if (result == 0 || errno == ENOTSUP || (errno == EPERM && untar->options->in_userns))
        return 0;
    return -errno;
}

/* All attributes, and under force_mask what was not set, of what fd or path is. */
static int set_xattrs(const struct untar *untar, int fd, const char *path,
                      const struct attributes *attributes)
{
    const char *at = attributes->xattrs, *end = at ? at + attributes->xattrs_length : NULL;
    char real[64];
    int result = 0;

    if (is_forced(untar) && attributes->has_real) {
        (void)snprintf(real, sizeof real, "%" PRIu32 ":%" PRIu32 ":0%o", (uint32_t)attributes->uid,
                       (uint32_t)attributes->gid, (unsigned)attributes->real_mode);
        result = set_xattr(untar, fd, path, OVERRIDE_STAT, real, strlen(real));
    }
    while (result == 0 && at < end) {
        const char *name = at;
        size_t length;

        at += strlen(at) + 1;
        memcpy(&length, at, sizeof length);
        at += sizeof length;
        result = set_xattr(untar, fd, path, name, at, length);
        at += length;
    }
    return result;
}

static bool has_xattrs(const struct untar *untar, const struct attributes *attributes)
{
    return attributes->xattrs_length > 0 || (is_forced(untar) && attributes->has_real);
}

/* What can only be given by path: attributes of links and special files. */
static int set_xattrs_of(const struct untar *untar, const struct job *job)
{
    char path[NAME_MAX + 64];

    if (!has_xattrs(untar, &job->attributes))
        return 0;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", job->parent->fd, job->name);
    return set_xattrs(untar, -1, path, &job->attributes);
}

/* Whatever has the name goes. What is below a directory may still be being written by others. */
static int remove_existing(struct untar *untar, struct shard *shard, const struct job *job)
{
    struct stat found;

    if (fstatat(job->parent->fd, job->name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (S_ISDIR(found.st_mode)) {
        if (shard)
            jobs_wait_before(shard, job->order);
        else
            (void)jobs_drain(untar);
    }
    return hold_remove_tree(job->parent->fd, job->name);
}

int make_write(int fd, struct iovec *spans, int count, off_t offset)
{
    while (count > 0) {
        ssize_t written;

        if (spans->iov_len == 0) {
            spans++;
            count--;
            continue;
        }
        written = offset < 0 ? writev(fd, spans, count) : pwritev(fd, spans, count, offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        if (offset >= 0)
            offset += written;
        while (count > 0 && (size_t)written >= spans->iov_len) {
            written -= (ssize_t)spans->iov_len;
            spans++;
            count--;
        }
        if (count > 0) {
            spans->iov_base = (char *)spans->iov_base + written;
            spans->iov_len -= (size_t)written;
        }
    }
    return 0;
}

int make_file(struct untar *untar, struct shard *shard, const struct job *job)
{
    /* O_EXCL: nothing that exists is written to, neither by a link nor as a device. */
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    mode_t mode = job->attributes.mode;
    int fd = openat(job->parent->fd, job->name, flags, mode);

    if (fd < 0 && errno == EEXIST) {
        int result = remove_existing(untar, shard, job);

        if (result < 0)
            return result;
        fd = openat(job->parent->fd, job->name, flags, mode);
    }
    return fd < 0 ? -errno : fd;
}

int make_file_complete(struct untar *untar, int fd, const struct job *job)
{
    const struct attributes *attributes = &job->attributes;
    const struct timespec times[2] = {attributes->atime, attributes->mtime};
    bool is_inheriting = job->parent->is_inheriting;
    int result = 0;

    if (needs_owner(untar, attributes, is_inheriting))
        result = chown_result(untar, fchown(fd, attributes->uid, attributes->gid));
    if (result == 0 && needs_mode(untar, attributes, is_inheriting) &&
        fchmod(fd, attributes->mode) < 0)
        result = -errno;
    if (result == 0 && has_xattrs(untar, attributes))
        result = set_xattrs(untar, fd, NULL, attributes);
    if (result == 0 && futimens(fd, times) < 0)
        result = -errno;
    return result;
}

static int do_file(struct shard *shard, struct job *job)
{
    struct untar *untar = shard->untar;
    struct iovec spans[2];
    int fd = make_file(untar, shard, job), result = 0;

    if (fd < 0)
        return fd;
    if (job->size > 0)
        result = make_write(fd, spans, ring_spans(untar, job->begin, (size_t)job->size, spans), -1);
    if (result == 0)
        result = make_file_complete(untar, fd, job);
    if (close(fd) < 0 && result == 0)
        result = -errno;
    return result;
}

static int set_times(const struct job *job)
{
    const struct timespec times[2] = {job->attributes.atime, job->attributes.mtime};

    return utimensat(job->parent->fd, job->name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int set_owner(const struct untar *untar, const struct job *job)
{
    return chown_result(untar, fchownat(job->parent->fd, job->name, job->attributes.uid,
                                        job->attributes.gid, AT_SYMLINK_NOFOLLOW));
}

static int create_other(const struct job *job)
{
    const struct parent *parent = job->parent;
    int result;

    if (job->kind == JOB_SYMLINK)
        result = symlinkat(job->target, parent->fd, job->name);
    else if (job->kind == JOB_NODE)
        result = mknodat(parent->fd, job->name, job->type | job->attributes.mode, job->device);
    else
        result = linkat(job->target_parent->fd, job->target, parent->fd, job->name, 0);
    return result < 0 ? -errno : 0;
}

/* A symbolic link or special file. */
static int do_other(struct shard *shard, struct job *job)
{
    struct untar *untar = shard->untar;
    bool is_inheriting = job->parent->is_inheriting;
    int result = create_other(job);

    if (result == -EEXIST) {
        result = remove_existing(untar, shard, job);
        if (result == 0)
            result = create_other(job);
    }
    if (result == 0 && needs_owner(untar, &job->attributes, is_inheriting))
        result = set_owner(untar, job);
    if (result == 0 && job->kind == JOB_NODE &&
        needs_mode(untar, &job->attributes, is_inheriting) &&
        fchmodat(job->parent->fd, job->name, job->attributes.mode, 0) < 0)
        result = -errno;
    if (result == 0)
        result = set_xattrs_of(untar, job);
    return result < 0 ? result : set_times(job);
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Its member's attributes are the file's from now on; as a rule they are so already. */
static int do_link(struct shard *shard, struct job *job)
{
    struct untar *untar = shard->untar;
    const struct attributes *attributes = &job->attributes;
    struct stat found;
    int result;

    jobs_wait_before(shard, job->order); /* the target may be another writer's */
    result = create_other(job);
    if (result == -EEXIST) {
        result = remove_existing(untar, shard, job);
        if (result == 0)
            result = create_other(job);
    }
    if (result < 0)
        return result;
    if (fstatat(job->parent->fd, job->name, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!is_forced(untar) &&
        (found.st_uid != attributes->uid || found.st_gid != attributes->gid))
        result = set_owner(untar, job);
    if (result == 0 && !S_ISLNK(found.st_mode) && (found.st_mode & 07777) != attributes->mode &&
        fchmodat(job->parent->fd, job->name, attributes->mode, 0) < 0)
        result = -errno;
    if (result == 0)
        result = set_xattrs_of(untar, job);
    if (result == 0 && !S_ISLNK(found.st_mode) &&
        !(is_same_time(&found.st_mtim, &attributes->mtime) &&
          is_same_time(&found.st_atim, &attributes->atime)))
        result = set_times(job);
    return result;
}

int make_job(struct shard *shard, struct job *job)
{
    static const char *const doing[] = {
        [JOB_FILE] = "write", [JOB_SYMLINK] = "symlink", [JOB_NODE] = "mknod", [JOB_LINK] = "link"};
    int result = job->kind == JOB_FILE   ? do_file(shard, job)
                 : job->kind == JOB_LINK ? do_link(shard, job)
                                         : do_other(shard, job);

    if (result < 0)
        untar_fail_errno(shard->untar, result, job->member_offset, job->path, doing[job->kind]);
    return result;
}

int make_directory_attributes(struct untar *untar, int fd, const struct attributes *attributes)
{
    int result = 0;

    if (!is_forced(untar))
        result = chown_result(untar, fchown(fd, attributes->uid, attributes->gid));
    if (result == 0 && fchmod(fd, attributes->mode) < 0)
        result = -errno;
    return result == 0 ? set_xattrs(untar, fd, NULL, attributes) : result;
}

int make_directory(struct untar *untar, struct parent *parent, const char *name,
                   const struct attributes *attributes, bool is_missing)
{
    bool is_new = true;
    struct stat found;
    int fd, result;

    result = mkdirat(parent->fd, name, attributes->mode);
    if (result < 0 && errno == EEXIST && !is_missing) {
        if (fstatat(parent->fd, name, &found, AT_SYMLINK_NOFOLLOW) < 0)
            return -errno;
        is_new = !S_ISDIR(found.st_mode);
        if (is_new) {
            result = hold_remove_tree(parent->fd, name);
            if (result < 0)
                return result;
            result = mkdirat(parent->fd, name, attributes->mode);
        } else {
            result = 0;
        }
    }
    if (result < 0)
        return -errno;
    if (is_new && !has_xattrs(untar, attributes) &&
        !needs_owner(untar, attributes, parent->is_inheriting) &&
        !needs_mode(untar, attributes, parent->is_inheriting))
        return 1;
    fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    result = make_directory_attributes(untar, fd, attributes);
    close(fd);
    return result < 0 ? result : is_new;
}
