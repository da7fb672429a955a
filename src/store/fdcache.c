/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * States of a place: free (not open), idle (open, no pins), held (pins), and
 * forgotten (held, not to be found). A place changes hands only when idle.
 *
 * A dirty file is synced before it is closed. Closing it unsynced would leave
 * its error with nobody: the kernel keeps a write-back error with the inode,
 * and an inode that nobody has open may go, error and all. The evictor holds
 * the file while it syncs, so others still find and use it; if they dirtied it
 * again, it is synced again.
 *
 * One sync of a file runs at a time. Of two the kernel would tell the error to
 * one only, and the other would return 0 before the first had said so.
 *
 * A mapping saves the copy that pread(2) makes, but costs page faults when its
 * pages are first touched, and page tables. So a file earns it by being read once
 * over, and when there are too many, one of an idle file goes, but only now and
 * then: a drive that is read from end to end once, or is much larger than all
 * mappings, is read as without them. Only what is in the page cache is read out
 * of a mapping. A page fault would read a disk in small pieces, its errors would
 * have no name, and in a hole of a tmpfs it would take memory.
 */
#include "store/fdcache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGES_ASKED 257 /* of one mincore(2): 1 MiB, not aligned */
#define UNMAP_MS 100    /* at least, from one mapping taken away for another to the next */

struct set {
    struct mutex mutex;
    pthread_cond_t changed; /* a file became idle or ended a sync */
    uint64_t GUARDED clock;
    struct fdcache_file files[FDCACHE_WAYS];
};

struct fdcache {
    /* fixed */
    struct fdcache_ops ops;
    unsigned nsets;
    unsigned max_maps;
    uint64_t page;
    uint64_t map_len; /* from the page that the tile's bytes begin in */
    /* any thread */
    atomic_int error;
    atomic_uint maps;      /* that there are, or that somebody is about to make */
    atomic_uint hand;      /* the set where a mapping to take away is looked for next */
    atomic_llong unmapped; /* when one was last taken away, in milliseconds */
    struct set sets[];
};

int fdcache_new(unsigned max_open, uint64_t tile_size, const struct fdcache_ops *ops,
                struct fdcache **out)
{
    unsigned nsets = max_open / FDCACHE_WAYS;
    struct fdcache *cache;

    assert(nsets > 0);
    cache = calloc(1, sizeof(*cache) + nsets * sizeof(cache->sets[0]));
    if (!cache)
        return -ENOMEM;
    cache->ops = *ops;
    cache->nsets = nsets;
    cache->page = (uint64_t)sysconf(_SC_PAGESIZE);
    cache->map_len = tile_size + cache->page;
    cache->max_maps = (unsigned)(FDCACHE_MAPPED / tile_size);
    for (unsigned i = 0; i < nsets; i++) {
        mutex_init(&cache->sets[i].mutex);
        lock_must(pthread_cond_init(&cache->sets[i].changed, NULL));
    }
    *out = cache;
    return 0;
}

/* What is left of a file that was taken out of its place, to be given back without a lock held. */
struct remains {
    int fd;    /* or -1 */
    char *map; /* or NULL */
};

static struct remains take_locked(struct fdcache_file *file)
{
    return (struct remains){file->fd, atomic_exchange(&file->map, NULL)};
}

static void give_back(struct fdcache *cache, struct remains remains)
{
    if (remains.map) {
        munmap(remains.map, cache->map_len);
        atomic_fetch_sub(&cache->maps, 1);
    }
    if (remains.fd >= 0)
        close(remains.fd);
}

void fdcache_free(struct fdcache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < cache->nsets; i++) {
        struct set *set = &cache->sets[i];

        for (unsigned way = 0; way < FDCACHE_WAYS; way++) {
            assert(set->files[way].pins == 0);
            if (set->files[way].open)
                give_back(cache, take_locked(&set->files[way]));
        }
        lock_must(pthread_cond_destroy(&set->changed));
        mutex_release(&set->mutex);
    }
    free(cache);
}

static struct set *set_of(struct fdcache *cache, uint32_t tile)
{
    return &cache->sets[tile % cache->nsets];
}

/* The tile's file, pinned, or NULL. */
static struct fdcache_file *find_locked(struct set *set, uint32_t tile) REQUIRES(set->mutex)
{
    for (unsigned way = 0; way < FDCACHE_WAYS; way++) {
        struct fdcache_file *file = &set->files[way];

        if (file->open && !file->forgotten && file->tile == tile) {
            file->pins++;
            file->used = ++set->clock;
            return file;
        }
    }
    return NULL;
}

/* A free place, else the idle file that was used longest ago, else NULL. */
static struct fdcache_file *victim_locked(struct set *set) REQUIRES(set->mutex)
{
    struct fdcache_file *oldest = NULL;

    for (unsigned way = 0; way < FDCACHE_WAYS; way++) {
        struct fdcache_file *file = &set->files[way];

        if (!file->open)
            return file;
        if (file->pins == 0 && (!oldest || file->used < oldest->used))
            oldest = file;
    }
    return oldest;
}

/* Returns what is to be given back. */
static struct remains unpin_locked(struct set *set, struct fdcache_file *file) REQUIRES(set->mutex)
{
    struct remains none = {-1, NULL};

    if (--file->pins > 0)
        return none;
    lock_must(pthread_cond_broadcast(&set->changed));
    if (!file->forgotten)
        return none;
    file->open = false;
    return take_locked(file);
}

void fdcache_put(struct fdcache *cache, struct fdcache_file *file)
{
    struct set *set = set_of(cache, file->tile);
    struct remains remains;

    mutex_lock(&set->mutex);
    remains = unpin_locked(set, file);
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
}

void fdcache_drop(struct fdcache *cache, struct fdcache_file *file)
{
    struct set *set = set_of(cache, file->tile);
    struct remains remains;

    mutex_lock(&set->mutex);
    file->forgotten = true;
    remains = unpin_locked(set, file);
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
}

/* Syncs a file that the caller holds; the set's mutex is given up meanwhile. */
static int sync_locked(struct fdcache *cache, struct set *set, struct fdcache_file *file)
    REQUIRES(set->mutex)
{
    int rc;

    while (file->syncing)
        mutex_wait(&set->mutex, &set->changed);
    file->syncing = true;
    atomic_store(&file->dirty, false);
    mutex_unlock(&set->mutex);
    rc = cache->ops.sync(cache->ops.arg, file);
    mutex_lock(&set->mutex);
    file->syncing = false;
    file->unsynced = rc != 0;
    lock_must(pthread_cond_broadcast(&set->changed));
    return rc;
}

/*
 * Makes room, waiting if every place is held. The place returned is free or
 * idle and clean. May give up the mutex, so the caller must look again for the
 * tile: then NULL is returned.
 */
static struct fdcache_file *room_locked(struct fdcache *cache, struct set *set) REQUIRES(set->mutex)
{
    struct fdcache_file *file = victim_locked(set);

    if (!file) {
        mutex_wait(&set->mutex, &set->changed);
        return NULL;
    }
    if (file->open && atomic_load(&file->dirty)) {
        int rc;

        file->pins++;
        rc = sync_locked(cache, set, file);
        if (rc)
            atomic_compare_exchange_strong(&cache->error, &(int){0}, rc);
        give_back(cache, unpin_locked(set, file));
        return NULL;
    }
    return file;
}

/*
 * Asked only here, under the set's mutex: whoever writes to the tile has it in
 * the cache, so now nobody does. Asked before, others might have come and gone.
 */
static uint64_t size_now(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? (uint64_t)st.st_size : UINT64_MAX;
}

static bool is_same(int fd, int other)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/*
 * Puts fresh, which is open to be written, in the way of one that is open for reading only: who
 * holds that may go on to read there. What it has earned goes over. 0 or -ESTALE.
 */
static int retire_locked(struct fdcache *cache, struct set *set, struct fdcache_file *file,
                         struct fdcache_file *fresh) REQUIRES(set->mutex)
{
    bool same = is_same(file->fd, fresh->fd);

    file->forgotten = same;
    atomic_store(&fresh->wanted, atomic_load(&file->map) ? cache->map_len : file->wanted);
    give_back(cache, unpin_locked(set, file));
    return same ? 0 : -ESTALE;
}

static void fill_locked(struct set *set, struct fdcache_file *file,
                        const struct fdcache_file *fresh) REQUIRES(set->mutex)
{
    file->tile = fresh->tile;
    file->fd = fresh->fd;
    file->payload = fresh->payload;
    file->writing = fresh->writing;
    file->write_error = fresh->write_error;
    file->mappable = fresh->mappable;
    atomic_store(&file->wanted, fresh->wanted);
    atomic_store(&file->size, fresh->writing ? size_now(fresh->fd) : UINT64_MAX);
    atomic_store(&file->leaving, false);
    atomic_store(&file->dirty, false);
    file->pins = 1;
    file->used = ++set->clock;
    file->open = true;
    file->forgotten = false;
    file->unsynced = false;
}

/*
 * Puts fresh into the cache unless the tile is there already, as fit. *file is the tile's
 * file, pinned. 0, or -ESTALE: then fresh is closed.
 */
static int enter(struct fdcache *cache, struct fdcache_file *fresh, struct fdcache_file **file)
{
    struct set *set = set_of(cache, fresh->tile);
    struct fdcache_file *room = NULL;
    struct remains unused = {-1, NULL};
    int rc = 0;

    mutex_lock(&set->mutex);
    do {
        *file = find_locked(set, fresh->tile);
        if (*file && fresh->writing && !(*file)->writing) {
            rc = retire_locked(cache, set, *file, fresh);
            *file = NULL;
        }
        if (!rc && !*file)
            room = room_locked(cache, set);
    } while (!rc && !*file && !room);
    if (rc || *file) {
        unused.fd = fresh->fd;
    } else {
        if (room->open)
            unused = take_locked(room);
        fill_locked(set, room, fresh);
        *file = room;
    }
    mutex_unlock(&set->mutex);
    give_back(cache, unused);
    return rc;
}

/* One that is there, pinned, and open as wanted; else NULL. */
static struct fdcache_file *find(struct fdcache *cache, uint32_t tile, bool writing)
{
    struct set *set = set_of(cache, tile);
    struct remains remains = {-1, NULL};
    struct fdcache_file *file;

    mutex_lock(&set->mutex);
    file = find_locked(set, tile);
    if (file && writing && !file->writing) {
        remains = unpin_locked(set, file);
        file = NULL;
    }
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
    return file;
}

int fdcache_get(struct fdcache *cache, uint32_t tile, bool writing, struct fdcache_file **file)
{
    struct fdcache_file fresh = {.tile = tile, .writing = writing};
    int rc;

    *file = find(cache, tile, writing);
    if (*file)
        return 0;
    rc = cache->ops.open(cache->ops.arg, &fresh);
    return rc ? rc : enter(cache, &fresh, file);
}

void fdcache_add(struct fdcache *cache, uint32_t tile, int fd, uint64_t payload)
{
    struct fdcache_file fresh = {
        .tile = tile, .fd = fd, .payload = payload, .writing = true, .mappable = true};
    struct fdcache_file *file;

    if (enter(cache, &fresh, &file) == 0)
        fdcache_put(cache, file);
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
        struct set *set = &cache->sets[atomic_fetch_add(&cache->hand, 1) % cache->nsets];
        struct remains remains = {-1, NULL};

        mutex_lock(&set->mutex);
        for (unsigned way = 0; way < FDCACHE_WAYS && !remains.map; way++) {
            struct fdcache_file *file = &set->files[way];

            if (file->open && file->pins == 0 && atomic_load(&file->map)) {
                remains.map = atomic_exchange(&file->map, NULL);
                atomic_store(&file->wanted, 0);
            }
        }
        mutex_unlock(&set->mutex);
        if (remains.map) {
            give_back(cache, remains);
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
    struct remains mine = {-1, NULL};
    char *before = NULL;

    if (atomic_fetch_add(&cache->maps, 1) < cache->max_maps || unmap_one(cache))
        mine.map = map_unlocked(cache, file);
    if (mine.map && atomic_compare_exchange_strong(&file->map, &before, mine.map))
        return mine.map;
    if (mine.map) {
        give_back(cache, mine); /* another thread was faster */
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

const char *fdcache_bytes(struct fdcache *cache, struct fdcache_file *file, uint64_t off,
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

void fdcache_leaving(struct fdcache *cache, uint32_t tile, bool leaving)
{
    struct set *set = set_of(cache, tile);

    mutex_lock(&set->mutex);
    for (unsigned way = 0; way < FDCACHE_WAYS; way++)
        if (set->files[way].open && set->files[way].tile == tile)
            atomic_store(&set->files[way].leaving, leaving);
    mutex_unlock(&set->mutex);
}

void fdcache_forget(struct fdcache *cache, uint32_t tile)
{
    struct set *set = set_of(cache, tile);
    struct remains remains = {-1, NULL};
    struct fdcache_file *file;

    mutex_lock(&set->mutex);
    file = find_locked(set, tile);
    if (file) {
        file->forgotten = true;
        remains = unpin_locked(set, file);
    }
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
}

int fdcache_sync(struct fdcache *cache, uint32_t tile)
{
    struct set *set = set_of(cache, tile);
    struct remains remains = {-1, NULL};
    struct fdcache_file *file;
    int rc = 0;

    mutex_lock(&set->mutex);
    file = find_locked(set, tile);
    if (file) {
        rc = sync_locked(cache, set, file);
        remains = unpin_locked(set, file);
    }
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
    return rc;
}

bool fdcache_unsynced(struct fdcache *cache, struct fdcache_file *file)
{
    struct set *set = set_of(cache, file->tile);
    bool unsynced;

    mutex_lock(&set->mutex);
    unsynced = atomic_load(&file->dirty) || file->syncing || file->unsynced;
    mutex_unlock(&set->mutex);
    return unsynced;
}

bool fdcache_peek(struct fdcache *cache, uint32_t tile, void (*fn)(int fd, void *arg), void *arg)
{
    struct set *set = set_of(cache, tile);
    struct fdcache_file *file;

    mutex_lock(&set->mutex);
    file = find_locked(set, tile);
    mutex_unlock(&set->mutex);
    if (file) {
        fn(file->fd, arg);
        fdcache_put(cache, file);
    }
    return file != NULL;
}

int fdcache_error(struct fdcache *cache)
{
    return atomic_exchange(&cache->error, 0);
}
