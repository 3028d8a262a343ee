/* The names of a tar's members, and sets of IDs: open addressing, a few bytes an element. */
#ifndef HOLDFS_NAMESET_H
#define HOLDFS_NAMESET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Names are kept as 63 bits of a keyed hash, at most 24 bytes a member; from a million on in a file
 * without a name. That two names fall
 * together is a chance of one in 10^7 for a million of them, and then a good tar is refused. */
struct nameset;

/* directory_fd: where that file is made; -1: all stays in memory. NULL without memory. */
struct nameset *nameset_new(int directory_fd);
void nameset_free(struct nameset *set);

/* Add a name; is_directory says whether others may be below it. 1 if it is new, 0, or
 * -errno. */
int nameset_add(struct nameset *set, const char *name, bool is_directory);
bool nameset_has(struct nameset *set, const char *name);
/* Whether `path`, or a part of it up to a slash, was added as something else than a directory. */
bool nameset_has_file_on(struct nameset *set, const char *path);
/* 0, or why an answer may have been wrong: the file couldn't be read. */
int nameset_error(const struct nameset *set);

/* Distinct 32-bit numbers. */
struct idset {
    uint32_t *slots; /* number + 1; 0 is empty */
    size_t size, count;
    bool has_last; /* UINT32_MAX, which has no slot value */
};

int idset_add(struct idset *set, uint32_t id);
/* The numbers in ascending order, malloc'ed; the set is freed. 0 or -ENOMEM. */
int idset_take(struct idset *set, uint32_t **ids, size_t *length);

#endif
