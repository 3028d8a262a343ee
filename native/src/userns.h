/*
 * A user namespace of one's own. Functions keep to the rules of holdfs.h.
 */
#ifndef HOLDFS_USERNS_H
#define HOLDFS_USERNS_H

/* cffi: begin */

/* Put the calling process into a user namespace and a mount namespace of its own, and let it get
 * this signal when its parent ends. It has to have one thread (-EINVAL). It has no IDs there until
 * somebody writes its maps. 0, or -errno; -ENOSPC where the system allows no more namespaces. */
int hold_unshare_user(int death_signal);

/* Put the calling process into a mount namespace of its own, in which every mount is private: what
 * is mounted here shows nowhere else, and nothing mounted elsewhere shows here. 0, or -errno;
 * -EPERM or -EACCES where it has no right to mount. */
int hold_unshare_mounts(void);

/* cffi: end */

#endif
