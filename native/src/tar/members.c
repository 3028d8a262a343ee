#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanpath.h"
#include "members.h"
#include "tarhead.h"

enum { MOST_XATTRS = 256, FEW_NAMES = 1024, OWNER_NAME = 256, OWNERS = 64 };

struct owner {
    uint32_t id;
    bool is_known;
    char name[OWNER_NAME];
};

struct members {
    const struct hold_diff_options *options;
    struct sink *sink;
    struct inodeset *links;
    struct owner users[OWNERS], groups[OWNERS];
    struct tar_xattr xattrs[MOST_XATTRS];
    char *xattr_names; /* room for XATTR_LIST_MAX */
    char *xattr_values;
    size_t values_room;
    char name[PATH_MAX + 16], target[PATH_MAX];
};

static const char *user_name(struct members *members, uint32_t uid)
{
    struct owner *owner = &members->users[uid % OWNERS];
    char buffer[4096];
    struct passwd entry, *found = NULL;

    if (!owner->is_known || owner->id != uid) {
        (void)getpwuid_r(uid, &entry, buffer, sizeof buffer, &found);
        (void)snprintf(owner->name, sizeof owner->name, "%s", found ? entry.pw_name : "");
        owner->id = uid;
        owner->is_known = true;
    }
    return owner->name;
}

static const char *group_name(struct members *members, uint32_t gid)
{
    struct owner *owner = &members->groups[gid % OWNERS];
    char buffer[16384];
    struct group entry, *found = NULL;

    if (!owner->is_known || owner->id != gid) {
        (void)getgrgid_r(gid, &entry, buffer, sizeof buffer, &found);
        (void)snprintf(owner->name, sizeof owner->name, "%s", found ? entry.gr_name : "");
        owner->id = gid;
        owner->is_known = true;
    }
    return owner->name;
}

static int map_back(const struct hold_id_range *map, size_t length, int64_t *id)
{
    if (length == 0)
        return 0;
    for (size_t i = 0; i < length; i++)
        if (*id >= map[i].host && *id - map[i].host < map[i].size) {
            *id = (int64_t)map[i].container + (*id - map[i].host);
            return 0;
        }
    return -EINVAL;
}

struct members *members_new(const struct hold_diff_options *diff, struct inodeset *links)
{
    struct members *members = calloc(1, sizeof *members);

    if (!members)
        return NULL;
    members->options = diff;
    members->links = links;
    members->xattr_names = malloc(XATTR_LIST_MAX);
    if (!members->xattr_names) {
        members_free(members);
        return NULL;
    }
    return members;
}

void members_free(struct members *members)
{
    if (!members)
        return;
    free(members->xattr_names);
    free(members->xattr_values);
    free(members);
}

void members_go_to(struct members *members, struct sink *sink)
{
    members->sink = sink;
}

/* -- attributes -- */

static bool is_exported(const char *name)
{
    return strcmp(name, "security.capability") == 0 || strcmp(name, "security.ima") == 0 ||
           (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
}

static int by_xattr(const void *a, const void *b)
{
    return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

static ssize_t list_xattrs(const struct tree_entry *entry, char *names, size_t room)
{
    return entry->fd < 0 ? llistxattr(entry->name, names, room)
                         : flistxattr(entry->fd, names, room);
}

/* Those of an entry of the current directory. */
static int read_xattrs(struct members *members, const struct tree_entry *entry,
                       struct tar_head *head)
{
    /* The kernel allocates as much as it is told. */
    ssize_t length = list_xattrs(entry, members->xattr_names, FEW_NAMES);
    size_t used = 0;

    if (length < 0 && errno == ERANGE)
        length = list_xattrs(entry, members->xattr_names, XATTR_LIST_MAX);
    if (length < 0)
        return errno == ENOTSUP ? 0 : -errno;
    for (ssize_t at = 0; at < length;) {
        const char *key = members->xattr_names + at;
        ssize_t size;

        at += (ssize_t)strlen(key) + 1;
        if (!is_exported(key))
            continue;
        if (head->xattrs_length == MOST_XATTRS)
            return -E2BIG;
        if (used + XATTR_SIZE_MAX > members->values_room) {
            char *values = realloc(members->xattr_values, used + 2 * XATTR_SIZE_MAX);

            if (!values)
                return -ENOMEM;
            for (size_t i = 0; i < head->xattrs_length; i++)
                members->xattrs[i].value =
                    values + ((const char *)members->xattrs[i].value - members->xattr_values);
            members->xattr_values = values;
            members->values_room = used + 2 * XATTR_SIZE_MAX;
        }
        size = entry->fd < 0
                   ? lgetxattr(entry->name, key, members->xattr_values + used, XATTR_SIZE_MAX)
                   : fgetxattr(entry->fd, key, members->xattr_values + used, XATTR_SIZE_MAX);
        if (size < 0 && errno == ENODATA)
            continue;
        if (size < 0)
            return -errno;
        members->xattrs[head->xattrs_length++] = (struct tar_xattr){
            .name = key, .value = members->xattr_values + used, .length = (size_t)size};
        used += (size_t)size;
    }
    qsort(members->xattrs, head->xattrs_length, sizeof *members->xattrs, by_xattr);
    head->xattrs = members->xattrs;
    return 0;
}

/* -- members -- */

static char type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return '5';
    case S_IFLNK:
        return '2';
    case S_IFCHR:
        return '3';
    case S_IFBLK:
        return '4';
    case S_IFIFO:
        return '6';
    default:
        return '0';
    }
}

/* A file with several names: the first bears the content. */
static int link_first(struct members *members, const struct statx *found, const char *path,
                      struct tar_head *head)
{
    const char *first;
    int result;

    if (S_ISDIR(found->stx_mode) || found->stx_nlink < 2)
        return 0;
    result = members->sink->in_order ? members->sink->in_order(members->sink) : 0;
    if (result < 0)
        return result;
    result = inodeset_add(members->links, found->stx_ino, path, &first);
    if (result == 0) {
        head->type = '1';
        head->link = first;
        head->size = 0;
    }
    return result < 0 ? result : 0;
}

static int fill_head(struct members *members, const struct tree_entry *entry,
                     struct tar_head *head)
{
    const struct hold_diff_options *options = members->options;
    const struct statx *found = &entry->found;
    int result;

    *head = (struct tar_head){
        .name = entry->path,
        .link = "",
        .type = type_of(found->stx_mode),
        .mode = found->stx_mode, /* with the bits of its type */
        .uid = found->stx_uid,
        .gid = found->stx_gid,
        .uname = user_name(members, found->stx_uid),
        .gname = group_name(members, found->stx_gid),
        .size = S_ISREG(found->stx_mode) ? (int64_t)found->stx_size : 0,
        .mtime = found->stx_mtime.tv_sec,
    };
    if (S_ISCHR(found->stx_mode) || S_ISBLK(found->stx_mode)) {
        head->major = found->stx_rdev_major;
        head->minor = found->stx_rdev_minor;
    }
    if (S_ISLNK(found->stx_mode)) {
        ssize_t length = readlinkat(entry->directory_fd, entry->name, members->target,
                                    sizeof members->target - 1);

        if (length < 0)
            return -errno;
        members->target[length] = 0;
        head->link = members->target;
    }
    result = read_xattrs(members, entry, head);
    if (result == 0)
        result = link_first(members, found, entry->path, head);
    if (result == 0 && strncmp(entry->name, ".wh.", 4) != 0 &&
        (map_back(options->new_uid_map, options->new_uid_map_length, &head->uid) < 0 ||
         map_back(options->new_gid_map, options->new_gid_map_length, &head->gid) < 0))
        result = -EOVERFLOW;
    return result;
}

/* path's last part behind ".wh.". */
static void whiteout_name(struct members *members, const char *path)
{
    int above;
    const char *name = split_path(path, &above);

    (void)snprintf(members->name, sizeof members->name, "%.*s%s.wh.%s", above, path,
                   above ? "/" : "", name);
}

/* A marker behind the directory whose header this was, if it hides a lower one. */
static int put_opaque(struct members *members, const struct tree_entry *entry,
                      const struct tar_head *directory)
{
    struct tar_head head = *directory;
    int fd = openat(entry->directory_fd, entry->name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result = 0;
    bool is_opaque;

    if (fd < 0)
        return -errno;
    is_opaque = overlay_is_opaque(members->options, fd);
    close(fd);
    if (is_opaque)
        result = overlay_hides(members->options, entry->path);
    if (result <= 0)
        return result;
    (void)snprintf(members->name, sizeof members->name, "%s/.wh..wh..opq", entry->path);
    head.name = members->name;
    head.type = '0';
    head.mode &= 0777;
    head.mtime = 0;
    head.xattrs_length = 0;
    return tar_put_head(members->sink, &head);
}

static int put_content(struct members *members, struct tree_entry *entry,
                       const struct tar_head *head)
{
    struct sink_file file = {
        .name = entry->path, .fd = entry->fd, .size = (uint64_t)head->size};
    int result = 0;

    if (head->type != '0' || head->size == 0)
        return 0;
    entry->fd = -1;
    result = members->sink->file(members->sink, &file);
    return result < 0 ? result : tar_put_padding(members->sink, file.size);
}

int members_put(void *context, struct tree_entry *entry)
{
    struct members *members = context;
    const struct statx *found = &entry->found;
    bool is_overlay = members->options->is_overlay;
    struct tar_head head;
    int result;

    if (S_ISSOCK(found->stx_mode))
        return 0;
    result = fill_head(members, entry, &head);
    if (result < 0)
        return result;
    if (S_ISDIR(found->stx_mode)) {
        (void)snprintf(members->name, sizeof members->name, "%s/", entry->path);
        head.name = members->name;
    } else if (is_overlay && is_whiteout(found)) {
        /* One of several of an inode keeps the stray link name that Go leaves there. */
        whiteout_name(members, entry->path);
        head.name = members->name;
        head.mode = 0;
        head.type = '0';
    }
    result = tar_put_head(members->sink, &head);
    if (result == 0 && members->options->lowers > 0 && S_ISDIR(found->stx_mode))
        result = put_opaque(members, entry, &head);
    return result < 0 ? result : put_content(members, entry, &head);
}

int members_put_deleted(struct members *members, const char *path)
{
    struct tar_head head = {
        .link = "", .uname = "", .gname = "", .type = '0', .mtime = members->options->now};

    whiteout_name(members, path);
    head.name = members->name;
    return tar_put_head(members->sink, &head);
}
