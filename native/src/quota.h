/*
 * Project quotas of xfs: a limit for all that is below a directory.
 */
#ifndef HOLDFS_QUOTA_H
#define HOLDFS_QUOTA_H

/* cffi: begin */

/* The project of a file or directory, 0 for none, or -errno. */
long long hold_project(int fd);

/* Put a directory into a project, and all that will be made in it (inherits != 0).
 * 0, or -errno. */
int hold_set_project(int fd, unsigned int project, int inherits);

/* Limit a project of the file system on a block device, in bytes and inodes; 0 for no limit.
 * 0, or -errno: -ENOSYS or -ESRCH where nothing is accounted for. */
int hold_limit_project(const char *device, unsigned int project, unsigned long long size,
                       unsigned long long inodes);

/* cffi: end */

#endif
