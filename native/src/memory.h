/*
 * How this process keeps memory that it has freed. Functions keep to the rules of holdfs.h.
 */
#ifndef HOLDFS_MEMORY_H
#define HOLDFS_MEMORY_H

#include <stddef.h>

/* cffi: begin */

/* Let blocks of `size` bytes and more always come from the kernel and go back to it when they are
 * freed. Without this glibc raises that size to that of the largest block freed so far, and large
 * ones that come and go leave holes in its heaps. Does nothing with another libc. */
void hold_return_blocks(int size);

/* Read the next `size` bytes of a file into memory that was never touched, in pages as large
 * as the kernel has: half the time of reading a large file is making small ones.
 *
 * How much there was, or -errno. */
long hold_read_fresh(int fd, char *memory, size_t size);

/* cffi: end */

#endif
