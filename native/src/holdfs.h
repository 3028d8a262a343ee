/*
 * What holdfs asks of the kernel and Python cannot say.
 *
 * Every function returns 0 or a value, and -errno on failure; takes descriptors that the caller
 * keeps; keeps nothing; knows nothing of layers. The GIL is released around each call.
 */
#ifndef HOLDFS_H
#define HOLDFS_H

#include <stddef.h>

/* cffi: begin */

/* Try once for an OFD lock on the whole of fd: shared (0) or exclusive (1).
 * 0, or -errno; -EAGAIN when someone else holds it. Never waits: how long waiting may take is the
 * caller's affair. Excludes the fcntl locks of other processes, and other opens in this one. */
int hold_lock_try(int fd, int exclusive);

/* mount(2), in a thread of its own whose current directory is dir_fd, so that target and the names
 * in data may be relative to it; dir_fd < 0: relative to the process's own. type and data may be
 * NULL. 0, or -errno. */
int hold_mount(int dir_fd, const char *source, const char *target, const char *type,
               unsigned long flags, const char *data);

/* Make an overlay mount through fsopen, fsconfig, fsmount and move_mount.
 * options: keys and values in turn, each ended by NUL, value "" for a flag; the whole ended by an
 * empty key. Keys may repeat (lowerdir+). Names, target too, may be relative to dir_fd.
 * attributes: MOUNT_ATTR_*.
 * 0, or -errno, and then message holds what the kernel's context says about it ("" if nothing).
 * A kernel without these calls, or whose overlay does not take the keys one by one, gives -ENOSYS,
 * -EINVAL or -EOPNOTSUPP. */
int hold_mount_overlay(int dir_fd, const char *target, const char *options,
                       unsigned long attributes, char *message, size_t message_size);

/* umount2(2), never following a symbolic link at the end of path. 0, or -errno. */
int hold_umount(const char *path, int flags);

/* Whether path is where something is mounted: 1 or 0, or -errno. Asks no file system: neither a
 * FUSE daemon nor a network server is waited for. A symbolic link at the end is not followed.
 * -EOPNOTSUPP before Linux 5.8. */
int hold_is_mount_point(const char *path);

/* f_type of the file system that path is on, or -errno. */
long long hold_fs_type(const char *path);

/* syncfs(2). 0, or -errno. */
int hold_syncfs(int fd);

/* Delete name in dir_fd and everything below it. Follows no symbolic link and enters no other
 * mount (-EBUSY). Clears immutable and append-only flags that are in the way. Holds a bounded
 * number of descriptors, however deep the tree. 0, also when name is not there, or -errno with a
 * part deleted. */
int hold_remove_tree(int dir_fd, const char *name);

/* cffi: end */

#endif
