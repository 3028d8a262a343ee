/*
 * How this process keeps memory that it has freed. Functions keep to the rules of holdfs.h.
 */
#ifndef HOLDFS_MEMORY_H
#define HOLDFS_MEMORY_H

/* cffi: begin */

/* Let blocks of `size` bytes and more always come from the kernel and go back to it when they are
 * freed. Without this glibc raises that size to that of the largest block freed so far, and large
 * ones that come and go leave holes in its heaps. Does nothing with another libc. */
void hold_return_blocks(int size);

/* cffi: end */

#endif
