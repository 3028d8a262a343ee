/*
 * Subvolumes and quota groups of btrfs, through its ioctls.
 *
 * dir_fd is the directory that name is in. Functions keep to the rules of holdfs.h; on a file
 * system that is not btrfs they fail with -ENOTTY.
 */
#ifndef HOLDFS_BTRFS_H
#define HOLDFS_BTRFS_H

/* cffi: begin */

/* Make an empty subvolume. 0, or -errno. */
int hold_btrfs_create(int dir_fd, const char *name);

/* Make a writable snapshot of the subvolume that source_fd is open on. Subvolumes in it are not
 * taken along: they are empty directories in the snapshot. 0, or -errno. */
int hold_btrfs_snapshot(int source_fd, int dir_fd, const char *name);

/* Destroy a subvolume and all those in it, the quota groups of all included. 0, or -errno with a
 * part destroyed; -EINVAL when name is no subvolume. What is in use stays readable until it is
 * closed. */
int hold_btrfs_destroy(int dir_fd, const char *name);

/* 1 if the file system of fd accounts for space by subvolume, 0 if not, or -errno. */
int hold_btrfs_has_quota(int fd);

/* Let the file system of fd account for space by subvolume; already so: no error. 0, or -errno. */
int hold_btrfs_enable_quota(int fd);

/* Limit what the subvolume of fd may refer to, in bytes; 0 lifts the limit. 0, or -errno. */
int hold_btrfs_limit(int fd, unsigned long long size);

/* Have the space counted anew, in the background. 0, also if that is being done, or -errno. */
int hold_btrfs_rescan(int fd);

/* cffi: end */

#endif
