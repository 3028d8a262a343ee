/* The unpacker: what it holds while it goes through the members. */
#ifndef HOLDFS_UNTAR_UNPACK_H
#define HOLDFS_UNTAR_UNPACK_H

#include "nameset.h"
#include "tarparse.h"
#include "untar_dirs.h"

struct unpacker {
    struct untar *untar;
    struct tar_parser parser;
    struct tar_member member;
    struct directories directories;
    struct idset uids, gids;
    char *path; /* of the member, cleaned */
    char *link; /* of what it links to */
    size_t path_room, link_room;
    struct attributes attributes;
    bool is_clamped; /* path is not where the name leads from a layer's directory */
};

/* Fail because of the member. */
int unpack_fail(struct unpacker *unpacker, int error, const char *reason);
int unpack_fail_errno(struct unpacker *unpacker, int error, const char *doing);

/* Whether the bytes in the tar are not just those that will be in the file of that name. Then the
 * tar-split gets them, and an entry that claims none. */
bool unpack_must_keep(const struct unpacker *unpacker, const struct parent *parent);
int unpack_keep_payload(struct unpacker *unpacker);

/* A job for the member, to be given to jobs_add; NULL without memory. Takes a reference. */
struct job *unpack_job(struct unpacker *unpacker, enum job_kind kind, struct parent *parent,
                       const char *name, const char *target);

/* -- untar_owner.c -- */

/* Set unpacker->attributes from the member. 0 or the failure: an owner is not mapped. */
int unpack_attributes(struct unpacker *unpacker);

/* -- untar_whiteout.c -- */

/* Do what a member named .wh.* says. 1 if it was one, 0 if it is a file as any other. */
int unpack_whiteout(struct unpacker *unpacker, struct parent *parent, const char *name);
/* Whether the member is metadata of aufs, to be passed over. */
bool unpack_is_aufs(const struct unpacker *unpacker, const char *name);

/* -- untar_large.c -- */

/* Write a file that is too large to wait for in the ring, or sparse. */
int unpack_large(struct unpacker *unpacker, struct parent *parent, const char *name);

#endif
