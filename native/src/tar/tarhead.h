/* Headers as Go's archive/tar writes them. */
#ifndef HOLDFS_TARHEAD_H
#define HOLDFS_TARHEAD_H

#include <stddef.h>
#include <stdint.h>

#include "sink.h"

struct tar_xattr {
    const char *name; /* with its namespace */
    const void *value;
    size_t length;
};

struct tar_head {
    const char *name, *link, *uname, *gname;
    char type;
    int64_t mode, uid, gid, size, mtime, major, minor;
    const struct tar_xattr *xattrs; /* sorted by name */
    size_t xattrs_length;
};

/* Put the header into a sink, behind an extended one if need be: USTAR where that can say it all,
 * else PAX. 0 or -errno: -ENAMETOOLONG, -ERANGE for what no format can say. */
int tar_put_head(struct sink *sink, const struct tar_head *head);

/* Put the padding behind `size` bytes. */
int tar_put_padding(struct sink *sink, uint64_t size);

#endif
