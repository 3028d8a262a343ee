/*
 * Tar streams in and out of directories: the engine of diffs.
 *
 * As in holdfs.h: 0 or a value, -errno on failure, descriptors stay the caller's. These calls are
 * long and start threads; all of them are joined, and everything is freed, at each return. A damaged
 * stream is -EBADMSG, and message says what and where in the words of the Go tools.
 */
#ifndef HOLDFS_TAR_H
#define HOLDFS_TAR_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/* `size` IDs from `container` on are `host` and following on disk. */
struct hold_id_range {
    uint32_t container;
    uint32_t host;
    uint32_t size;
};

/* What .wh.x and .wh..wh..opq become: what overlayfs knows, with trusted.* or user.* attributes;
 * the deletion itself; or a file as any other (fuse-overlayfs). */
enum hold_whiteouts {
    HOLD_WHITEOUTS_OVERLAY = 0,
    HOLD_WHITEOUTS_OVERLAY_USER = 1,
    HOLD_WHITEOUTS_MERGE = 2,
    HOLD_WHITEOUTS_KEEP = 3
};

/* As the Go library numbers them in layers.json. */
enum hold_compression {
    HOLD_COMPRESSION_NONE = 0,
    HOLD_COMPRESSION_BZIP2 = 1,
    HOLD_COMPRESSION_GZIP = 2,
    HOLD_COMPRESSION_XZ = 3,
    HOLD_COMPRESSION_ZSTD = 4
};

struct hold_untar_options {
    int source_fd;    /* pipe, socket or file, read from its current offset to its end */
    int directory_fd; /* opened for reading, not O_PATH */
    int tar_split_fd; /* written at its current offset; -1: none is made */
    int cancel_fd;    /* readable: give up with -ECANCELED; -1: nobody can */
    int whiteouts;    /* enum hold_whiteouts */
    int writers;      /* threads that write files: 1 or 2; 0: two */
    int in_userns;    /* devices are skipped, and attributes that we may not set */
    int ignore_chown_errors;
    int force_mask;        /* mode of all that is made, real values in an attribute; -1: not so */
    unsigned parent_mode;  /* of directories that no member describes */
    uint32_t parent_uid;   /* their owner, host IDs */
    uint32_t parent_gid;
    const struct hold_id_range *uid_map; /* none: IDs are host IDs */
    size_t uid_map_length;
    const struct hold_id_range *gid_map;
    size_t gid_map_length;
};

struct hold_untar_result {
    uint64_t compressed_size; /* bytes read so far: may be looked at while the call runs */
    uint64_t size;            /* of the tar, trailing bytes included */
    uint64_t entries;         /* members so far */
    uint64_t payload_size;    /* sum of the sizes in their headers */
    unsigned char compressed_sha256[32];
    unsigned char sha256[32];
    int compression;     /* enum hold_compression */
    int has_end;         /* the archive's end is marked; without it too the Go tools take it */
    uint32_t *uids;      /* distinct, ascending, as in the headers of all but whiteouts */
    size_t uids_length;
    uint32_t *gids;
    size_t gids_length;
    uint64_t error_offset; /* in the tar, of the member that failed */
    char message[1024];    /* "" if all went well */
};

/* Unpack one tar stream, compressed or not, into a directory, in one pass, and write what tar-split
 * needs to give back its bytes.
 *
 * Nothing is made, changed or read outside of directory_fd, whatever the names and links say. After
 * a failure some of the members are there. Uses some 50 MiB, and five threads; xz and zstd
 * less 24 and their window, which for zstd --long is 128 MiB, and 512 at most.
 *
 * 0, or -errno: -EBADMSG for a damaged stream, -EEXIST for members of one name, -ECANCELED, or what
 * the kernel said. The result is to be freed with hold_untar_free either way. */
int hold_untar(const struct hold_untar_options *options, struct hold_untar_result *result);

/* Free the lists in a result. */
void hold_untar_free(struct hold_untar_result *result);

struct hold_tar_out_options {
    int fd;          /* written from where it stands */
    int cancel_fd;   /* as in hold_untar_options */
    int compression; /* NONE, GZIP or ZSTD */
};

struct hold_tar_out_result {
    uint64_t size;    /* bytes of the tar so far: may be looked at while the call runs */
    uint64_t written; /* bytes that went to fd so far */
    char message[1024];
};

/* Write the tar that a tar-split describes: its own bytes, and the content of files, each looked up
 * in the directories in turn and checked against its sum. Uses some 20 MiB and six threads.
 *
 * 0, or -errno: -EBADMSG if a file is not what it was, or the tar-split is damaged, -ENOENT and the
 * like if one can't be opened, -ECANCELED, -EPIPE. Part of the tar has been written then. */
int hold_tar_from_split(int tar_split_fd, const int *directory_fds, size_t directories,
                        const struct hold_tar_out_options *options,
                        struct hold_tar_out_result *result);

/* A tar as a list of segments, each bytes or a slice of a file: any part of it can be read. Takes
 * some 40 bytes a member in memory; the bytes are in a spill file. */
struct hold_segments;

/* The list of the tar that a tar-split describes. spill_fd: an empty file to write to and read from;
 * it and the directories are duplicated. 0 and *segments, to be freed, or -errno and a message. */
int hold_segments_from_split(int tar_split_fd, const int *directory_fds, size_t directories,
                             int spill_fd, struct hold_segments **segments,
                             struct hold_tar_out_result *result);

/* Size of the tar. */
uint64_t hold_segments_size(const struct hold_segments *segments);

/* Read like pread(2): up to length bytes from offset; 0 at the end. May be called by several
 * threads. -EBADMSG if a file has not the size it had, or, read at once as a whole, not the sum. */
int64_t hold_segments_read(struct hold_segments *segments, uint64_t offset, void *to,
                           size_t length);

void hold_segments_free(struct hold_segments *segments);

/* Two states of a tree. */
struct hold_diff_options {
    int new_fd; /* the state, or an overlay's upper directory; opened for reading */
    int old_fd; /* the state before, whole; -1: nothing, or lowers */
    const int *lower_fds; /* the directories below an upper, nearest first */
    size_t lowers;
    int is_overlay;  /* new_fd is an upper: devices 0:0 and opaque directories say what is gone */
    int in_userns;   /* opaque is user.overlay.opaque, not trusted.* */
    const struct hold_id_range *new_uid_map, *new_gid_map; /* owners are shown as container IDs */
    size_t new_uid_map_length, new_gid_map_length;
    const struct hold_id_range *old_uid_map, *old_gid_map;
    size_t old_uid_map_length, old_gid_map_length;
    int64_t now; /* the time that deletions get in a tar */
};

/* What differs, sorted by path; what is too much for memory is in files without a name. */
struct hold_change_list;

/* Find out what differs: *list, to be freed. size: an upper's, each inode once; else of what is new
 * or changed; both without directories. 0, or -errno and a message in result. */
int hold_changes(const struct hold_diff_options *options, struct hold_change_list **list,
                 uint64_t *size, struct hold_tar_out_result *result);

/* Read on: for each entry 'A', 'C' or 'D', its path from "/" on and a NUL, as many as there is room
 * for; 64 KiB are room for any. Bytes, 0 at the end, or -errno. */
int64_t hold_changes_read(struct hold_change_list *list, char *to, size_t room);

void hold_changes_free(struct hold_change_list *list);

/* Write the tar of what differs, with the headers of containers-storage 1.43. As
 * hold_tar_from_split otherwise. Into a pipe larger files go as the pages that they are: who changes
 * one before the reader has it changes what that reads. */
int hold_tar_from_diff(const struct hold_diff_options *diff,
                       const struct hold_tar_out_options *options,
                       struct hold_tar_out_result *result);

/* The same as a list of segments. */
int hold_segments_from_diff(const struct hold_diff_options *diff, int spill_fd,
                            struct hold_segments **segments, struct hold_tar_out_result *result);

/* Make the empty directory target_fd equal to source_fd, itself included: owners, modes, times, hard
 * links, special files, holes, and the attributes that layers have (security.capability, user.*,
 * trusted.overlay.opaque). Data is shared where the file system can. Nobody may change the source
 * meanwhile. in_userns: devices are left out. Both are opened for reading; two threads.
 * 0, or -errno with a part copied, and a message that names the path. */
int hold_copy_tree(int source_fd, int target_fd, int ignore_chown_errors, int in_userns,
                   char *message, size_t room);

/* cffi: end */

#endif
