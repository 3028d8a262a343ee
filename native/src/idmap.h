/*
 * User namespaces that only stand for ID maps, and mounts that show other owners by them.
 */
#ifndef HOLDFS_IDMAP_H
#define HOLDFS_IDMAP_H

/* cffi: begin */

/* A descriptor of a new user namespace with these maps, in the form of /proc/PID/uid_map. It is
 * made by a child that shares the memory of this process, runs nothing and is gone at return.
 * The descriptor, or -errno; the caller needs the right to map these IDs. */
int hold_open_userns(const char *uid_map, const char *gid_map);

/* Show the directory source, without what is mounted below it, at target, privately, with IDs
 * mapped by the user namespace userns_fd: what it calls inside is what is on disk.
 * 0, or -errno; -EINVAL where the file system can't do it, -ENOSYS before Linux 5.12. */
int hold_mount_mapped(const char *source, const char *target, int userns_fd);

/* Rename within the mount that top_fd is in, whatever is mounted below it: a plain rename from
 * or to what is below one of those is refused, even if it is of the same file system.
 * exchange: the two change places. Else -EEXIST or -ENOTEMPTY if new_name is there and not empty.
 * 0, or -errno; -EXDEV when the names are in different file systems. */
int hold_rename_below_mounts(const char *top, const char *old_name, const char *new_name,
                             int exchange);

/* cffi: end */

#endif
