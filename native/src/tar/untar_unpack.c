#define _GNU_SOURCE
#include <errno.h>
#include <isa-l/crc64.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanpath.h"
#include "untar_unpack.h"

/* A file of more than this part of the ring is written piece by piece. */
enum { LARGE_PART = 8 };

int unpack_fail(struct unpacker *unpacker, int error, const char *reason)
{
    return untar_fail(unpacker->untar, error, unpacker->member.offset, unpacker->member.name,
                      reason);
}

int unpack_fail_errno(struct unpacker *unpacker, int error, const char *doing)
{
    return untar_fail_errno(unpacker->untar, error, unpacker->member.offset, unpacker->member.name,
                            doing);
}

/* Room for a cleaned name. */
static char *path_space(char **path, size_t *room, size_t length)
{
    if (length > *room) {
        char *larger = realloc(*path, length * 2);

        if (!larger)
            return NULL;
        *path = larger;
        *room = length * 2;
    }
    return *path;
}

struct job *unpack_job(struct unpacker *unpacker, enum job_kind kind, struct parent *parent,
                       const char *name, const char *target)
{
    const struct tar_member *member = &unpacker->member;
    size_t path_length = strlen(unpacker->path) + 1;
    size_t target_length = strlen(target) + 1;
    size_t xattrs_length = unpacker->attributes.xattrs_length;
    struct job *job = malloc(sizeof *job + path_length + target_length + xattrs_length);
    char *strings = (char *)(job + 1);

    if (!job)
        return NULL;
    *job = (struct job){
        .begin = unpacker->parser.position,
        .size = kind == JOB_FILE ? (uint64_t)member->payload : 0,
        .member_offset = member->offset,
        .kind = kind,
        .parent = parent,
        .path = strings,
        .name = strings + (name - unpacker->path),
        .target = strings + path_length,
        .attributes = unpacker->attributes,
    };
    memcpy(strings, unpacker->path, path_length);
    memcpy(strings + path_length, target, target_length);
    if (xattrs_length > 0) {
        memcpy(strings + path_length + target_length, member->xattrs, xattrs_length);
        job->attributes.xattrs = strings + path_length + target_length;
    }
    __atomic_add_fetch(&parent->references, 1, __ATOMIC_RELAXED);
    return job;
}

static int add_job(struct unpacker *unpacker, struct job *job)
{
    struct untar *untar = unpacker->untar;
    bool is_aliased = job->parent->is_aliased;

    /* Where a link leads, another writer may be at work on the same names. */
    if (is_aliased)
        (void)jobs_drain(untar);
    jobs_add(untar, job);
    return is_aliased ? jobs_drain(untar) : 0;
}

static int keep_member(struct unpacker *unpacker, uint64_t size, uint64_t crc)
{
    struct untar *untar = unpacker->untar;
    int result = untar->split ? tarsplit_member(untar->split, unpacker->member.name, size, crc) : 0;

    return result < 0 ? unpack_fail_errno(unpacker, result, "write tar-split") : 0;
}

int unpack_keep_payload(struct unpacker *unpacker)
{
    int result = keep_member(unpacker, 0, 0);

    if (result == 0)
        result = tar_keep(&unpacker->parser, (uint64_t)unpacker->member.payload);
    return result;
}

bool unpack_must_keep(const struct unpacker *unpacker, const struct parent *parent)
{
    /* Readers join the name to the layer's path: what it leads to then may be another file, or be
     * outside of the layer. */
    return unpacker->member.is_sparse || parent->is_aliased || unpacker->is_clamped;
}

/* A file that is whole in the ring. */
static int unpack_file(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    struct untar *untar = unpacker->untar;
    struct tar_parser *parser = &unpacker->parser;
    size_t size = (size_t)unpacker->member.payload;
    struct iovec spans[2];
    struct job *job;
    uint64_t crc = 0;
    int result = ring_need(untar, parser->position + size);

    if (result < 0)
        return result;
    if (result == 0)
        return unpack_fail(unpacker, -EBADMSG, TAR_SHORT);
    job = unpack_job(unpacker, JOB_FILE, parent, name, "");
    if (!job)
        return unpack_fail_errno(unpacker, -ENOMEM, "make a file");
    if (unpack_must_keep(unpacker, parent)) {
        result = add_job(unpacker, job);
        return result < 0 ? result : unpack_keep_payload(unpacker);
    }
    if (untar->split && size > 0) {
        int count = ring_spans(untar, parser->position, size, spans);

        for (int i = 0; i < count; i++)
            crc = crc64_iso_refl(crc, spans[i].iov_base, spans[i].iov_len);
    }
    result = keep_member(unpacker, size, crc);
    (void)add_job(unpacker, job);
    parser->position += size;
    ring_parsed(untar, parser->position);
    return result;
}

static int unpack_directory(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    int result;

    /* What is not yet made in it must not inherit what it gets now. */
    if (parent->is_aliased || (unpacker->attributes.mode & S_ISGID) ||
        unpacker->attributes.xattrs_length > 0)
        (void)jobs_drain(unpacker->untar);
    result = make_directory(unpacker->untar, parent, name, &unpacker->attributes, false);
    if (result < 0)
        return unpack_fail_errno(unpacker, result, "mkdir");
    if (result == 0) /* it may be among the open ones, and inherit now, or no longer */
        directories_forget(&unpacker->directories, unpacker->path);
    result = directories_add_times(&unpacker->directories, unpacker->path, &unpacker->attributes);
    return result < 0 ? unpack_fail_errno(unpacker, result, "mkdir") : 0;
}

static int unpack_link(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    const char *link = unpacker->member.link;
    struct parent *target_parent;
    const char *target;
    int above, result;
    struct job *job;
    char *clean = path_space(&unpacker->link, &unpacker->link_room, strlen(link) + 3);

    if (!clean)
        return unpack_fail_errno(unpacker, -ENOMEM, "link");
    /* As from the root: what leads above it stays there. */
    clean[0] = '/';
    strcpy(clean + 1, link);
    (void)clean_path(clean, clean);
    target = split_path(clean, &above);
    job = unpack_job(unpacker, JOB_LINK, parent, name, target);
    if (!job)
        return unpack_fail_errno(unpacker, -ENOMEM, "link");
    clean[above] = 0;
    result = directories_get(&unpacker->directories, above ? clean : "", false, &target_parent);
    if (result < 0) {
        parent_release(job->parent);
        free(job);
        return unpack_fail_errno(unpacker, result, "link");
    }
    job->target_parent = target_parent;
    if (target_parent->is_aliased)
        (void)jobs_drain(unpacker->untar);
    return add_job(unpacker, job);
}

static int unpack_other(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    const struct tar_member *member = &unpacker->member;
    bool is_symlink = member->type == '2', is_fifo = member->type == '6';
    struct job *job;

    if (unpacker->untar->options->in_userns && !is_symlink && !is_fifo)
        return 0; /* devices can't be made there */
    job = unpack_job(unpacker, is_symlink ? JOB_SYMLINK : JOB_NODE, parent, name,
                     is_symlink ? member->link : "");
    if (!job)
        return unpack_fail_errno(unpacker, -ENOMEM, "make a file");
    job->type = is_fifo ? S_IFIFO : member->type == '3' ? S_IFCHR : S_IFBLK;
    if (!is_fifo)
        job->device = makedev((unsigned)member->major, (unsigned)member->minor);
    return add_job(unpacker, job);
}

static int unpack_root(struct unpacker *unpacker)
{
    const struct hold_untar_options *options = unpacker->untar->options;
    bool is_overlay = options->whiteouts != HOLD_WHITEOUTS_MERGE;
    int result;

    if (unpacker->member.type != '5')
        return unpack_fail(unpacker, -EBADMSG, "the root can only be a directory");
    if (is_overlay && *unpacker->member.name != '/')
        return 0;
    (void)jobs_drain(unpacker->untar);
    result = make_directory_attributes(unpacker->untar, options->directory_fd,
                                       &unpacker->attributes);
    if (result == 0)
        result = directories_add_times(&unpacker->directories, "", &unpacker->attributes);
    directories_forget(&unpacker->directories, "");
    return result < 0 ? unpack_fail_errno(unpacker, result, "set the root's attributes") : 0;
}

/* Make what the member is, in its directory. */
static int unpack_into(struct unpacker *unpacker, struct parent *parent, const char *name)
{
    const struct tar_member *member = &unpacker->member;
    struct untar *untar = unpacker->untar;
    char reason[64];
    int result = unpack_whiteout(unpacker, parent, name);

    if (result < 0)
        return result;
    if (result > 0)
        return unpack_keep_payload(unpacker);
    switch (member->type) {
    case '0':
        if (member->is_sparse || (uint64_t)member->payload > untar->ring_size / LARGE_PART)
            return unpack_large(unpacker, parent, name);
        return unpack_file(unpacker, parent, name);
    case '1':
        result = unpack_link(unpacker, parent, name);
        break;
    case '5':
        result = unpack_directory(unpacker, parent, name);
        break;
    case '2':
    case '3':
    case '4':
    case '6':
        result = unpack_other(unpacker, parent, name);
        break;
    default:
        (void)snprintf(reason, sizeof reason, "unhandled tar header type %d",
                       (int)(unsigned char)member->type);
        return unpack_fail(unpacker, -EBADMSG, reason);
    }
    return result < 0 ? result : keep_member(unpacker, 0, 0);
}

static int unpack_path(struct unpacker *unpacker)
{
    int above, result;
    const char *name = split_path(unpacker->path, &above);
    struct parent *parent;

    if (*unpacker->path == 0) {
        result = unpack_root(unpacker);
        return result < 0 ? result : unpack_keep_payload(unpacker);
    }
    if (unpack_is_aufs(unpacker, name))
        return unpack_keep_payload(unpacker);
    if (above > 0) {
        unpacker->path[above] = 0;
        result = directories_get(&unpacker->directories, unpacker->path, true, &parent);
        unpacker->path[above] = '/';
    } else {
        result = directories_get(&unpacker->directories, "", true, &parent);
    }
    if (result == -ENOTDIR && strncmp(name, ".wh.", 4) == 0)
        return unpack_keep_payload(unpacker); /* below something that is itself gone */
    if (result < 0)
        return unpack_fail_errno(unpacker, result, "open the directory of");
    result = unpack_into(unpacker, parent, name);
    parent_release(parent);
    return result;
}

static int unpack_member(struct unpacker *unpacker)
{
    const struct tar_member *member = &unpacker->member;
    struct untar *untar = unpacker->untar;
    enum cleaned cleaned;
    const char *name;
    int above, result;

    if (!path_space(&unpacker->path, &unpacker->path_room, strlen(member->name) + 1))
        return unpack_fail_errno(unpacker, -ENOMEM, "read");
    cleaned = clean_path(member->name, unpacker->path);
    if (cleaned == CLEANED_OUTSIDE)
        return unpack_fail(unpacker, -EBADMSG, "the name leads out of the layer");
    if (strlen(unpacker->path) >= PATH_MAX - 1)
        return unpack_fail_errno(unpacker, -ENAMETOOLONG, "open");
    unpacker->is_clamped = cleaned == CLEANED_CLAMPED;
    untar->result->entries++;
    untar->result->payload_size += (uint64_t)member->size;
    name = split_path(unpacker->path, &above);
    result = nameset_add(untar->names, unpacker->path, member->type == '5');
    if (result == 0)
        return unpack_fail(unpacker, -EEXIST, "duplicates of file paths not supported");
    if (result > 0 && strncmp(name, ".wh.", 4) != 0) {
        result = idset_add(&unpacker->uids, (uint32_t)member->uid);
        if (result == 0)
            result = idset_add(&unpacker->gids, (uint32_t)member->gid);
    }
    if (result < 0)
        return unpack_fail_errno(unpacker, result, "read");
    if (member->type == 'g')
        return keep_member(unpacker, 0, 0);
    result = unpack_attributes(unpacker);
    return result < 0 ? result : unpack_path(unpacker);
}

static int unpack_all(struct unpacker *unpacker)
{
    struct untar *untar = unpacker->untar;
    int result = ring_need(untar, 1), writers;

    if (result < 0)
        return result;
    if (result > 0) {
        writers = untar->options->writers;
        if (writers < 1 || writers > MAX_WRITERS)
            writers = MAX_WRITERS;
        result = jobs_start(untar, writers);
        if (result < 0)
            return untar_fail_errno(untar, result, 0, NULL, "start a thread");
        result = unpack_note_root(untar);
        if (result < 0)
            return untar_fail_errno(untar, result, 0, NULL, "note the root's owner");
        do {
            result = tar_next(&unpacker->parser, &unpacker->member);
            if (result > 0)
                result = unpack_member(unpacker) < 0 ? -ECANCELED : 1;
        } while (result > 0);
        if (result == 0)
            result = tar_rest(&unpacker->parser);
        if (result == 0)
            result = jobs_drain(untar);
        if (result < 0)
            return result;
        result = nameset_error(untar->names);
        if (result < 0)
            return untar_fail_errno(untar, result, untar->parsed, NULL, "keep the names");
        result = directories_set_times(&unpacker->directories);
        if (result < 0)
            return untar_fail_errno(untar, result, untar->parsed, NULL, "set directory times");
    }
    if (untar->split) {
        result = tarsplit_end(untar->split);
        if (result < 0)
            return untar_fail_errno(untar, result, untar->parsed, NULL, "write tar-split");
    }
    return 0;
}

void *unpacker_main(void *argument)
{
    struct untar *untar = argument;
    struct unpacker unpacker = {.untar = untar};
    struct hold_untar_result *result = untar->result;

    /* The file mask is the process's, but not of a thread that has parted with it. */
    untar->has_umask = unshare(CLONE_FS) == 0;
    if (untar->has_umask)
        (void)umask(0);
    directories_init(&unpacker.directories, untar);
    if (tar_parser_init(&unpacker.parser, untar) < 0)
        untar_fail_errno(untar, -ENOMEM, 0, NULL, "unpack");
    else
        (void)unpack_all(&unpacker);
    jobs_join(untar);
    directories_free(&unpacker.directories);
    tar_parser_free(&unpacker.parser);
    if (idset_take(&unpacker.uids, &result->uids, &result->uids_length) < 0 ||
        idset_take(&unpacker.gids, &result->gids, &result->gids_length) < 0)
        untar_fail_errno(untar, -ENOMEM, 0, NULL, "unpack");
    free(unpacker.path);
    free(unpacker.link);
    return NULL;
}
