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
 */
#include "store/fdcache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/fdcache_impl.h"

#define RELIEVED 8 /* files closed at once for want of descriptors */

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

/* A file that is idle goes. */
static struct remains evict_locked(struct fdcache *cache, struct fdcache_file *file)
{
    if (cache->ops.closing && !file->forgotten)
        cache->ops.closing(cache->ops.arg, file);
    return take_locked(file);
}

static void give_back(struct fdcache *cache, struct remains remains)
{
    fdcache_map_end(cache, remains.map);
    if (remains.fd >= 0)
        close(remains.fd);
}

void fdcache_free(struct fdcache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < cache->nsets; i++) {
        struct fdcache_set *set = &cache->sets[i];

        for (unsigned way = 0; way < FDCACHE_WAYS; way++) {
            assert(set->files[way].pins == 0);
            if (set->files[way].open)
                give_back(cache, evict_locked(cache, &set->files[way]));
        }
        lock_must(pthread_cond_destroy(&set->changed));
        mutex_release(&set->mutex);
    }
    free(cache);
}

static struct fdcache_set *set_of(struct fdcache *cache, uint32_t tile)
{
    return &cache->sets[tile % cache->nsets];
}

/* The tile's file, pinned, or NULL. */
static struct fdcache_file *find_locked(struct fdcache_set *set, uint32_t tile) REQUIRES(set->mutex)
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

/* The idle file that was used longest ago, or NULL. */
static struct fdcache_file *oldest_locked(struct fdcache_set *set) REQUIRES(set->mutex)
{
    struct fdcache_file *oldest = NULL;

    for (unsigned way = 0; way < FDCACHE_WAYS; way++) {
        struct fdcache_file *file = &set->files[way];

        if (file->open && file->pins == 0 && (!oldest || file->used < oldest->used))
            oldest = file;
    }
    return oldest;
}

static struct fdcache_file *free_locked(struct fdcache_set *set) REQUIRES(set->mutex)
{
    for (unsigned way = 0; way < FDCACHE_WAYS; way++)
        if (!set->files[way].open)
            return &set->files[way];
    return NULL;
}

/* Returns what is to be given back. */
static struct remains unpin_locked(struct fdcache_set *set, struct fdcache_file *file)
    REQUIRES(set->mutex)
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
    struct fdcache_set *set = set_of(cache, file->tile);
    struct remains remains;

    mutex_lock(&set->mutex);
    remains = unpin_locked(set, file);
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
}

void fdcache_drop(struct fdcache *cache, struct fdcache_file *file)
{
    struct fdcache_set *set = set_of(cache, file->tile);
    struct remains remains;

    mutex_lock(&set->mutex);
    file->forgotten = true;
    remains = unpin_locked(set, file);
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
}

/* Syncs a file that the caller holds; the set's mutex is given up meanwhile. */
static int sync_locked(struct fdcache *cache, struct fdcache_set *set, struct fdcache_file *file)
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
 * Whether the idle file may be closed. If not it is synced; the mutex was given up
 * meanwhile, so the caller must look again.
 */
static bool clean_locked(struct fdcache *cache, struct fdcache_set *set, struct fdcache_file *file)
    REQUIRES(set->mutex)
{
    int rc;

    if (!atomic_load(&file->dirty))
        return true;
    file->pins++;
    rc = sync_locked(cache, set, file);
    if (rc)
        atomic_compare_exchange_strong(&cache->error, &(int){0}, rc);
    give_back(cache, unpin_locked(set, file));
    return false;
}

/*
 * Makes room, waiting if every place is held. The place returned is free or
 * idle and clean. May give up the mutex, so the caller must look again for the
 * tile: then NULL is returned.
 */
static struct fdcache_file *room_locked(struct fdcache *cache, struct fdcache_set *set)
    REQUIRES(set->mutex)
{
    struct fdcache_file *file = free_locked(set);

    if (file)
        return file;
    file = oldest_locked(set);
    if (!file)
        mutex_wait(&set->mutex, &set->changed);
    return file && clean_locked(cache, set, file) ? file : NULL;
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
static int retire_locked(struct fdcache *cache, struct fdcache_set *set, struct fdcache_file *file,
                         struct fdcache_file *fresh) REQUIRES(set->mutex)
{
    bool same = is_same(file->fd, fresh->fd);

    file->forgotten = same;
    atomic_store(&fresh->wanted, atomic_load(&file->map) ? cache->map_len : file->wanted);
    give_back(cache, unpin_locked(set, file));
    return same ? 0 : -ESTALE;
}

static void fill_locked(struct fdcache_set *set, struct fdcache_file *file,
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
    struct fdcache_set *set = set_of(cache, fresh->tile);
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
            unused = evict_locked(cache, room);
        fill_locked(set, room, fresh);
        *file = room;
    }
    mutex_unlock(&set->mutex);
    give_back(cache, unused);
    return rc;
}

/* Closes the idle file of the set that was used longest ago. False when there is none. */
static bool close_one(struct fdcache *cache, struct fdcache_set *set)
{
    struct remains remains = {-1, NULL};
    struct fdcache_file *file;

    mutex_lock(&set->mutex);
    do {
        file = oldest_locked(set);
    } while (file && !clean_locked(cache, set, file));
    if (file) {
        remains = evict_locked(cache, file);
        file->open = false;
    }
    mutex_unlock(&set->mutex);
    give_back(cache, remains);
    return file;
}

bool fdcache_relieve(struct fdcache *cache)
{
    unsigned closed = 0;

    for (unsigned i = 0; i < cache->nsets && closed < RELIEVED; i++)
        closed += close_one(cache, &cache->sets[atomic_fetch_add(&cache->spare, 1) % cache->nsets]);
    return closed > 0;
}

/* One that is there, pinned, and open as wanted; else NULL. */
static struct fdcache_file *find(struct fdcache *cache, uint32_t tile, bool writing)
{
    struct fdcache_set *set = set_of(cache, tile);
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

void fdcache_leaving(struct fdcache *cache, uint32_t tile, bool leaving)
{
    struct fdcache_set *set = set_of(cache, tile);

    mutex_lock(&set->mutex);
    for (unsigned way = 0; way < FDCACHE_WAYS; way++)
        if (set->files[way].open && set->files[way].tile == tile)
            atomic_store(&set->files[way].leaving, leaving);
    mutex_unlock(&set->mutex);
}

void fdcache_forget(struct fdcache *cache, uint32_t tile)
{
    struct fdcache_set *set = set_of(cache, tile);
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
    struct fdcache_set *set = set_of(cache, tile);
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

void fdcache_each(struct fdcache *cache, void (*fn)(void *arg, struct fdcache_file *file),
                  void *arg)
{
    for (unsigned i = 0; i < cache->nsets; i++) {
        struct fdcache_set *set = &cache->sets[i];

        mutex_lock(&set->mutex);
        for (unsigned way = 0; way < FDCACHE_WAYS; way++)
            if (set->files[way].open && !set->files[way].forgotten)
                fn(arg, &set->files[way]);
        mutex_unlock(&set->mutex);
    }
}

bool fdcache_unsynced(struct fdcache *cache, struct fdcache_file *file)
{
    struct fdcache_set *set = set_of(cache, file->tile);
    bool unsynced;

    mutex_lock(&set->mutex);
    unsynced = atomic_load(&file->dirty) || file->syncing || file->unsynced;
    mutex_unlock(&set->mutex);
    return unsynced;
}

bool fdcache_peek(struct fdcache *cache, uint32_t tile, void (*fn)(int fd, void *arg), void *arg)
{
    struct fdcache_set *set = set_of(cache, tile);
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
