/*
 * Giving a tree the owners of other ID maps.
 */
#ifndef HOLDFS_CHOWN_H
#define HOLDFS_CHOWN_H

#include <stddef.h>

/* cffi: begin */

/* One line of an ID map: size IDs from inside (a container's) are those from outside (the host's).
 * A map of no lines leaves IDs as they are. */
struct hold_id_range {
    unsigned int inside, outside, size;
};

struct hold_id_maps {
    const struct hold_id_range *uids;
    size_t uid_count;
    const struct hold_id_range *gids;
    size_t gid_count;
};

/* Change the owner of all that is below dir_fd, but not its own: from the host's ID to the
 * container's by old_maps, and to the host's again by new_maps. 0:0 without a place in old_maps
 * stays as it is before the second step; what has none in new_maps becomes overflow_uid,
 * overflow_gid. Set-ID bits, capabilities and the times of directories are kept. Several names of a
 * file stay names of one file even where a change of owner makes a copy of it (overlay). Enters no
 * other mount (-EBUSY), follows no symbolic link. Holds a bounded number of descriptors; a path of
 * PATH_MAX bytes or more is refused (-ENAMETOOLONG).
 * 0, or -errno with a part changed: -EOVERFLOW for an owner without a place in old_maps; and then
 * path holds, as far as it fits, the path below dir_fd of what failed. */
int hold_chown_tree(int dir_fd, const struct hold_id_maps *old_maps,
                    const struct hold_id_maps *new_maps, unsigned int overflow_uid,
                    unsigned int overflow_gid, char *path, size_t path_size);

/* cffi: end */

#endif
