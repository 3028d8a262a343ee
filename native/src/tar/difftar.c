#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanpath.h"
#include "difftar.h"
#include "members.h"

/* The tar of what differs: of two trees by one thread, of one as a whole by several. */

struct generator {
    struct producer producer;
    const struct hold_diff_options *options;
    struct members *members;
    struct tree_failure failure;
};

bool diff_is_walk(const struct hold_diff_options *diff)
{
    /* With nothing to compare with, the Go library walks the tree too: "a/b" is before "a.b" then. */
    return diff->is_overlay || diff->old_fd < 0;
}

/* -- by one thread -- */

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
            result = members_put_deleted(generator->members, entry.path);
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
            result = members_put(generator->members, &entry);
        if (result < 0)
            (void)snprintf(generator->failure.path, sizeof generator->failure.path, "/%.500s",
                           entry.path);
    }
    if (directory_fd >= 0)
        close(directory_fd);
    return result;
}

static int generate(struct generator *generator, struct sink *sink)
{
    static const unsigned char end[1024];
    struct changes changes = {0};
    int result;

    members_go_to(generator->members, sink);
    if (diff_is_walk(generator->options)) {
        result = walk_tree(generator->options->new_fd, true, members_put, generator->members,
                           &generator->failure);
    } else {
        result = compare_trees(generator->options, false, &changes, &generator->failure);
        if (result == 0)
            result = put_changes(generator, &changes);
        changes_free(&changes);
    }
    return result < 0 ? result : sink->bytes(sink, end, sizeof end);
}

/* In a thread of its own, whose current directory nobody else has. */
static int produce(struct producer *producer, struct sink *sink, char *message, size_t room)
{
    struct generator *generator = (struct generator *)producer;
    struct inodeset *links = inodeset_new();
    int result = unshare(CLONE_FS) < 0 ? -errno : 0;

    generator->members = links ? members_new(generator->options, links) : NULL;
    if (result == 0)
        result = generator->members ? generate(generator, sink) : -ENOMEM;
    members_free(generator->members);
    inodeset_free(links);
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

/* -- by several threads -- */

struct tree_parts {
    struct parts parts;
    const struct hold_diff_options *options;
    struct tree_walk *walk;
    struct inodeset *links;
    struct members *members[MAKERS]; /* each made by the thread that uses it */
};

static int next_run(struct parts *parts, void *run, char *message, size_t room)
{
    struct tree_failure failure = {0};
    int result = tree_walk_next(((struct tree_parts *)parts)->walk, run, &failure);

    if (result < 0)
        tree_explain(&failure, result, message, room);
    return result;
}

static int put_run(struct parts *parts, int maker, const void *run, struct sink *sink,
                   char *message, size_t room)
{
    struct tree_parts *tree = (struct tree_parts *)parts;
    struct members **members = &tree->members[maker];
    struct tree_failure failure = {0};
    int result = 0;

    if (!*members) {
        *members = members_new(tree->options, tree->links);
        /* The current directory is to be nobody else's. */
        result = !*members ? -ENOMEM : unshare(CLONE_FS) < 0 ? -errno : 0;
    }
    if (result == 0) {
        members_go_to(*members, sink);
        result = tree_run_visit(tree->options->new_fd, run, true, members_put, *members, &failure);
    }
    if (result < 0)
        tree_explain(&failure, result, message, room);
    return result;
}

struct parts *tree_parts_new(const struct hold_diff_options *diff)
{
    struct tree_parts *tree = calloc(1, sizeof *tree);

    if (!tree)
        return NULL;
    *tree = (struct tree_parts){
        .parts = {.size = sizeof(struct tree_run), .next = next_run, .make = put_run},
        .options = diff,
        .walk = tree_walk_new(diff->new_fd),
        .links = inodeset_new(),
    };
    if (!tree->walk || !tree->links) {
        tree_parts_free(&tree->parts);
        return NULL;
    }
    return &tree->parts;
}

void tree_parts_free(struct parts *parts)
{
    struct tree_parts *tree = (struct tree_parts *)parts;

    if (!tree)
        return;
    for (int i = 0; i < MAKERS; i++)
        members_free(tree->members[i]);
    tree_walk_free(tree->walk);
    inodeset_free(tree->links);
    free(tree);
}
