/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A mapping saves the copy that pread(2) makes, but costs page faults when its
 * pages are first touched, and page tables. So a file earns it by being read once
 * over, and when there are too many, one of an idle file goes, but only now and
 * then: a drive that is read from end to end once, or is much larger than all
 * mappings, is read as without them. Only what is in the page cache is read out
 * of a mapping. A page fault would read a disk in small pieces, its errors would
 * have no name, and in a hole of a tmpfs it would take memory.
 */
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "store/fdcache_impl.h"

#define PAGES_ASKED 257 /* of one mincore(2): 1 MiB, not aligned */
#define UNMAP_MS 100    /* at least, from one mapping taken away for another to the next */

void fdcache_map_end(struct fdcache *cache, char *map)
{
    if (!map)
        return;
    munmap(map, cache->map_len);
    atomic_fetch_sub(&cache->maps, 1);
}

/* Takes the mapping of one idle file away. False when there is none, or it is too soon. */
static bool unmap_one(struct fdcache *cache)
{
    long long before = atomic_load(&cache->unmapped);
    struct timespec t;
    long long now;

    clock_gettime(CLOCK_MONOTONIC, &t);
    now = t.tv_sec * 1000LL + t.tv_nsec / 1000000;
    if (now - before < UNMAP_MS || !atomic_compare_exchange_strong(&cache->unmapped, &before, now))
        return false;
    for (unsigned i = 0; i < cache->nsets; i++) {
        struct fdcache_set *set = &cache->sets[atomic_fetch_add(&cache->hand, 1) % cache->nsets];
        char *map = NULL;

        mutex_lock(&set->mutex);
        for (unsigned way = 0; way < FDCACHE_WAYS && !map; way++) {
            struct fdcache_file *file = &set->files[way];

            if (file->open && file->pins == 0 && atomic_load(&file->map)) {
                map = atomic_exchange(&file->map, NULL);
                atomic_store(&file->wanted, 0);
            }
        }
        mutex_unlock(&set->mutex);
        if (map) {
            fdcache_map_end(cache, map);
            return true;
        }
    }
    return false;
}

static uint64_t map_offset(const struct fdcache *cache, const struct fdcache_file *file)
{
    return file->payload - file->payload % cache->page;
}

/* Locked memory is for ourselves: the page cache stays free to go. NULL where it cannot be. */
static char *map_unlocked(const struct fdcache *cache, const struct fdcache_file *file)
{
    char *map =
        mmap(NULL, cache->map_len, PROT_READ, MAP_SHARED, file->fd, (off_t)map_offset(cache, file));

    if (map == MAP_FAILED)
        return NULL;
    if (munlock(map, cache->map_len)) {
        munmap(map, cache->map_len);
        return NULL;
    }
    /* That we read there is no reason to keep pages longer than those that are read(2). */
    (void)!madvise(map, cache->map_len, MADV_RANDOM);
    return map;
}

/* Maps a file that the caller holds. NULL where that is not possible. */
static char *map_file(struct fdcache *cache, struct fdcache_file *file)
{
    char *mine = NULL, *before = NULL;

    if (atomic_fetch_add(&cache->maps, 1) < cache->max_maps || unmap_one(cache))
        mine = map_unlocked(cache, file);
    if (mine && atomic_compare_exchange_strong(&file->map, &before, mine))
        return mine;
    if (mine) {
        fdcache_map_end(cache, mine); /* another thread was faster */
    } else {
        atomic_fetch_sub(&cache->maps, 1);
        atomic_store(&file->wanted, 0);
    }
    return before;
}

/* Whether all of it is in memory, so that nobody waits for a disk. */
static bool is_cached(const struct fdcache *cache, const char *from, size_t len)
{
    size_t before = (uintptr_t)from % cache->page;
    unsigned char pages[PAGES_ASKED];
    size_t npages = (before + len + cache->page - 1) / cache->page;

    if (npages > PAGES_ASKED || mincore((void *)(from - before), before + len, pages))
        return false;
    for (size_t i = 0; i < npages; i++)
        if (!(pages[i] & 1))
            return false;
    return true;
}

const char *fdcache_map_bytes(struct fdcache *cache, struct fdcache_file *file, uint64_t off,
                              size_t len)
{
    char *map = atomic_load(&file->map);

    if (!map && file->mappable && cache->max_maps &&
        atomic_fetch_add(&file->wanted, len) >= cache->map_len - cache->page)
        map = map_file(cache, file);
    if (!map)
        return NULL;
    map += off - map_offset(cache, file);
    return is_cached(cache, map, len) ? map : NULL;
}
