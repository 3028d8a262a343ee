#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "holdfs.h"

/* Relative names need a current directory, and a process has one for all its threads. So the work
 * is done in a thread that leaves the shared one (no fork, the process may have any threads). */
struct errand {
    int dir_fd;
    int (*run)(void *arguments);
    void *arguments;
    int result;
};

static void *run_errand(void *opaque)
{
    struct errand *errand = opaque;

    if (unshare(CLONE_FS) < 0 || fchdir(errand->dir_fd) < 0)
        errand->result = -errno;
    else
        errand->result = errand->run(errand->arguments);
    return NULL;
}

static int run_in_directory(int dir_fd, int (*run)(void *), void *arguments)
{
    struct errand errand = {.dir_fd = dir_fd, .run = run, .arguments = arguments};
    sigset_t all, before;
    pthread_t thread;
    int error;

    if (dir_fd < 0)
        return run(arguments);
    /* The thread must take no signal: handlers belong to the threads Python knows. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, run_errand, &errand);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return -error;
    error = pthread_join(thread, NULL);
    return error ? -error : errand.result;
}

struct classic {
    const char *source, *target, *type, *data;
    unsigned long flags;
};

static int run_classic(void *opaque)
{
    const struct classic *c = opaque;

    return mount(c->source, c->target, c->type, c->flags, c->data) < 0 ? -errno : 0;
}

int hold_mount(int dir_fd, const char *source, const char *target, const char *type,
               unsigned long flags, const char *data)
{
    struct classic classic = {source, target, type, data, flags};

    return run_in_directory(dir_fd, run_classic, &classic);
}

struct overlay {
    const char *target, *options;
    unsigned long attributes;
    char *message;
    size_t message_size;
};

/* Collect the context's error lines ("e text\n"), as far as there is room. */
static void read_messages(int fs_fd, char *message, size_t size)
{
    char line[512];
    size_t used = 0;
    ssize_t got;

    while ((got = read(fs_fd, line, sizeof line - 1)) > 0) {
        size_t length = (size_t)got;
        size_t gap = used ? 2 : 0;

        if (line[length - 1] == '\n')
            length--;
        if (length < 2 || line[0] != 'e' || used + gap + length - 2 >= size)
            continue;
        memcpy(message + used, "; ", gap);
        memcpy(message + used + gap, line + 2, length - 2);
        used += gap + length - 2;
        message[used] = '\0';
    }
}

static int run_overlay(void *opaque)
{
    const struct overlay *o = opaque;
    int fs_fd, mount_fd = -1, result = 0;

    fs_fd = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs_fd < 0)
        return -errno;
    if (fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", "overlay", 0) < 0)
        goto failed;
    for (const char *key = o->options; *key;) {
        const char *value = key + strlen(key) + 1;
        int error = *value ? fsconfig(fs_fd, FSCONFIG_SET_STRING, key, value, 0)
                           : fsconfig(fs_fd, FSCONFIG_SET_FLAG, key, NULL, 0);

        if (error < 0) {
            result = -errno;
            read_messages(fs_fd, o->message, o->message_size);
            /* Overlay logs names it can't resolve to dmesg only. */
            if (!*o->message)
                (void)snprintf(o->message, o->message_size, *value ? "%s=%s" : "%s", key, value);
            goto out;
        }
        key = value + strlen(value) + 1;
    }
    if (fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        goto failed;
    mount_fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, (unsigned int)o->attributes);
    if (mount_fd < 0)
        goto failed;
    if (move_mount(mount_fd, "", AT_FDCWD, o->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        goto failed;
    goto out;

failed:
    result = -errno;
    read_messages(fs_fd, o->message, o->message_size);
out:
    if (mount_fd >= 0)
        close(mount_fd);
    close(fs_fd);
    return result;
}

int hold_mount_overlay(int dir_fd, const char *target, const char *options,
                       unsigned long attributes, char *message, size_t message_size)
{
    struct overlay overlay = {target, options, attributes, message, message_size};

    if (message_size == 0)
        return -EINVAL;
    message[0] = '\0';
    return run_in_directory(dir_fd, run_overlay, &overlay);
}

int hold_umount(const char *path, int flags)
{
    return umount2(path, flags | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int hold_is_mount_point(const char *path)
{
    struct statx found;
    /* DONT_SYNC and an empty mask: a FUSE daemon (perhaps the caller) is not asked. */
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;

    if (statx(AT_FDCWD, path, flags, 0, &found) < 0)
        return -errno;
    if (!(found.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
        return -EOPNOTSUPP;
    return (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

long long hold_fs_type(const char *path)
{
    struct statfs found;
    int error;

    do
        error = statfs(path, &found);
    while (error < 0 && errno == EINTR);
    /* f_type is a signed int on some machines; the magic numbers have 32 bits. */
    return error < 0 ? -errno : (long long)((unsigned long)found.f_type & 0xffffffffUL);
}

int hold_syncfs(int fd)
{
    return syncfs(fd) < 0 ? -errno : 0;
}
