#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cleanpath.h"
#include "difftar.h"
#include "inodeset.h"
#include "tarhead.h"
#include "treewalk.h"

/* The tar of what differs, with the members and headers of containers-storage 1.43. */

enum { MOST_XATTRS = 256, FEW_NAMES = 1024, OWNER_NAME = 256, OWNERS = 64 };

struct owner {
    uint32_t id;
    bool is_known;
    char name[OWNER_NAME];
};

struct generator {
    struct producer producer;
    const struct hold_diff_options *options;
    struct sink *sink;
    struct inodeset *links;
    struct owner users[OWNERS], groups[OWNERS];
    struct tar_xattr xattrs[MOST_XATTRS];
    char *xattr_names; /* room for XATTR_LIST_MAX */
    char *xattr_values;
    size_t values_room;
    char name[PATH_MAX + 16], target[PATH_MAX];
    struct tree_failure failure;
};

static const char *user_name(struct generator *generator, uint32_t uid)
{
    struct owner *owner = &generator->users[uid % OWNERS];
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

static const char *group_name(struct generator *generator, uint32_t gid)
{
    struct owner *owner = &generator->groups[gid % OWNERS];
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
static int read_xattrs(struct generator *generator, const struct tree_entry *entry,
                       struct tar_head *head)
{
    /* The kernel allocates as much as it is told. */
    ssize_t length = list_xattrs(entry, generator->xattr_names, FEW_NAMES);
    size_t used = 0;

    if (length < 0 && errno == ERANGE)
        length = list_xattrs(entry, generator->xattr_names, XATTR_LIST_MAX);
    if (length < 0)
        return errno == ENOTSUP ? 0 : -errno;
    for (ssize_t at = 0; at < length;) {
        const char *key = generator->xattr_names + at;
        ssize_t size;

        at += (ssize_t)strlen(key) + 1;
        if (!is_exported(key))
            continue;
        if (head->xattrs_length == MOST_XATTRS)
            return -E2BIG;
        if (used + XATTR_SIZE_MAX > generator->values_room) {
            char *values = realloc(generator->xattr_values, used + 2 * XATTR_SIZE_MAX);

            if (!values)
                return -ENOMEM;
            for (size_t i = 0; i < head->xattrs_length; i++)
                generator->xattrs[i].value =
                    values + ((const char *)generator->xattrs[i].value - generator->xattr_values);
            generator->xattr_values = values;
            generator->values_room = used + 2 * XATTR_SIZE_MAX;
        }
        size = entry->fd < 0
                   ? lgetxattr(entry->name, key, generator->xattr_values + used, XATTR_SIZE_MAX)
                   : fgetxattr(entry->fd, key, generator->xattr_values + used, XATTR_SIZE_MAX);
        if (size < 0 && errno == ENODATA)
            continue;
        if (size < 0)
            return -errno;
        generator->xattrs[head->xattrs_length++] = (struct tar_xattr){
            .name = key, .value = generator->xattr_values + used, .length = (size_t)size};
        used += (size_t)size;
    }
    qsort(generator->xattrs, head->xattrs_length, sizeof *generator->xattrs, by_xattr);
    head->xattrs = generator->xattrs;
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
static int link_first(struct generator *generator, const struct statx *found, const char *path,
                      struct tar_head *head)
{
    const char *first;
    int result;

    if (S_ISDIR(found->stx_mode) || found->stx_nlink < 2)
        return 0;
    result = inodeset_add(generator->links, found->stx_ino, path, &first);
    if (result == 0) {
        head->type = '1';
        head->link = first;
        head->size = 0;
    }
    return result < 0 ? result : 0;
}

static int fill_head(struct generator *generator, const struct tree_entry *entry,
                     struct tar_head *head)
{
    const struct hold_diff_options *options = generator->options;
    const struct statx *found = &entry->found;
    int result;

    *head = (struct tar_head){
        .name = entry->path,
        .link = "",
        .type = type_of(found->stx_mode),
        .mode = found->stx_mode, /* with the bits of its type */
        .uid = found->stx_uid,
        .gid = found->stx_gid,
        .uname = user_name(generator, found->stx_uid),
        .gname = group_name(generator, found->stx_gid),
        .size = S_ISREG(found->stx_mode) ? (int64_t)found->stx_size : 0,
        .mtime = found->stx_mtime.tv_sec,
    };
    if (S_ISCHR(found->stx_mode) || S_ISBLK(found->stx_mode)) {
        head->major = found->stx_rdev_major;
        head->minor = found->stx_rdev_minor;
    }
    if (S_ISLNK(found->stx_mode)) {
        ssize_t length = readlinkat(entry->directory_fd, entry->name, generator->target,
                                    sizeof generator->target - 1);

        if (length < 0)
            return -errno;
        generator->target[length] = 0;
        head->link = generator->target;
    }
    result = read_xattrs(generator, entry, head);
    if (result == 0)
        result = link_first(generator, found, entry->path, head);
    if (result == 0 && strncmp(entry->name, ".wh.", 4) != 0 &&
        (map_back(options->new_uid_map, options->new_uid_map_length, &head->uid) < 0 ||
         map_back(options->new_gid_map, options->new_gid_map_length, &head->gid) < 0))
        result = -EOVERFLOW;
    return result;
}

/* path's last part behind ".wh.". */
static void whiteout_name(struct generator *generator, const char *path)
{
    int above;
    const char *name = split_path(path, &above);

    (void)snprintf(generator->name, sizeof generator->name, "%.*s%s.wh.%s", above, path,
                   above ? "/" : "", name);
}

/* A marker behind the directory whose header this was, if it hides a lower one. */
static int put_opaque(struct generator *generator, const struct tree_entry *entry,
                      const struct tar_head *directory)
{
    struct tar_head head = *directory;
    int fd = openat(entry->directory_fd, entry->name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result = 0;
    bool is_opaque;

    if (fd < 0)
        return -errno;
    is_opaque = overlay_is_opaque(generator->options, fd);
    close(fd);
    if (is_opaque)
        result = overlay_hides(generator->options, entry->path);
    if (result <= 0)
        return result;
    (void)snprintf(generator->name, sizeof generator->name, "%s/.wh..wh..opq", entry->path);
    head.name = generator->name;
    head.type = '0';
    head.mode &= 0777;
    head.mtime = 0;
    head.xattrs_length = 0;
    return tar_put_head(generator->sink, &head);
}

static int put_content(struct generator *generator, struct tree_entry *entry,
                       const struct tar_head *head)
{
    struct sink_file file = {
        .name = entry->path, .fd = entry->fd, .size = (uint64_t)head->size};
    int result = 0;

    if (head->type != '0' || head->size == 0)
        return 0;
    entry->fd = -1;
    result = generator->sink->file(generator->sink, &file);
    return result < 0 ? result : tar_put_padding(generator->sink, file.size);
}

static int put_entry(void *context, struct tree_entry *entry)
{
    struct generator *generator = context;
    const struct statx *found = &entry->found;
    bool is_overlay = generator->options->is_overlay;
    struct tar_head head;
    int result;

    if (S_ISSOCK(found->stx_mode))
        return 0;
    result = fill_head(generator, entry, &head);
    if (result < 0)
        return result;
    if (S_ISDIR(found->stx_mode)) {
        (void)snprintf(generator->name, sizeof generator->name, "%s/", entry->path);
        head.name = generator->name;
    } else if (is_overlay && is_whiteout(found)) {
        /* One of several of an inode keeps the stray link name that Go leaves there. */
        whiteout_name(generator, entry->path);
        head.name = generator->name;
        head.mode = 0;
        head.type = '0';
    }
    result = tar_put_head(generator->sink, &head);
    if (result == 0 && is_overlay && S_ISDIR(found->stx_mode))
        result = put_opaque(generator, entry, &head);
    return result < 0 ? result : put_content(generator, entry, &head);
}

static int put_deleted(struct generator *generator, const char *path)
{
    struct tar_head head = {
        .link = "", .uname = "", .gname = "", .type = '0', .mtime = generator->options->now};

    whiteout_name(generator, path);
    head.name = generator->name;
    return tar_put_head(generator->sink, &head);
}

/* -- the tar -- */

/* Members for sorted changes; the directory of the last one stays open. */
static int put_changes(struct generator *generator, struct changes *changes)
{
    int directory_fd = -1, result = 0, last_above = -1, is_one;
    char directory[PATH_MAX];
    const char *path;

    while (result == 0 && (is_one = changes_next(changes, &path)) != 0) {
        struct tree_entry entry = {.path = path + 1, .fd = -1};
        int above;

        if (is_one < 0) {
            result = is_one;
            break;
        }
        if (change_kind(path) == 'D') {
            result = put_deleted(generator, entry.path);
            continue;
        }
        entry.name = split_path(entry.path, &above);
        if (above != last_above || strncmp(directory, entry.path, (size_t)above) != 0) {
            memcpy(directory, entry.path, (size_t)above);
            directory[above] = 0;
            if (directory_fd >= 0)
                close(directory_fd);
            directory_fd = tree_open(generator->options->new_fd, directory);
            if (directory_fd < 0 || fchdir(directory_fd) < 0)
                result = directory_fd < 0 ? directory_fd : -errno;
            last_above = above;
        }
        entry.directory_fd = directory_fd;
        if (result == 0)
            result = tree_stat(directory_fd, entry.name, &entry.found);
        if (result == 0)
            result = put_entry(generator, &entry);
        if (result < 0)
            (void)snprintf(generator->failure.path, sizeof generator->failure.path, "/%.500s",
                           entry.path);
    }
    if (directory_fd >= 0)
        close(directory_fd);
    return result;
}

static int generate(struct generator *generator)
{
    static const unsigned char end[1024];
    struct changes changes = {0};
    int result;

    /* With nothing to compare with, the Go library walks the tree too: "a/b" is before "a.b" then. */
    if (generator->options->is_overlay || generator->options->old_fd < 0) {
        result = walk_tree(generator->options->new_fd, true, put_entry, generator,
                           &generator->failure);
    } else {
        result = compare_trees(generator->options, false, &changes, &generator->failure);
        if (result == 0)
            result = put_changes(generator, &changes);
        changes_free(&changes);
    }
    return result < 0 ? result : generator->sink->bytes(generator->sink, end, sizeof end);
}

/* In a thread of its own, whose current directory nobody else has. */
static int produce(struct producer *producer, struct sink *sink, char *message, size_t room)
{
    struct generator *generator = (struct generator *)producer;
    int result = unshare(CLONE_FS) < 0 ? -errno : 0;

    generator->sink = sink;
    generator->links = inodeset_new();
    generator->xattr_names = malloc(XATTR_LIST_MAX);
    if (result == 0 && (!generator->links || !generator->xattr_names))
        result = -ENOMEM;
    if (result == 0)
        result = generate(generator);
    inodeset_free(generator->links);
    free(generator->xattr_names);
    free(generator->xattr_values);
    if (result < 0)
        tree_explain(&generator->failure, result, message, room);
    return result;
}

struct producer *generator_new(const struct hold_diff_options *diff)
{
    struct generator *generator = calloc(1, sizeof *generator);

    if (!generator)
        return NULL;
    generator->producer.run = produce;
    generator->options = diff;
    return &generator->producer;
}

void generator_free(struct producer *generator)
{
    free(generator); /* it is the first member */
}
