/* The members of a tar in an untar's ring, as Go's archive/tar sees them. */
#ifndef HOLDFS_TARPARSE_H
#define HOLDFS_TARPARSE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "untar.h"

struct sparse_piece {
    int64_t offset, length;
};

struct tar_member {
    uint64_t offset; /* of its first header */
    char type;       /* '0' to '7', 'g', or whatever it says; never NUL */
    const char *name, *link;
    int64_t mode, uid, gid, size, major, minor;
    int64_t payload; /* bytes of it in the stream, from tar_parser.position on */
    struct timespec mtime, atime;
    bool has_atime;
    const char *xattrs; /* as in struct attributes */
    size_t xattrs_length;
    bool is_sparse; /* size is the whole file's, these pieces of it are in the stream */
    const struct sparse_piece *pieces;
    size_t pieces_length;
};

struct pax;

struct tar_parser {
    struct untar *untar;
    uint64_t position; /* where the next payload or header begins */
    size_t padding;    /* behind the payload of the last member */
    struct pax *pax;
    char *long_name, *long_link; /* NULL: none */
    char name[BLOCK], link[BLOCK];
    struct sparse_piece *pieces;
    size_t pieces_room;
};

int tar_parser_init(struct tar_parser *parser, struct untar *untar);
void tar_parser_free(struct tar_parser *parser);

/* Read up to the payload of the next member. Whoever calls has moved position behind the payload of
 * the one before. What member points to lasts until the next call. All bytes passed over go to the
 * tar-split. 1, 0 at the end of the archive, or the failure. */
int tar_next(struct tar_parser *parser, struct tar_member *member);

/* Pass all that follows the end of the archive to the tar-split. */
int tar_rest(struct tar_parser *parser);

/* Pass `length` bytes on to the tar-split. */
int tar_keep(struct tar_parser *parser, uint64_t length);

/* -- tarpax.c -- */

/* Records of one extended header. */
struct pax {
    char *text; /* the header's data; values are NUL-ended in it */
    const char *path, *link, *uid, *gid, *size, *mtime, *atime;
    const char *sparse_major, *sparse_minor, *sparse_name, *sparse_size, *sparse_real_size;
    const char *sparse_blocks, *sparse_map;
    char *xattrs;
    size_t xattrs_length;
    char *joined_map; /* of version 0.0, made into one of 0.1 */
    size_t joined_length;
    size_t joined_count;
};

void pax_clear(struct pax *pax);
/* Take over text, which has room for one more byte. 0, -EBADMSG or -ENOMEM. */
int pax_parse(struct pax *pax, char *text, size_t length);
/* Put what the records say into a member. 0 or -EBADMSG. */
int pax_merge(const struct pax *pax, struct tar_member *member);
/* Numbers as Go's strconv.ParseInt reads them. */
bool parse_decimal(const char *text, size_t length, int64_t *number);

/* -- tarsparse.c -- */

/* If the records say the member is sparse, set its name, size and pieces. Reads version 1.0's map
 * from the payload. 0 or the failure. */
int tar_sparse(struct tar_parser *parser, struct tar_member *member);

/* Fail with the words of the Go tools. */
int tar_damaged(struct tar_parser *parser, uint64_t offset, const char *reason);

#define TAR_INVALID "archive/tar: invalid tar header"
#define TAR_SHORT "unexpected EOF"

#endif
