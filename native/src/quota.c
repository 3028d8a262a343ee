#define _GNU_SOURCE
#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/quota.h>

#include "quota.h"

/* xfs counts in these, whatever its blocks are. */
enum { BASIC_BLOCK = 512, PROJECT_QUOTA = 2 };

long long hold_project(int fd)
{
    struct fsxattr found;

    return ioctl(fd, FS_IOC_FSGETXATTR, &found) < 0 ? -errno : (long long)found.fsx_projid;
}

int hold_set_project(int fd, unsigned int project, int inherits)
{
    struct fsxattr attributes;

    if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0)
        return -errno;
    attributes.fsx_projid = project;
    attributes.fsx_xflags &= ~(unsigned int)FS_XFLAG_PROJINHERIT;
    if (inherits)
        attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
    return ioctl(fd, FS_IOC_FSSETXATTR, &attributes) < 0 ? -errno : 0;
}

int hold_limit_project(const char *device, unsigned int project, unsigned long long size,
                       unsigned long long inodes)
{
    struct fs_disk_quota limits = {
        .d_version = FS_DQUOT_VERSION,
        .d_flags = FS_PROJ_QUOTA,
        .d_id = project,
    };

    if (size) {
        limits.d_fieldmask |= FS_DQ_BHARD | FS_DQ_BSOFT;
        limits.d_blk_hardlimit = limits.d_blk_softlimit = size / BASIC_BLOCK;
    }
    if (inodes) {
        limits.d_fieldmask |= FS_DQ_IHARD | FS_DQ_ISOFT;
        limits.d_ino_hardlimit = limits.d_ino_softlimit = inodes;
    }
    if (quotactl(QCMD(Q_XSETQLIM, PROJECT_QUOTA), device, (int)project, (void *)&limits) < 0)
        return -errno;
    return 0;
}
