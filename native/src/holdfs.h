/*
 * What holdfs asks of the kernel and Python cannot say.
 *
 * Every function returns 0 or a value, and -errno on failure; takes descriptors that the caller
 * keeps; keeps nothing; knows nothing of layers. The GIL is released around each call.
 */
#ifndef HOLDFS_H
#define HOLDFS_H

/* cffi: begin */

/* Try once for an OFD lock on the whole of fd: shared (0) or exclusive (1).
 * 0, or -errno; -EAGAIN when someone else holds it. Never waits: how long waiting may take is the
 * caller's affair. Excludes the fcntl locks of other processes, and other opens in this one. */
int hold_lock_try(int fd, int exclusive);

/* cffi: end */

#endif
