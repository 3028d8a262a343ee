#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>

#include "untar_unpack.h"

/* What a member's header says of owner, mode and times, as it is to be on disk. */

static int map_id(const struct hold_id_range *map, size_t length, int64_t *id)
{
    if (length == 0)
        return 0;
    for (size_t i = 0; i < length; i++)
        if (*id >= map[i].container && *id - map[i].container < map[i].size) {
            *id = (int64_t)map[i].host + (*id - map[i].container);
            return 0;
        }
    return -EINVAL;
}

static int map_owner(struct unpacker *unpacker, int64_t *uid, int64_t *gid)
{
    const struct hold_untar_options *options = unpacker->untar->options;
    int64_t unmapped;
    char reason[96];

    unmapped = *uid;
    if (map_id(options->uid_map, options->uid_map_length, uid) == 0) {
        unmapped = *gid;
        if (map_id(options->gid_map, options->gid_map_length, gid) == 0)
            return 0;
    }
    (void)snprintf(reason, sizeof reason, "container ID %lld cannot be mapped to a host ID",
                   (long long)unmapped);
    return unpack_fail(unpacker, -EINVAL, reason);
}

/* Go gives what is before 1970 or after 2262 the time 0, symbolic links excepted. */
static struct timespec clamped_time(struct timespec time, char type)
{
    const int64_t latest = INT64_MAX / 1000000000;

    if (type != '2' && (time.tv_sec < 0 || time.tv_sec > latest))
        return (struct timespec){0};
    return time;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

int unpack_attributes(struct unpacker *unpacker)
{
    const struct tar_member *member = &unpacker->member;
    const struct hold_untar_options *options = unpacker->untar->options;
    int64_t uid = member->uid, gid = member->gid;
    int result = map_owner(unpacker, &uid, &gid);
    mode_t mode = (mode_t)member->mode & 07777;
    struct timespec atime = member->atime;

    if (!member->has_atime || is_before(&atime, &member->mtime))
        atime = member->mtime;
    unpacker->attributes = (struct attributes){
        .mode = options->force_mask >= 0 ? (mode_t)options->force_mask & 07777 : mode,
        .real_mode = mode,
        .has_real = member->type != '2',
        .uid = (uid_t)uid, /* as the kernel takes them: their lowest 32 bits */
        .gid = (gid_t)gid,
        .atime = clamped_time(atime, member->type),
        .mtime = clamped_time(member->mtime, member->type),
        .xattrs = member->xattrs,
        .xattrs_length = member->xattrs_length,
    };
    return result;
}
