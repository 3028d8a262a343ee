#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "nameset.h"
#include "spill.h"

/* Slots: those to begin with, and as many as are kept in memory (8 MiB). */
enum { FIRST_SIZE = 1024, KEPT = 1 << 20 };

struct nameset {
    uint64_t key;
    size_t size, count; /* of slots; size is a power of two */
    uint64_t *slots;    /* hash with the lowest bit set for what is no directory; 0 is empty */
    int directory_fd;
    int fd;    /* of the slots once they are too many for memory; -1 before */
    int error; /* the first failure to read or write it */
};

struct nameset *nameset_new(int directory_fd)
{
    struct nameset *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->size = FIRST_SIZE;
    set->slots = calloc(set->size, sizeof *set->slots);
    set->directory_fd = directory_fd;
    set->fd = -1;
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
    if (set->fd >= 0)
        close(set->fd);
    free(set);
}

int nameset_error(const struct nameset *set)
{
    return set->error;
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

static uint64_t load(struct nameset *set, size_t at)
{
    uint64_t slot = 0;
    ssize_t length;

    if (set->fd < 0)
        return set->slots[at];
    length = pread(set->fd, &slot, sizeof slot, (off_t)(at * sizeof slot));
    if (length != sizeof slot && !set->error)
        set->error = length < 0 ? -errno : -EIO;
    return length == sizeof slot ? slot : 0;
}

static void store(struct nameset *set, size_t at, uint64_t slot)
{
    ssize_t length;

    if (set->fd < 0) {
        set->slots[at] = slot;
        return;
    }
    length = pwrite(set->fd, &slot, sizeof slot, (off_t)(at * sizeof slot));
    if (length != sizeof slot && !set->error)
        set->error = length < 0 ? -errno : -ENOSPC;
}

/* Where the hash is, or would be; *slot is what is there. */
static size_t find(struct nameset *set, uint64_t hash, uint64_t *slot)
{
    size_t at = (size_t)(hash >> 1) & (set->size - 1);

    while ((*slot = load(set, at)) != 0 && (*slot & ~(uint64_t)1) != hash)
        at = (at + 1) & (set->size - 1);
    return at;
}

static int grow(struct nameset *set)
{
    struct nameset larger = {.size = set->size * 2, .fd = -1};

    if (larger.size > KEPT && set->directory_fd >= 0) {
        larger.fd = spill_open(set->directory_fd);
        if (larger.fd < 0)
            return larger.fd;
        if (ftruncate(larger.fd, (off_t)(larger.size * sizeof *larger.slots)) < 0)
            larger.error = -errno;
    } else {
        larger.slots = calloc(larger.size, sizeof *larger.slots);
        if (!larger.slots)
            return -ENOMEM;
    }
    for (size_t i = 0; i < set->size && !larger.error && !set->error; i++) {
        uint64_t slot = load(set, i), found;

        if (slot != 0)
            store(&larger, find(&larger, slot & ~(uint64_t)1, &found), slot);
    }
    free(set->slots);
    if (set->fd >= 0)
        close(set->fd);
    set->slots = larger.slots;
    set->fd = larger.fd;
    set->size = larger.size;
    if (!set->error)
        set->error = larger.error;
    return set->error;
}

int nameset_add(struct nameset *set, const char *name, bool is_directory)
{
    uint64_t hash = set->key, slot;
    size_t at;

    while (*name)
        hash = hashed(hash, *name++);
    hash = mixed(hash);
    at = find(set, hash, &slot);
    if (slot == 0) {
        store(set, at, hash | !is_directory);
        set->count++;
        if (set->count > set->size / 4 * 3) {
            int result = grow(set);

            if (result < 0)
                return result;
        }
    }
    if (set->error)
        return set->error;
    return slot == 0;
}

bool nameset_has(struct nameset *set, const char *name)
{
    uint64_t hash = set->key, slot;

    while (*name)
        hash = hashed(hash, *name++);
    (void)find(set, mixed(hash), &slot);
    return slot != 0;
}

bool nameset_has_file_on(struct nameset *set, const char *path)
{
    uint64_t hash = set->key, slot;

    for (;; path++) {
        if (*path == '/' || *path == 0) {
            (void)find(set, mixed(hash), &slot);
            if (slot & 1)
                return true;
        }
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
