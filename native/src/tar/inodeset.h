/* Inodes that were met, each with the name it had first. */
#ifndef HOLDFS_INODESET_H
#define HOLDFS_INODESET_H

#include <stdint.h>

struct inodeset;

struct inodeset *inodeset_new(void);
void inodeset_free(struct inodeset *set);

/* 1 if the inode is new and now has this name, "" for none; 0 with *first, unless NULL, its first name; -ENOMEM. */
int inodeset_add(struct inodeset *set, uint64_t inode, const char *name, const char **first);

#endif
