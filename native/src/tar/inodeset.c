#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inodeset.h"

struct slot {
    uint64_t inode; /* 0: empty */
    char *name;
};

struct inodeset {
    struct slot *slots;
    size_t size, count;
};

struct inodeset *inodeset_new(void)
{
    struct inodeset *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->size = 256;
    set->slots = calloc(set->size, sizeof *set->slots);
    if (!set->slots) {
        free(set);
        return NULL;
    }
    return set;
}

void inodeset_free(struct inodeset *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->size; i++)
        free(set->slots[i].name);
    free(set->slots);
    free(set);
}

static struct slot *find(const struct inodeset *set, uint64_t inode)
{
    size_t at = (size_t)((inode * 0x9e3779b97f4a7c15) >> 20) & (set->size - 1);

    while (set->slots[at].inode != 0 && set->slots[at].inode != inode)
        at = (at + 1) & (set->size - 1);
    return &set->slots[at];
}

static int grow(struct inodeset *set)
{
    struct inodeset larger = {.size = set->size * 2};

    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < set->size; i++)
        if (set->slots[i].inode != 0)
            *find(&larger, set->slots[i].inode) = set->slots[i];
    free(set->slots);
    set->slots = larger.slots;
    set->size = larger.size;
    return 0;
}

int inodeset_add(struct inodeset *set, uint64_t inode, const char *name, const char **first)
{
    struct slot *slot;

    if (set->count >= set->size / 2 && grow(set) < 0)
        return -ENOMEM;
    slot = find(set, inode);
    if (slot->inode != 0) {
        if (first)
            *first = slot->name;
        return 0;
    }
    slot->name = *name ? strdup(name) : NULL;
    if (*name && !slot->name)
        return -ENOMEM;
    slot->inode = inode;
    set->count++;
    return 1;
}
