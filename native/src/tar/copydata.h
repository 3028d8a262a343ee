/* The content and the attributes of one file of a copy. */
#ifndef HOLDFS_COPYDATA_H
#define HOLDFS_COPYDATA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

enum { COPY_BUFFER = 256 << 10 };

/* Whether the directory's file system may share data of files: ext4 can't. */
bool can_share(int directory_fd);

/* Copy all data, leaving holes; buffer has COPY_BUFFER bytes. shares: small files are worth the
 * try, too. 0 or -errno. */
int copy_data(char *buffer, int from, int to, const struct statx *found, bool shares);

/* Whom files belong to that are made in a directory. */
struct copied_owner {
    bool ignores_errors;
    bool is_known;
    uint32_t uid, gid;
};

static inline bool has_owner(const struct copied_owner *owner, const struct statx *found)
{
    return owner->is_known && owner->uid == found->stx_uid && owner->gid == found->stx_gid;
}

/* Owner, mode, attributes and times, in this order: each takes from the next. has_mode: it was made
 * with it. 0 or -errno. */
int copy_attributes(const struct copied_owner *owner, int from, int to, const struct statx *found,
                    bool has_mode);

/* Of access and change, for utimensat. */
void times_of(const struct statx *found, struct timespec times[2]);

#endif
