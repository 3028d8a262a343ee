#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "nameset.h"

enum { FIRST_SIZE = 1024 };

struct nameset {
    uint64_t key;
    uint64_t *slots; /* hash with the lowest bit set for what is no directory; 0 is empty */
    size_t size, count;
};

struct nameset *nameset_new(void)
{
    struct nameset *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->size = FIRST_SIZE;
    set->slots = calloc(set->size, sizeof *set->slots);
    /* Without randomness somebody might find names that fall together: only their tar suffers. */
    if (getrandom(&set->key, sizeof set->key, GRND_NONBLOCK) < 0)
        set->key = 0x9e3779b97f4a7c15;
    if (!set->slots) {
        free(set);
        return NULL;
    }
    return set;
}

void nameset_free(struct nameset *set)
{
    if (!set)
        return;
    free(set->slots);
    free(set);
}

/* FNV-1a can go on from any prefix; mixed() makes all bits depend on all. */
static uint64_t hashed(uint64_t state, char c)
{
    return (state ^ (unsigned char)c) * 0x100000001b3;
}

static uint64_t mixed(uint64_t state)
{
    state ^= state >> 32;
    state *= 0xd6e8feb86659fd93;
    state ^= state >> 32;
    state *= 0xd6e8feb86659fd93;
    state ^= state >> 32;
    state &= ~(uint64_t)1;
    return state ? state : 2;
}

static uint64_t *find(const struct nameset *set, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & (set->size - 1);

    while (set->slots[at] != 0 && (set->slots[at] & ~(uint64_t)1) != hash)
        at = (at + 1) & (set->size - 1);
    return &set->slots[at];
}

static int grow(struct nameset *set)
{
    struct nameset larger = {.size = set->size * 2};

    larger.slots = calloc(larger.size, sizeof *larger.slots);
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < set->size; i++)
        if (set->slots[i] != 0)
            *find(&larger, set->slots[i] & ~(uint64_t)1) = set->slots[i];
    free(set->slots);
    set->slots = larger.slots;
    set->size = larger.size;
    return 0;
}

int nameset_add(struct nameset *set, const char *name, bool is_directory)
{
    uint64_t hash = set->key, *slot;

    while (*name)
        hash = hashed(hash, *name++);
    hash = mixed(hash);
    slot = find(set, hash);
    if (*slot != 0)
        return 0;
    *slot = hash | !is_directory;
    set->count++;
    if (set->count > set->size / 4 * 3 && grow(set) < 0)
        return -ENOMEM;
    return 1;
}

bool nameset_has(const struct nameset *set, const char *name)
{
    uint64_t hash = set->key;

    while (*name)
        hash = hashed(hash, *name++);
    return *find(set, mixed(hash)) != 0;
}

bool nameset_has_file_on(const struct nameset *set, const char *path)
{
    uint64_t hash = set->key;

    for (;; path++) {
        if (*path == '/' || *path == 0)
            if (*find(set, mixed(hash)) & 1)
                return true;
        if (*path == 0)
            return false;
        hash = hashed(hash, *path);
    }
}

static void idset_put(struct idset *set, uint32_t slot)
{
    size_t at = (size_t)(slot * 0x9e3779b1) & (set->size - 1);

    while (set->slots[at] != 0 && set->slots[at] != slot)
        at = (at + 1) & (set->size - 1);
    if (set->slots[at] == 0)
        set->count++;
    set->slots[at] = slot;
}

int idset_add(struct idset *set, uint32_t id)
{
    if (id == UINT32_MAX) {
        set->has_last = true;
        return 0;
    }
    if (set->count >= set->size / 2) {
        struct idset larger = {.size = set->size ? set->size * 2 : 16, .has_last = set->has_last};

        larger.slots = calloc(larger.size, sizeof *larger.slots);
        if (!larger.slots)
            return -ENOMEM;
        for (size_t i = 0; i < set->size; i++)
            if (set->slots[i] != 0)
                idset_put(&larger, set->slots[i]);
        free(set->slots);
        *set = larger;
    }
    idset_put(set, id + 1);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

int idset_take(struct idset *set, uint32_t **ids, size_t *length)
{
    size_t count = 0;
    uint32_t *taken = malloc((set->count + 1) * sizeof *taken);

    if (taken) {
        for (size_t i = 0; i < set->size; i++)
            if (set->slots[i] != 0)
                taken[count++] = set->slots[i] - 1;
        if (set->has_last)
            taken[count++] = UINT32_MAX;
        qsort(taken, count, sizeof *taken, by_number);
    }
    free(set->slots);
    *set = (struct idset){0};
    *ids = taken;
    *length = count;
    return taken ? 0 : -ENOMEM;
}
