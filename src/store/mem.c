/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles as memory, for tests. Behaves like the strictest file system the
 * contract allows: bytes move under a lock for one 4 KiB block at a time, so
 * blocks never tear and anything longer may, and creating a tile past the
 * bound is a full disk.
 *
 * A tile is present when its pointer is not NULL. create and remove change the
 * pointer while image/ keeps everyone else off the tile; only next looks at it
 * from outside, and only at whether it is NULL. That image/ really does so is
 * checked: each place counts who is in it and knows the epoch in which it was
 * last noted, and a caller who should not be there, or changes a tile that is
 * not noted, ends the program.
 */
#include "store/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/zero.h"

#define BLOCK 4096
#define STRIPES 64
#define STALE 0xee /* behind the end of the image */

struct tile {
    struct timespec mtime; /* by its stripe */
    unsigned char bytes[]; /* by its stripe */
};

struct slot {
    _Atomic(struct tile *) tile;
    atomic_int inside;      /* how many share it, or -1: one has it alone */
    _Atomic uint32_t noted; /* the last epoch in which it was */
};

struct mem {
    struct store store;
    uint32_t max_tiles; /* fixed after open */
    _Atomic uint32_t epoch;
    atomic_uint_fast64_t
        ready; /* the size for which the last tile got ready; by its stripe above */

    struct mutex stripes[STRIPES]; /* bytes and mtime of tile n: stripe n % STRIPES */

    struct mutex mu; /* guards the two below it */
    uint32_t ntiles GUARDED;
    struct timespec mtime GUARDED;

    struct slot places[];
};

static struct mem *mem_of(struct store *st)
{
    return (struct mem *)st;
}

static struct mutex *stripe_of(struct mem *mem, uint32_t tile)
{
    return &mem->stripes[tile % STRIPES];
}

static struct timespec now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return ts;
}

/*
 * Relaxed: a check that orders memory would hide missing locks of the caller
 * from ThreadSanitizer.
 */
static struct tile *enter_shared(struct mem *mem, uint32_t tile)
{
    struct slot *place = &mem->places[tile];

    lock_must(atomic_fetch_add_explicit(&place->inside, 1, memory_order_relaxed) < 0);
    return atomic_load_explicit(&place->tile, memory_order_relaxed);
}

static int leave_shared(struct mem *mem, uint32_t tile, int rc)
{
    lock_must(atomic_fetch_sub_explicit(&mem->places[tile].inside, 1, memory_order_relaxed) <= 0);
    return rc;
}

static struct tile *enter_alone(struct mem *mem, uint32_t tile)
{
    struct slot *place = &mem->places[tile];

    lock_must(atomic_exchange_explicit(&place->inside, -1, memory_order_relaxed) != 0);
    return atomic_load_explicit(&place->tile, memory_order_relaxed);
}

static int leave_alone(struct mem *mem, uint32_t tile, int rc)
{
    lock_must(atomic_exchange_explicit(&mem->places[tile].inside, 0, memory_order_relaxed) != -1);
    return rc;
}

static bool mem_noted(struct store *st, uint32_t tile)
{
    struct mem *mem = mem_of(st);

    return atomic_load_explicit(&mem->places[tile].noted, memory_order_relaxed) ==
           atomic_load_explicit(&mem->epoch, memory_order_relaxed);
}

/* A tile is changed that is there, or is made. */
static void must_be_noted(struct mem *mem, uint32_t tile)
{
    lock_must(!mem_noted(&mem->store, tile));
}

/* How many of the len bytes at off lie in the block of off. */
static size_t in_block(uint64_t off, uint64_t len)
{
    uint64_t rest = BLOCK - off % BLOCK;

    return len < rest ? len : rest;
}

static int mem_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len)
{
    struct mem *mem = mem_of(st);
    struct mutex *stripe = stripe_of(mem, tile);
    struct tile *t = enter_shared(mem, tile);
    unsigned char *to = buf;

    if (!t)
        return leave_shared(mem, tile, -ENOENT);
    while (len) {
        size_t n = in_block(off, len);

        mutex_lock(stripe);
        memcpy(to, t->bytes + off, n);
        mutex_unlock(stripe);
        to += n, off += n, len -= n;
    }
    return leave_shared(mem, tile, 0);
}

static int mem_write(struct store *st, uint32_t tile, uint64_t off, const void *buf, size_t len)
{
    struct mem *mem = mem_of(st);
    struct mutex *stripe = stripe_of(mem, tile);
    struct tile *t = enter_shared(mem, tile);
    const unsigned char *from = buf;

    if (!t)
        return leave_shared(mem, tile, -ENOENT);
    must_be_noted(mem, tile);
    while (len) {
        size_t n = in_block(off, len);

        mutex_lock(stripe);
        memcpy(t->bytes + off, from, n);
        t->mtime = now();
        mutex_unlock(stripe);
        from += n, off += n, len -= n;
    }
    return leave_shared(mem, tile, 0);
}

/* Counts a tile that comes (1) or goes (-1). -ENOSPC when there are max_tiles. */
static int count(struct mem *mem, int delta)
{
    int rc = 0;

    mutex_lock(&mem->mu);
    if (delta > 0 && mem->ntiles >= mem->max_tiles) {
        rc = -ENOSPC;
    } else {
        mem->ntiles += delta;
        mem->mtime = now();
    }
    mutex_unlock(&mem->mu);
    return rc;
}

/* Bytes of the tile that are the image's, or soon will be. */
static uint64_t ready_len(struct mem *mem, const struct geometry *geo, uint32_t tile)
{
    uint64_t off = tile * geo->tile_size;
    uint64_t ready = atomic_load_explicit(&mem->ready, memory_order_relaxed);
    uint64_t end = ready > geo->size ? ready : geo->size;

    return end - off < geo->tile_size ? end - off : geo->tile_size;
}

static int create(struct mem *mem, uint32_t tile)
{
    const struct geometry *geo = store_geometry(&mem->store);
    struct tile *t;
    uint64_t len;
    int rc = count(mem, 1);

    must_be_noted(mem, tile);
    if (rc)
        return rc;
    t = calloc(1, sizeof(*t) + geo->tile_size);
    if (!t) {
        (void)count(mem, -1);
        return -ENOMEM;
    }
    /* As a file may be longer than its tile. */
    len = ready_len(mem, geo, tile);
    memset(t->bytes + len, STALE, geo->tile_size - len);
    t->mtime = now();
    atomic_store_explicit(&mem->places[tile].tile, t, memory_order_relaxed);
    return 0;
}

static int mem_create(struct store *st, uint32_t tile)
{
    struct mem *mem = mem_of(st);
    struct tile *t = enter_alone(mem, tile);

    return leave_alone(mem, tile, t ? -EEXIST : create(mem, tile));
}

static int mem_remove(struct store *st, uint32_t tile)
{
    struct mem *mem = mem_of(st);
    struct tile *t = enter_alone(mem, tile);

    if (!t)
        return leave_alone(mem, tile, -ENOENT);
    must_be_noted(mem, tile);
    atomic_store_explicit(&mem->places[tile].tile, NULL, memory_order_relaxed);
    free(t);
    return leave_alone(mem, tile, count(mem, -1));
}

static int mem_zero(struct store *st, uint32_t tile, uint64_t off, uint64_t len, bool *empty)
{
    struct mem *mem = mem_of(st);
    struct mutex *stripe = stripe_of(mem, tile);
    struct tile *t = enter_alone(mem, tile);

    if (!t)
        return leave_alone(mem, tile, -ENOENT);
    must_be_noted(mem, tile);
    mutex_lock(stripe);
    memset(t->bytes + off, 0, len);
    t->mtime = now();
    if (empty)
        *empty = zero_is(t->bytes, geometry_tile_len(store_geometry(st), tile));
    mutex_unlock(stripe);
    return leave_alone(mem, tile, 0);
}

/* The memory is there from create on. */
static int mem_allocate(struct store *st, uint32_t tile, uint64_t off, uint64_t len)
{
    struct mem *mem = mem_of(st);
    struct tile *t = enter_alone(mem, tile);

    return leave_alone(mem, tile, t ? 0 : -ENOENT);
}

/* A block of zeros is a hole, whether it was written or not. */
static int mem_seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what,
                    uint64_t *found)
{
    uint64_t end = geometry_tile_len(store_geometry(st), tile);
    struct mem *mem = mem_of(st);
    struct mutex *stripe = stripe_of(mem, tile);
    struct tile *t = enter_shared(mem, tile);

    if (!t)
        return leave_shared(mem, tile, -ENOENT);
    mutex_lock(stripe);
    while (off < end) {
        uint64_t block = off - off % BLOCK;
        bool hole = zero_is(t->bytes + block, in_block(block, end - block));

        if (hole == (what == STORE_HOLE))
            break;
        off = block + in_block(block, end - block);
    }
    mutex_unlock(stripe);
    *found = off;
    return leave_shared(mem, tile, 0);
}

/* The caller holds the stripe. */
static uint64_t blocks_of_locked(const struct tile *t, uint64_t len)
{
    uint64_t blocks = 0;

    for (uint64_t off = 0; off < len; off += BLOCK)
        if (!zero_is(t->bytes + off, in_block(off, len - off)))
            blocks += BLOCK / 512;
    return blocks;
}

static int mem_stat(struct store *st, uint32_t tile, const struct store_place *place,
                    struct store_stat *out)
{
    uint64_t len = geometry_tile_len(store_geometry(st), tile);
    struct mem *mem = mem_of(st);
    struct mutex *stripe = stripe_of(mem, tile);
    struct tile *t = enter_shared(mem, tile);

    if (!t)
        return leave_shared(mem, tile, -ENOENT);
    mutex_lock(stripe);
    out->bytes = zero_trimmed(t->bytes, len);
    out->blocks = blocks_of_locked(t, len);
    out->mtime = t->mtime;
    mutex_unlock(stripe);
    return leave_shared(mem, tile, 0);
}

static int mem_next(struct store *st, uint32_t from, uint32_t end, uint32_t *found)
{
    struct mem *mem = mem_of(st);

    for (; from < end; from++)
        if (atomic_load_explicit(&mem->places[from].tile, memory_order_relaxed)) {
            *found = from;
            return 0;
        }
    return -ENOENT;
}

static int mem_each(struct store *st, uint32_t from, uint32_t end, store_met *met, void *arg)
{
    int rc = 0;

    while (!rc && from < end && !mem_next(st, from, end, &from))
        rc = met(arg, from++, NULL);
    return rc;
}

static int mem_note(struct store *st, const uint32_t *tiles, size_t n)
{
    struct mem *mem = mem_of(st);

    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&mem->places[tiles[i]].noted, atomic_load(&mem->epoch),
                              memory_order_relaxed);
    return 0;
}

static int mem_mark(struct store *st)
{
    atomic_fetch_add(&mem_of(st)->epoch, 1);
    return 0;
}

static int mem_tell(struct store *st, char epoch[STORE_EPOCH])
{
    snprintf(epoch, STORE_EPOCH, "00000000-%" PRIu32, atomic_load(&mem_of(st)->epoch));
    return 0;
}

static int mem_flush(struct store *st, uint32_t tile)
{
    return 0;
}

static int mem_flush_entries(struct store *st)
{
    return 0;
}

static int mem_space(struct store *st, struct statvfs *out)
{
    struct mem *mem = mem_of(st);
    uint64_t per_tile = (store_geometry(st)->tile_size + BLOCK - 1) / BLOCK;

    *out = (struct statvfs){.f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = 255};
    mutex_lock(&mem->mu);
    out->f_blocks = mem->max_tiles * per_tile;
    out->f_bfree = out->f_bavail = (mem->max_tiles - mem->ntiles) * per_tile;
    out->f_files = mem->max_tiles;
    out->f_ffree = out->f_favail = mem->max_tiles - mem->ntiles;
    mutex_unlock(&mem->mu);
    return 0;
}

static int mem_mtime(struct store *st, struct timespec *out)
{
    struct mem *mem = mem_of(st);

    mutex_lock(&mem->mu);
    *out = mem->mtime;
    mutex_unlock(&mem->mu);
    return 0;
}

static void mem_close(struct store *st)
{
    struct mem *mem = mem_of(st);

    for (uint32_t tile = 0; tile < store_geometry(st)->ntiles; tile++)
        free(mem->places[tile].tile);
    for (int i = 0; i < STRIPES; i++)
        mutex_release(&mem->stripes[i]);
    mutex_release(&mem->mu);
    free(mem);
}

static int mem_resize_tile(struct store *st, uint32_t tile, const struct geometry *to)
{
    uint64_t len = geometry_tile_len(store_geometry(st), tile);
    struct mem *mem = mem_of(st);
    struct tile *t = enter_alone(mem, tile);

    if (tile == store_geometry(st)->ntiles - 1)
        atomic_store_explicit(&mem->ready, to->size, memory_order_relaxed);
    if (!t)
        return leave_alone(mem, tile, -ENOENT);
    memset(t->bytes + len, 0, geometry_tile_len(to, tile) - len);
    return leave_alone(mem, tile, 0);
}

static int mem_resize_begin(struct store *st, const struct geometry *to, bool over)
{
    return 0;
}

static void mem_resize(struct store *st, const struct geometry *to)
{
}

static const struct store_ops mem_ops = {
    .name = "mem",
    .read = mem_read,
    .write = mem_write,
    .create = mem_create,
    .remove = mem_remove,
    .zero = mem_zero,
    .allocate = mem_allocate,
    .seek = mem_seek,
    .stat = mem_stat,
    .next = mem_next,
    .each = mem_each,
    .noted = mem_noted,
    .note = mem_note,
    .mark = mem_mark,
    .tell = mem_tell,
    .resize_tile = mem_resize_tile,
    .resize_begin = mem_resize_begin,
    .resize = mem_resize,
    .flush_start = mem_flush,
    .flush = mem_flush,
    .flush_entries = mem_flush_entries,
    .space = mem_space,
    .mtime = mem_mtime,
    .close = mem_close,
};

int mem_open(const struct geometry *geo, uint32_t max_tiles, struct store **out)
{
    uint32_t most = max_tiles > geo->ntiles ? max_tiles : geo->ntiles;
    struct mem *mem = calloc(1, sizeof(*mem) + most * sizeof(mem->places[0]));

    if (!mem)
        return -ENOMEM;
    store_init(&mem->store, &mem_ops, geo, most);
    mem->max_tiles = max_tiles;
    atomic_init(&mem->epoch, 1);
    for (int i = 0; i < STRIPES; i++)
        mutex_init(&mem->stripes[i]);
    mutex_init(&mem->mu);
    mutex_lock(&mem->mu);
    mem->mtime = now();
    mutex_unlock(&mem->mu);
    *out = &mem->store;
    return 0;
}
