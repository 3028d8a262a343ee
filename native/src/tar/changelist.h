/* What differs between two trees, in the order of paths, however much it is. */
#ifndef HOLDFS_CHANGELIST_H
#define HOLDFS_CHANGELIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Changes are added in any order. Some megabytes of them are in memory; when these are full they are
 * sorted and go to a file without a name, in TMPDIR or /var/tmp. Reading merges what there is. All
 * zeros is an empty list.
 */
struct changes {
    char *text; /* kind, path from "/" on, NUL; one after the other */
    const char **list; /* of the paths in it */
    size_t used, count;
    struct change_run *runs; /* sorted each: those in files, and in the end that in memory */
    size_t runs_count;
    size_t *heap; /* of the runs that are not read to their end, that with the next path first */
    size_t heap_count;
    bool is_begun; /* the first of the heap was read */
    uint64_t size; /* kept for whoever adds */
};

/* 0 or -errno. */
int changes_add(struct changes *changes, char kind, const char *directory, const char *name);
/* Take over all of another, of which nothing but its end may be asked then. 0 or -errno. */
int changes_take(struct changes *changes, struct changes *from);
/* To be called once all are there. 0 or -errno. */
int changes_sort(struct changes *changes);
/* The next path, with its leading slash; the kind is the byte before. Good until the next call.
 * 1, 0 at the end, or -errno. */
int changes_next(struct changes *changes, const char **path);
void changes_free(struct changes *changes);
static inline char change_kind(const char *path)
{
    return path[-1];
}

#endif
