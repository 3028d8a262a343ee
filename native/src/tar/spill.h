/* A place for what is too much for memory. */
#ifndef HOLDFS_SPILL_H
#define HOLDFS_SPILL_H

/* Open an empty file without a name on a directory's file system; one in memory where that has no
 * such files. The descriptor, or -errno. */
int spill_open(int directory_fd);

/* The same in TMPDIR or /var/tmp, for who only reads; in memory where that is no place either. */
int spill_open_anywhere(void);

#endif
