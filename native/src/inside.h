/*
 * Files of a tree that nobody vouches for, reached from a descriptor of its top. Functions keep to
 * the rules of holdfs.h.
 */
#ifndef HOLDFS_INSIDE_H
#define HOLDFS_INSIDE_H

/* cffi: begin */

/* Open a path as openat2(2) does, with O_CLOEXEC. `flags` are those of open(2), `resolve` has the
 * bits RESOLVE_*. The descriptor, or -errno; -EAGAIN for RESOLVE_CACHED when it would wait. (In a
 * mount that was detached the kernel says -EAGAIN to every `..` of a path with RESOLVE_IN_ROOT.) */
int hold_openat2(int directory_fd, const char *path, unsigned int flags, unsigned int resolve);

/* Give a copy of the mount that the directory `path` is in, without what is mounted below it: it
 * has no place in any tree, cannot be written, and goes with its descriptor. Nothing that is done
 * through it keeps the mount itself busy. O_PATH descriptor, or -errno. */
int hold_clone_mount(const char *path);

/* cffi: end */

#endif
