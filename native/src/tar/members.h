/* Entries of a tree as members of a tar, with the headers of containers-storage 1.43. */
#ifndef HOLDFS_MEMBERS_H
#define HOLDFS_MEMBERS_H

#include "inodeset.h"
#include "sink.h"
#include "treewalk.h"

/* What one thread makes members with; links is shared. NULL without memory. */
struct members;
struct members *members_new(const struct hold_diff_options *diff, struct inodeset *links);
void members_free(struct members *members);

/* Where the next ones go. */
void members_go_to(struct members *members, struct sink *sink);

/* Put an entry of the current directory, its content included; a tree_visit. 0 or -errno. */
int members_put(void *members, struct tree_entry *entry);

/* Put the marker of what is gone. 0 or -errno. */
int members_put_deleted(struct members *members, const char *path);

#endif
