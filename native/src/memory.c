#include <malloc.h>

#include "memory.h"

void hold_return_blocks(int size)
{
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, size);
#else
    (void)size;
#endif
}
