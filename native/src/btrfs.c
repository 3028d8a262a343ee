#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "btrfs.h"

/* A subvolume in a subvolume in …: each level holds a descriptor and a page of stack. */
enum { MAX_NESTING = 64 };

static int set_name(char *field, size_t size, const char *name)
{
    size_t length = strlen(name);

    if (length == 0 || length >= size)
        return -ENAMETOOLONG;
    memcpy(field, name, length + 1);
    return 0;
}

static int open_directory(int dir_fd, const char *name)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int hold_btrfs_create(int dir_fd, const char *name)
{
    struct btrfs_ioctl_vol_args arguments = {0};
    int result = set_name(arguments.name, BTRFS_VOL_NAME_MAX + 1, name);

    if (result < 0)
        return result;
    return ioctl(dir_fd, BTRFS_IOC_SUBVOL_CREATE, &arguments) < 0 ? -errno : 0;
}

int hold_btrfs_snapshot(int source_fd, int dir_fd, const char *name)
{
    struct btrfs_ioctl_vol_args_v2 arguments = {.fd = source_fd};
    int result = set_name(arguments.name, BTRFS_VOL_NAME_MAX + 1, name);

    if (result < 0)
        return result;
    return ioctl(dir_fd, BTRFS_IOC_SNAP_CREATE_V2, &arguments) < 0 ? -errno : 0;
}

/* 1 if fd is open on the top directory of a subvolume, 0 if not, or -errno. */
static int is_subvolume(int fd)
{
    struct statfs system;
    struct stat found;

    if (fstatfs(fd, &system) < 0 || fstat(fd, &found) < 0)
        return -errno;
    return system.f_type == BTRFS_SUPER_MAGIC && S_ISDIR(found.st_mode) &&
           found.st_ino == BTRFS_FIRST_FREE_OBJECTID;
}

/* The ID of the subvolume that fd is in, which is that of its quota group too. */
static int read_tree_id(int fd, uint64_t *tree_id)
{
    struct btrfs_ioctl_ino_lookup_args arguments = {.objectid = BTRFS_FIRST_FREE_OBJECTID};

    if (ioctl(fd, BTRFS_IOC_INO_LOOKUP, &arguments) < 0)
        return -errno;
    *tree_id = arguments.treeid;
    return 0;
}

static int destroy(int dir_fd, const char *name, int nesting);

/* Destroy one subvolume that lies directly in that of fd: the kernel names it and its directory. */
static int destroy_nested(int fd, uint64_t tree_id, uint64_t directory_id, int nesting)
{
    struct btrfs_ioctl_ino_lookup_user_args arguments = {.dirid = directory_id, .treeid = tree_id};
    int parent_fd, result;

    if (ioctl(fd, BTRFS_IOC_INO_LOOKUP_USER, &arguments) < 0)
        return -errno;
    parent_fd = open_directory(fd, arguments.path[0] ? arguments.path : ".");
    if (parent_fd < 0)
        return parent_fd;
    result = destroy(parent_fd, arguments.name, nesting);
    close(parent_fd);
    return result;
}

static int destroy_all_nested(int fd, int nesting)
{
    /* The list is asked for anew until it is empty, so that it need not be kept whole. */
    for (;;) {
        struct btrfs_ioctl_get_subvol_rootref_args list = {0};

        if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_ROOTREF, &list) < 0 && errno != EOVERFLOW)
            return -errno;
        if (list.num_items == 0)
            return 0;
        for (unsigned int n = 0; n < list.num_items; n++) {
            int result = destroy_nested(fd, list.rootref[n].treeid, list.rootref[n].dirid, nesting);

            if (result < 0)
                return result;
        }
    }
}

static int destroy(int dir_fd, const char *name, int nesting)
{
    struct btrfs_ioctl_vol_args arguments = {0};
    struct btrfs_ioctl_qgroup_create_args group = {0};
    uint64_t tree_id = 0;
    int fd, result = set_name(arguments.name, BTRFS_VOL_NAME_MAX + 1, name);

    if (result < 0)
        return result;
    if (nesting > MAX_NESTING)
        return -ELOOP;
    fd = open_directory(dir_fd, name);
    if (fd < 0)
        return fd;
    result = is_subvolume(fd);
    if (result == 0)
        result = -EINVAL;
    if (result > 0)
        result = read_tree_id(fd, &tree_id);
    if (result == 0)
        result = destroy_all_nested(fd, nesting + 1);
    close(fd);
    if (result < 0)
        return result;
    if (ioctl(dir_fd, BTRFS_IOC_SNAP_DESTROY, &arguments) < 0)
        return -errno;
    /* Without quotas there is no such group. Newer kernels keep it until all of the subvolume is
     * gone, and then remove it themselves. */
    group.qgroupid = tree_id;
    (void)ioctl(dir_fd, BTRFS_IOC_QGROUP_CREATE, &group);
    return 0;
}

int hold_btrfs_destroy(int dir_fd, const char *name)
{
    return destroy(dir_fd, name, 0);
}

int hold_btrfs_has_quota(int fd)
{
    struct btrfs_ioctl_search_args arguments = {
        .key = {
            .tree_id = BTRFS_ROOT_TREE_OBJECTID,
            .min_objectid = BTRFS_QUOTA_TREE_OBJECTID,
            .max_objectid = BTRFS_QUOTA_TREE_OBJECTID,
            .min_type = BTRFS_ROOT_ITEM_KEY,
            .max_type = BTRFS_ROOT_ITEM_KEY,
            .max_offset = UINT64_MAX,
            .max_transid = UINT64_MAX,
            .nr_items = 1,
        },
    };

    if (ioctl(fd, BTRFS_IOC_TREE_SEARCH, &arguments) < 0)
        return -errno;
    return arguments.key.nr_items > 0;
}

int hold_btrfs_enable_quota(int fd)
{
    struct btrfs_ioctl_quota_ctl_args arguments = {.cmd = BTRFS_QUOTA_CTL_ENABLE};

    return ioctl(fd, BTRFS_IOC_QUOTA_CTL, &arguments) < 0 && errno != EEXIST ? -errno : 0;
}

int hold_btrfs_limit(int fd, unsigned long long size)
{
    /* Group 0 stands for the subvolume of fd; all ones lift a limit. */
    struct btrfs_ioctl_qgroup_limit_args arguments = {
        .lim = {.flags = BTRFS_QGROUP_LIMIT_MAX_RFER, .max_rfer = size ? size : UINT64_MAX},
    };

    return ioctl(fd, BTRFS_IOC_QGROUP_LIMIT, &arguments) < 0 ? -errno : 0;
}

int hold_btrfs_rescan(int fd)
{
    struct btrfs_ioctl_quota_rescan_args arguments = {0};

    /* EINPROGRESS: somebody else started one. */
    return ioctl(fd, BTRFS_IOC_QUOTA_RESCAN, &arguments) < 0 && errno != EINPROGRESS ? -errno : 0;
}
