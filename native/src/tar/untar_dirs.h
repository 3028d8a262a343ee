/* Directories of an untar: open ones by path, and the times they get in the end. */
#ifndef HOLDFS_UNTAR_DIRS_H
#define HOLDFS_UNTAR_DIRS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "untar.h"

enum { PARENT_SLOTS = 64, PARENTS_OPEN = 256 };

/* An open directory. Made by the unpacker, shared with the jobs that make things in it. */
struct parent {
    int references; /* atomic */
    int fd;
    int *open_count; /* atomic, of all parents */
    int shard;       /* whose writer had the last job in it; -1: none yet */
    uint64_t hash;
    bool is_inheriting; /* set-group-ID or a default ACL: what is made in it has a wrong owner or mode */
    bool is_aliased;    /* a symbolic link leads here: another path may lead to the same names */
    char path[];        /* cleaned, "" for the root */
};

struct directories {
    struct untar *untar;
    int open_count;
    struct parent *slots[PARENT_SLOTS];
    /* times: seconds and nanoseconds twice, then the path */
    char *times;
    size_t times_length, times_room;
    int spill_fd;
    uint64_t spilled;
};

void directories_init(struct directories *directories, struct untar *untar);
void directories_free(struct directories *directories);

/* Open a directory beneath the root by its cleaned path; make it and what is missing above if
 * is_made. 0 and a reference in *parent, or -errno, not yet told to anybody. */
int directories_get(struct directories *directories, const char *path, bool is_made,
                    struct parent **parent);
/* Let go of what is cached: of one path, or of all (NULL), since something was removed. */
void directories_forget(struct directories *directories, const char *path);
void parent_release(struct parent *parent);

/* Remember times for the end. 0 or -errno. */
int directories_add_times(struct directories *directories, const char *path,
                          const struct attributes *attributes);
/* Set them all. 0 or -errno. */
int directories_set_times(struct directories *directories);

#endif
