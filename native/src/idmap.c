#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "idmap.h"

/* The child calls two functions and sleeps. */
enum { STACK_SIZE = 16 * 1024 };

static int sleep_in_namespace(void *unused)
{
    (void)unused;
    /* All signals are blocked; only SIGKILL ends it: that of the caller, or this one. No wrappers
     * of libc: a thread's private state is shared with the caller too. */
    (void)syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    for (;;)
        (void)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
    return 0;
}

static int write_map(pid_t pid, const char *file, const char *map)
{
    char path[64];
    ssize_t written;
    int fd, result = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* The kernel takes a map whole, in one write, or not at all. */
    written = write(fd, map, strlen(map));
    if (written < 0)
        result = -errno;
    close(fd);
    return result;
}

static int open_namespace(pid_t pid)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int hold_open_userns(const char *uid_map, const char *gid_map)
{
    _Alignas(16) char stack[STACK_SIZE];
    sigset_t all, before;
    int result, error;
    pid_t pid;

    /* A namespace belongs to processes; there is no call for one without. So a child it is, but
     * with our memory and descriptors: nothing is copied, and no lock seems held by it. It has no
     * exit signal, so that nobody's wait for any child gets it. The child inherits the mask. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid = clone(sleep_in_namespace, stack + sizeof stack, CLONE_VM | CLONE_FILES | CLONE_NEWUSER,
                NULL);
    error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return -error;
    result = write_map(pid, "uid_map", uid_map);
    if (result == 0)
        result = write_map(pid, "gid_map", gid_map);
    if (result == 0)
        result = open_namespace(pid);
    (void)kill(pid, SIGKILL);
    /* Its stack is ours: it must be gone before we return. */
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    return result;
}

int hold_mount_mapped(const char *source, const char *target, int userns_fd)
{
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_IDMAP,
        .propagation = MS_PRIVATE,
        .userns_fd = (unsigned long long)userns_fd,
    };
    int result = 0, fd = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (mount_setattr(fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ||
        move_mount(fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        result = -errno;
    close(fd);
    return result;
}

int hold_rename_below_mounts(const char *top, const char *old_name, const char *new_name,
                             int exchange)
{
    int result = 0, fd = open_tree(AT_FDCWD, top, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (renameat2(fd, old_name, fd, new_name, exchange ? RENAME_EXCHANGE : 0) < 0)
        result = -errno;
    close(fd);
    return result;
}
