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

struct set {
    struct mutex mutex;
    pthread_cond_t changed; /* a file became idle or ended a sync */
    uint64_t GUARDED clock;
    struct fdcache_file files[FDCACHE_WAYS];
};

struct fdcache {
    struct fdcache_ops ops;
    unsigned nsets;
    atomic_int error;
    struct set sets[];
};

int fdcache_new(unsigned max_open, const struct fdcache_ops *ops, struct fdcache **out)
{
    unsigned nsets = max_open / FDCACHE_WAYS;
    struct fdcache *cache;

    assert(nsets > 0);
    cache = calloc(1, sizeof(*cache) + nsets * sizeof(cache->sets[0]));
    if (!cache)
        return -ENOMEM;
    cache->ops = *ops;
    cache->nsets = nsets;
    for (unsigned i = 0; i < nsets; i++) {
        mutex_init(&cache->sets[i].mutex);
        lock_must(pthread_cond_init(&cache->sets[i].changed, NULL));
    }
    *out = cache;
    return 0;
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
                close(set->files[way].fd);
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

/* Returns the descriptor to close, or -1. */
static int unpin_locked(struct set *set, struct fdcache_file *file) REQUIRES(set->mutex)
{
    if (--file->pins > 0)
        return -1;
    lock_must(pthread_cond_broadcast(&set->changed));
    if (!file->forgotten)
        return -1;
    file->open = false;
    return file->fd;
}

void fdcache_put(struct fdcache *cache, struct fdcache_file *file)
{
    struct set *set = set_of(cache, file->tile);
    int fd;

    mutex_lock(&set->mutex);
    fd = unpin_locked(set, file);
    mutex_unlock(&set->mutex);
    if (fd >= 0)
        close(fd);
}

void fdcache_drop(struct fdcache *cache, struct fdcache_file *file)
{
    struct set *set = set_of(cache, file->tile);
    int fd;

    mutex_lock(&set->mutex);
    file->forgotten = true;
    fd = unpin_locked(set, file);
    mutex_unlock(&set->mutex);
    if (fd >= 0)
        close(fd);
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
        int rc, fd;

        file->pins++;
        rc = sync_locked(cache, set, file);
        if (rc)
            atomic_compare_exchange_strong(&cache->error, &(int){0}, rc);
        fd = unpin_locked(set, file);
        if (fd >= 0)
            close(fd);
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

/* Puts fresh into the cache unless the tile is there already. Returns the tile's file, pinned. */
static struct fdcache_file *enter(struct fdcache *cache, const struct fdcache_file *fresh)
{
    struct set *set = set_of(cache, fresh->tile);
    struct fdcache_file *file, *room;
    int unused = -1;

    mutex_lock(&set->mutex);
    while (!(file = find_locked(set, fresh->tile)) && !(room = room_locked(cache, set)))
        ;
    if (file) {
        unused = fresh->fd;
    } else {
        unused = room->open ? room->fd : -1;
        file = room;
        file->tile = fresh->tile;
        file->fd = fresh->fd;
        file->write_error = fresh->write_error;
        atomic_store(&file->size, size_now(fresh->fd));
        atomic_store(&file->leaving, false);
        atomic_store(&file->dirty, false);
        file->pins = 1;
        file->used = ++set->clock;
        file->open = true;
        file->forgotten = false;
    }
    mutex_unlock(&set->mutex);
    if (unused >= 0)
        close(unused);
    return file;
}

int fdcache_get(struct fdcache *cache, uint32_t tile, struct fdcache_file **file)
{
    struct set *set = set_of(cache, tile);
    struct fdcache_file fresh = {.tile = tile};
    int rc;

    mutex_lock(&set->mutex);
    *file = find_locked(set, tile);
    mutex_unlock(&set->mutex);
    if (*file)
        return 0;
    rc = cache->ops.open(cache->ops.arg, tile, &fresh);
    if (!rc)
        *file = enter(cache, &fresh);
    return rc;
}

void fdcache_add(struct fdcache *cache, uint32_t tile, int fd)
{
    struct fdcache_file fresh = {.tile = tile, .fd = fd};

    fdcache_put(cache, enter(cache, &fresh));
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
    struct fdcache_file *file;
    int fd = -1;

    mutex_lock(&set->mutex);
    file = find_locked(set, tile);
    if (file) {
        file->forgotten = true;
        fd = unpin_locked(set, file);
    }
    mutex_unlock(&set->mutex);
    if (fd >= 0)
        close(fd);
}

int fdcache_sync(struct fdcache *cache, uint32_t tile)
{
    struct set *set = set_of(cache, tile);
    struct fdcache_file *file;
    int fd = -1;
    int rc = 0;

    mutex_lock(&set->mutex);
    file = find_locked(set, tile);
    if (file) {
        rc = sync_locked(cache, set, file);
        fd = unpin_locked(set, file);
    }
    mutex_unlock(&set->mutex);
    if (fd >= 0)
        close(fd);
    return rc;
}

void fdcache_peek(struct fdcache *cache, uint32_t tile, void (*fn)(int fd))
{
    struct set *set = set_of(cache, tile);
    struct fdcache_file *file;

    mutex_lock(&set->mutex);
    file = find_locked(set, tile);
    mutex_unlock(&set->mutex);
    if (file) {
        fn(file->fd);
        fdcache_put(cache, file);
    }
}

int fdcache_error(struct fdcache *cache)
{
    return atomic_exchange(&cache->error, 0);
}
