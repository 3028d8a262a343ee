/* Reading directories in order, and what compares two trees. */
#ifndef HOLDFS_TREEWALK_H
#define HOLDFS_TREEWALK_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "changelist.h"
#include "tar.h"

/* Names of one directory, sorted by their bytes. */
struct names {
    char *text; /* d_type, name, NUL; one after the other */
    size_t length, room;
    char **list; /* of the names; the type is before each */
    size_t count;
};

/* Read the directory fd from its start. 0 or -errno. */
int names_read(struct names *names, int fd);
void names_free(struct names *names);
static inline unsigned char name_type(const char *name)
{
    return (unsigned char)name[-1];
}

/* Open a directory beneath another; "" is that itself. No link is followed. */
int tree_open(int top_fd, const char *path);

/* statx(2) of name in a directory, not followed. 0 or -errno. */
int tree_stat(int directory_fd, const char *name, struct statx *found);

/* The same of a name from names_read; *fd is what a regular file was opened as, to be asked for
 * more and read without being looked up again, or -1: where it can't be opened, too. */
int tree_look(int directory_fd, const char *name, struct statx *found, int *fd);

/* -- treesame.c -- */

/* Whether what statx says differs, links' targets and attributes aside. */
bool is_different(const struct hold_diff_options *options, const struct statx *new_found,
                  const struct statx *old_found);
bool has_other_target(int new_fd, int old_fd, const char *name);
/* Whether name in the current directory has an attribute that counts. */
bool has_compared(const char *name);
bool has_other_xattrs(int new_fd, int old_fd, const char *name);

/* -- treecompare.c, overlaywalk.c -- */

/* Where a failure was: a path, "" if that says nothing. */
struct tree_failure {
    char path[512];
};

int compare_trees(const struct hold_diff_options *options, bool has_sizes, struct changes *changes,
                  struct tree_failure *failure);

int overlay_changes(const struct hold_diff_options *options, struct changes *changes,
                    struct tree_failure *failure);

/* Whether the directory at path, opaque in the upper, hides one of a lower: 1 or 0, or -errno. */
int overlay_hides(const struct hold_diff_options *options, const char *path);
/* Whether a directory that is open has the opaque attribute. */
bool overlay_is_opaque(const struct hold_diff_options *options, int fd);
static inline bool is_whiteout(const struct statx *found)
{
    return S_ISCHR(found->stx_mode) && found->stx_rdev_major == 0 && found->stx_rdev_minor == 0;
}

/* Call visit for every entry below the top, a directory before what is in it, names in order.
 * path is without a leading slash. Stops at the first result below 0. opens: regular files. */
struct tree_entry {
    const char *path, *name;
    int directory_fd; /* that name is in, and the current directory of the thread */
    int fd;           /* as from tree_look, or -1; who keeps it puts -1 here */
    struct statx found;
};
typedef int tree_visit(void *context, struct tree_entry *entry);
int walk_tree(int top_fd, bool opens, tree_visit *visit, void *context,
              struct tree_failure *failure);

/* The same walk in parts, which several threads can visit at once: names of one directory that
 * follow each other, a directory only at their end. */
enum { RUN_NAMES = 64, RUN_TEXT = PATH_MAX + 1 /* any name that a path can have, and its type */ };
struct tree_run {
    char directory[PATH_MAX]; /* beneath the top; "" is that itself */
    const char *names[RUN_NAMES]; /* as from names_read, in text */
    size_t count;
    char text[RUN_TEXT];
};

struct tree_walk;
struct tree_walk *tree_walk_new(int top_fd);
void tree_walk_free(struct tree_walk *walk);
/* 1 and the next run, 0 at the end, or -errno. */
int tree_walk_next(struct tree_walk *walk, struct tree_run *run, struct tree_failure *failure);
/* Visit all of a run, in its directory. 0 or -errno. */
int tree_run_visit(int top_fd, const struct tree_run *run, bool opens, tree_visit *visit,
                   void *context, struct tree_failure *failure);

#endif
