/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A bounded number of open tile files, least recently used ones closed first.
 * Set-associative: a tile has FDCACHE_WAYS places, so a look-up takes one short
 * lock that few other tiles share, and nothing is allocated after init.
 *
 * Some of the files are also mapped into memory, for reading. Only the kernel may
 * look there: a file that somebody else cuts loses its pages, and who touches
 * them then gets SIGBUS, while a system call gets -EFAULT.
 */
#ifndef STORE_FDCACHE_H
#define STORE_FDCACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/lock.h"

#define FDCACHE_WAYS 8
#define FDCACHE_MAPPED (UINT64_C(1) << 30) /* bytes of address space for all mappings */

/* An open tile file. Its user holds it between fdcache_get() and fdcache_put(). */
struct fdcache_file {
    /* fixed while held */
    uint32_t tile;
    int fd;
    uint64_t payload; /* where the tile's bytes begin */
    bool writing;     /* it was opened to be written, too, not just read */
    bool mappable;    /* mincore(2) tells us the truth about it */
    /* any holder */
    atomic_int write_error; /* -errno of opening it for writing, when only reading was possible */
    atomic_uint_fast64_t wanted; /* bytes that were to be read out of a mapping, without one */
    _Atomic(char *) map;         /* NULL: not mapped. Taken away only while nobody holds it */
    atomic_uint_fast64_t size;   /* of the file, in bytes: never below the true one */
    atomic_bool dirty;           /* changed since it was last synced; set after the change */
    atomic_bool leaving;         /* we are about to remove it */
    /* guarded by the mutex of the set */
    uint32_t pins; /* holders */
    uint64_t used; /* the set's clock when last got */
    bool open;
    bool forgotten; /* not to be found any more; closed by its last holder */
    bool syncing;
    bool unsynced; /* the last sync failed */
};

struct fdcache;

struct fdcache_ops {
    /*
     * Opens file->tile, as file->writing says, into fd, payload, write_error and mappable. 0 or
     * -errno; -ENOENT when absent.
     */
    int (*open)(void *arg, struct fdcache_file *file);
    /* Makes the file's bytes durable. 0 or -errno. */
    int (*sync)(void *arg, struct fdcache_file *file);
    /* It is about to be closed, to make room or at the end; a set's lock is held. May be NULL. */
    void (*closing)(void *arg, struct fdcache_file *file);
    void *arg;
};

/*
 * max_open is rounded down to a multiple of FDCACHE_WAYS. A mapping has the
 * tile_size bytes of a whole tile. 0 or -ENOMEM.
 */
MUST_CHECK int fdcache_new(unsigned max_open, uint64_t tile_size, const struct fdcache_ops *ops,
                           struct fdcache **out);
/* Nobody holds a file. Closes all, syncs none. NULL is fine. */
void fdcache_free(struct fdcache *cache);

/*
 * Gets tile's file, opening it if need be, then waiting for a place if all are
 * held. The caller holds no other file, and the tile is not removed meanwhile.
 * One that is open for reading only is opened anew when it is to be written, and nobody
 * finds the old one any more: -ESTALE when the two are not the same file. Else 0 or
 * -errno of open.
 */
MUST_CHECK int fdcache_get(struct fdcache *cache, uint32_t tile, bool writing,
                           struct fdcache_file **file);

/* Adds a tile that was just created: takes over the descriptor. Nobody
 * has opened it since. */
void fdcache_add(struct fdcache *cache, uint32_t tile, int fd, uint64_t payload);

/*
 * Where the len bytes at off of the file lie in memory, until fdcache_put(); NULL
 * when they cannot be read there: the file is not mapped, which it is once as much
 * of it was wanted as it is long, or they are not all in the page cache.
 */
const char *fdcache_map_bytes(struct fdcache *cache, struct fdcache_file *file, uint64_t off,
                              size_t len);

/* How long the file may be, in bytes: never below the true length. For whoever holds it. */
static inline uint64_t fdcache_size(const struct fdcache_file *file)
{
    return atomic_load_explicit(&file->size, memory_order_relaxed);
}

/*
 * Its holder is going to write up to byte end of it. Told before the write: one that fails
 * half-way has made the file longer, too.
 */
static inline void fdcache_writes(struct fdcache_file *file, uint64_t end)
{
    uint64_t size = fdcache_size(file);

    while (size < end && !atomic_compare_exchange_weak(&file->size, &size, end))
        ;
}

/* Its holder has changed it, or tried to: the next sync is for it, too. */
static inline void fdcache_wrote(struct fdcache_file *file)
{
    if (!atomic_load(&file->dirty))
        atomic_store(&file->dirty, true);
}

/* Its only holder that writes has cut it off after size bytes. */
static inline void fdcache_cut(struct fdcache_file *file, uint64_t size)
{
    atomic_store(&file->size, size);
}

void fdcache_put(struct fdcache *cache, struct fdcache_file *file);
/* As fdcache_put(), and nobody finds this file any more. */
void fdcache_drop(struct fdcache *cache, struct fdcache_file *file);

/*
 * The tile's file is about to be removed by us, or is not after all: whether
 * ops.sync() may find it without a name.
 */
void fdcache_leaving(struct fdcache *cache, uint32_t tile, bool leaving);

/*
 * No descriptor can be had: closes a few files that nobody holds. False when there is
 * none. Any thread; ops.open may do so, ops.sync may not.
 */
bool fdcache_relieve(struct fdcache *cache);

/* The tile's file was removed: nobody will find it here any more. */
void fdcache_forget(struct fdcache *cache, uint32_t tile);

/*
 * Syncs tile if it is open; one that is not was synced when it was closed. 0 or
 * -errno. Any thread, removal of the tile included.
 */
MUST_CHECK int fdcache_sync(struct fdcache *cache, uint32_t tile);

/* Calls fn with every open file that can be found, under the lock of its set. */
void fdcache_each(struct fdcache *cache, void (*fn)(void *arg, struct fdcache_file *file),
                  void *arg);

/* Whether the file, which the caller holds, may have bytes that only the page cache has. */
bool fdcache_unsynced(struct fdcache *cache, struct fdcache_file *file);

/* Calls fn with the tile's descriptor if it is open; else false. Any thread, as above. */
bool fdcache_peek(struct fdcache *cache, uint32_t tile, void (*fn)(int fd, void *arg), void *arg);

/*
 * The first error of a sync that happened on closing, once. Every file that was
 * closed before the call is covered.
 */
MUST_CHECK int fdcache_error(struct fdcache *cache);

#endif
