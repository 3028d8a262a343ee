/* Going down a tree without leaving it. */
#ifndef HOLDFS_BELOW_H
#define HOLDFS_BELOW_H

/* Open the directory `name` in dir_fd for reading: no symbolic link, and no other mount (-EBUSY).
 * The descriptor or -errno. */
int hold_open_below(int dir_fd, const char *name);

#endif
