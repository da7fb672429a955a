/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * States of a tile: absent, or present. Who may do what is settled by the
 * stripe of its number, a reader/writer lock that many tiles share:
 *
 *   shared      read, lend, write in place, seek, stat
 *   exclusive   create (with its first write), remove, zero, allocate
 *
 * A write tries in place first and takes the stripe exclusively only when the
 * store says that the tile is absent, so the usual write never excludes anyone.
 *
 * Durability: a tile goes into the dirty set after its bytes went to the store
 * and before the write returns. A flush takes the set, starts write-back on all
 * of it, then waits for each, then makes new and removed entries durable. A
 * crash before the flush ends may lose any of what it covers, tile by tile, as
 * a disk may lose unflushed sectors; after it nothing is lost. Removing a tile
 * and making it again are not ordered against each other before the flush:
 * either the old content, zeros or the new may come back, each legal for bytes
 * that were not flushed.
 *
 * A tile's number is in the list of changed tiles, durably, before the tile
 * changes: who holds its stripe notes it first, once per epoch. An epoch begins
 * under all stripes, so nobody is between noting a tile and changing it.
 *
 * Absent bytes read as zeros. A tile that was counted, or that any request has met, and
 * is absent now without our doing was taken away by somebody else: that is -EIO, never
 * zeros.
 */
#include "image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/zero.h"
#include "image/impl.h"

int image_open(struct store *store, bool read_only, struct image **out)
{
    struct image *img = aligned_alloc(64, sizeof(*img));
    uint32_t n;

    if (!img) {
        store_close(store);
        return -ENOMEM;
    }
    memset(img, 0, sizeof(*img));
    img->store = store;
    img->read_only = read_only;
    for (size_t i = 0; i < STRIPES; i++)
        rwlock_init(&img->stripes[i].lock);
    mutex_init(&img->statting);
    image_snapshot_init(img);
    flush_init(&img->flush, image_flush_pass, img);
    n = store_geometry(store)->ntiles;
    if (usage_init(&img->usage, n, store->tiles_max) ||
        tileset_init(&img->dirty, n, store->tiles_max) ||
        tileset_init(&img->met, n, store->tiles_max) ||
        tileset_init(&img->moved, n, store->tiles_max) ||
        tileset_init(&img->flushing, n, store->tiles_max)) {
        img->read_only = true; /* nothing to flush */
        (void)!image_close(img);
        return -ENOMEM;
    }
    *out = img;
    return 0;
}

int image_close(struct image *img)
{
    int rc = image_flush(img);

    store_close(img->store);
    usage_release(&img->usage);
    tileset_release(&img->dirty);
    tileset_release(&img->met);
    tileset_release(&img->moved);
    tileset_release(&img->flushing);
    flush_release(&img->flush);
    mutex_release(&img->statting);
    image_snapshot_release(img);
    for (size_t i = 0; i < STRIPES; i++)
        rwlock_release(&img->stripes[i].lock);
    free(img);
    return rc;
}

uint64_t image_size(const struct image *img)
{
    return image_geometry(img)->size;
}

const struct geometry *image_geometry(const struct image *img)
{
    return store_geometry(img->store);
}

bool image_failed(const struct image *img)
{
    return atomic_load_explicit(&img->flush.error, memory_order_relaxed);
}

int image_writable(const struct image *img)
{
    return img->read_only || image_failed(img) ? -EROFS : 0;
}

void image_touched(struct image *img, uint32_t tile)
{
    tileset_add(&img->dirty, tile);
    usage_touch(&img->usage, tile);
}

/*
 * A tile that was counted, or that a request has met: the first count may be cut short,
 * or come to the tile too late.
 */
static bool is_known(const struct image *img, uint32_t tile)
{
    return tileset_has(&img->met, tile) || usage_has(&img->usage, tile);
}

void image_gone(struct image *img, uint32_t tile)
{
    image_moved(img, tile);
    tileset_remove(&img->met, tile);
    usage_gone(&img->usage, tile);
}

int image_absent(struct image *img, uint32_t tile)
{
    if (!is_known(img, tile))
        return 0;
    log_error("cannot use tile %" PRIu32 ": another program has removed its file", tile);
    return -EIO;
}

int image_next(struct image *img, uint32_t tile, uint32_t end, uint32_t *found)
{
    int rc = store_next(img->store, tile, end, found);
    uint32_t present;

    if (rc && rc != -ENOENT)
        return rc;
    present = rc ? end : *found;
    while (tile < present && !is_known(img, tile))
        tile++;
    *found = tile;
    return 0;
}

/*
 * Calls fn for each piece of the range, which lies inside the image, until one
 * fails. buf, unless NULL, moves along.
 */
static int each_piece(struct image *img, uint64_t off, uint64_t len, char *buf,
                      int (*fn)(struct image *img, const struct geometry_piece *piece, char *buf))
{
    int rc = 0;

    while (!rc && len > 0) {
        struct geometry_piece piece = geometry_first(image_geometry(img), off, len);

        do
            rc = fn(img, &piece, buf);
        while (image_snapshot_again(img, piece.tile, &rc));
        off += piece.len;
        len -= piece.len;
        buf = buf ? buf + piece.len : NULL;
    }
    return rc;
}

static bool inside(const struct image *img, uint64_t off, uint64_t len)
{
    uint64_t size = image_size(img);

    return off <= size && len <= size - off;
}

static int read_piece(struct image *img, const struct geometry_piece *piece, char *buf)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    int rc;

    rwlock_shared(lock);
    rc = store_read(img->store, piece->tile, piece->off, buf, piece->len);
    if (!rc) {
        image_met(img, piece->tile);
    } else if (rc == -ENOENT) {
        rc = image_absent(img, piece->tile);
        if (!rc)
            memset(buf, 0, piece->len);
    }
    rwlock_unshare(lock);
    return rc;
}

int image_read(struct image *img, uint64_t off, void *buf, size_t len)
{
    return inside(img, off, len) ? each_piece(img, off, len, buf, read_piece) : -EINVAL;
}

int image_lend(struct image *img, uint64_t off, size_t len, store_use *use, void *arg)
{
    struct geometry_piece piece;
    struct rwlock *lock;
    int rc;

    if (len == 0 || !inside(img, off, len))
        return -EINVAL;
    piece = geometry_first(image_geometry(img), off, len);
    if (piece.len < len)
        return -EAGAIN;
    lock = image_stripe(img, piece.tile);
    rwlock_shared(lock);
    rc = store_lend(img->store, piece.tile, piece.off, len, use, arg);
    if (!rc)
        image_met(img, piece.tile);
    rwlock_unshare(lock);
    return rc == -ENOENT ? -EAGAIN : rc;
}

int image_ensure(struct image *img, uint32_t tile, bool *made)
{
    int rc = store_create(img->store, tile);

    *made = rc == 0;
    if (rc == 0 || rc == -EEXIST)
        image_met(img, tile);
    if (rc == 0) {
        image_moved(img, tile);
        usage_stat(&img->usage, tile, &(struct store_stat){0});
    }
    return rc == -EEXIST ? 0 : rc;
}

void image_unmake(struct image *img, uint32_t tile)
{
    if (image_snapshot_settle(img, tile) == 0 && store_remove(img->store, tile) == 0)
        image_gone(img, tile);
}

int image_note(struct image *img, uint32_t tile)
{
    return store_noted(img->store, tile) ? 0 : store_note(img->store, &tile, 1);
}

int image_note_present(struct image *img, uint32_t tile)
{
    struct store_stat stat;
    int rc = store_noted(img->store, tile) ? 0 : store_stat(img->store, tile, &stat);

    return rc ? rc : image_note(img, tile);
}

static int write_new(struct image *img, const struct geometry_piece *piece, const char *buf)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    bool made;
    int rc;

    rwlock_exclusive(lock);
    rc = image_note(img, piece->tile);
    if (!rc)
        rc = image_ensure(img, piece->tile, &made);
    if (!rc) {
        rc = store_write(img->store, piece->tile, piece->off, buf, piece->len);
        image_touched(img, piece->tile);
        if (rc && made)
            image_unmake(img, piece->tile);
    }
    rwlock_unlock(lock);
    return rc;
}

/* Zeros change nothing where there is no tile. Its stripe is held. */
static int note_write(struct image *img, const struct geometry_piece *piece, const char *buf)
{
    if (store_noted(img->store, piece->tile))
        return 0;
    return zero_is(buf, piece->len) ? image_note_present(img, piece->tile)
                                    : image_note(img, piece->tile);
}

/* -EMLINK: a snapshot holds it. */
static int write_piece(struct image *img, const struct geometry_piece *piece, char *buf)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    int rc;

    rwlock_shared(lock);
    rc = note_write(img, piece, buf);
    if (!rc) {
        rc = store_write(img->store, piece->tile, piece->off, buf, piece->len);
        if (!rc)
            image_met(img, piece->tile);
        if (rc != -ENOENT && rc != -EMLINK)
            image_touched(img, piece->tile);
    }
    if (rc == -ENOENT)
        rc = image_absent(img, piece->tile) ? -EIO : -ENOENT;
    rwlock_unshare(lock);
    if (rc != -ENOENT)
        return rc;
    return zero_is(buf, piece->len) ? 0 : write_new(img, piece, buf);
}

int image_write(struct image *img, uint64_t off, const void *buf, size_t len)
{
    int rc = image_writable(img);

    if (rc)
        return rc;
    /* write_piece() only reads from buf. */
    return inside(img, off, len) ? each_piece(img, off, len, (char *)buf, write_piece) : -ENOSPC;
}

static int allocate_piece(struct image *img, const struct geometry_piece *piece, char *unused)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    bool made = false;
    int rc;

    rwlock_exclusive(lock);
    rc = image_note(img, piece->tile);
    if (!rc)
        rc = store_allocate(img->store, piece->tile, piece->off, piece->len);
    if (rc == -ENOENT) {
        rc = image_absent(img, piece->tile);
        if (!rc)
            rc = image_ensure(img, piece->tile, &made);
        if (!rc)
            rc = store_allocate(img->store, piece->tile, piece->off, piece->len);
    } else if (!rc) {
        image_met(img, piece->tile);
    }
    image_touched(img, piece->tile);
    if (rc && made)
        image_unmake(img, piece->tile);
    rwlock_unlock(lock);
    return rc;
}

int image_allocate(struct image *img, uint64_t off, uint64_t len)
{
    int rc = image_writable(img);

    if (rc)
        return rc;
    return inside(img, off, len) ? each_piece(img, off, len, NULL, allocate_piece) : -ENOSPC;
}

void image_freeze(struct image *img) NO_THREAD_SAFETY
{
    for (size_t i = 0; i < STRIPES; i++)
        rwlock_exclusive(&img->stripes[i].lock);
}

void image_thaw(struct image *img) NO_THREAD_SAFETY
{
    for (size_t i = 0; i < STRIPES; i++)
        rwlock_unlock(&img->stripes[i].lock);
}

int image_mark(struct image *img, char epoch[STORE_EPOCH])
{
    int rc = image_writable(img);

    if (!rc)
        rc = image_flush(img); /* most of it, while requests go on */
    if (rc)
        return rc;
    image_freeze(img);
    rc = image_flush(img);
    if (!rc)
        rc = store_mark(img->store);
    image_thaw(img);
    return rc ? rc : store_tell(img->store, epoch);
}

/*
 * Brings the tile's part of the usage up to date. A tile that is gone is no error. place: of
 * each(), or NULL. moved: it was changed since its last stat.
 */
static int stat_locked(struct image *img, uint32_t tile, const struct store_place *place,
                       bool moved) REQUIRES(img->statting)
{
    struct rwlock *lock = image_stripe(img, tile);
    struct store_stat stat;
    int rc;

    rwlock_shared(lock);
    rc = store_stat_at(img->store, tile, place, &stat);
    if (!rc)
        usage_stat(&img->usage, tile, &stat);
    if (!rc && moved)
        usage_moved(&img->usage, &stat.mtime);
    rwlock_unshare(lock);
    return rc == -ENOENT ? 0 : rc;
}

struct counting {
    struct image *img;
    int skipped; /* the error of the first tile that could not be counted */
};

static int count_tile(void *arg, uint32_t tile, const struct store_place *place)
{
    struct counting *counting = arg;
    struct image *img = counting->img;
    int rc;

    if (atomic_load(&img->stop_counting))
        return -EINTR;
    mutex_lock(&img->statting);
    rc = stat_locked(img, tile, place, false);
    mutex_unlock(&img->statting);
    counting->skipped = counting->skipped ? counting->skipped : rc;
    return 0;
}

int image_count(struct image *img)
{
    struct counting counting = {.img = img};
    struct timespec mtime;
    int rc = store_mtime(img->store, &mtime);

    if (!rc) {
        usage_changed(&img->usage, &mtime);
        rc = store_each(img->store, 0, image_geometry(img)->ntiles, count_tile, &counting);
    }
    rc = rc ? rc : counting.skipped;
    usage_counted(&img->usage, rc == 0);
    return rc;
}

void image_count_stop(struct image *img)
{
    atomic_store(&img->stop_counting, true);
}

static void stat_stale(uint32_t tile, void *arg) NO_THREAD_SAFETY /* image_usage() holds statting */
{
    struct flush_run *run = arg;
    int rc = stat_locked(run->img, tile, NULL, true);

    if (rc)
        usage_touch(&run->img->usage, tile); /* to be stat'ed later */
    run->rc = run->rc ? run->rc : rc;
}

static int stat_all_stale_locked(struct image *img) REQUIRES(img->statting)
{
    struct flush_run run = {.img = img};

    tileset_drain(&img->usage.stale, stat_stale, &run);
    return run.rc;
}

int image_usage(struct image *img, unsigned wait_ms, struct image_usage *out)
{
    int rc;

    /* Held for all of it: a second caller must not return before the first has looked. */
    mutex_lock(&img->statting);
    rc = stat_all_stale_locked(img);
    mutex_unlock(&img->statting);
    usage_get(&img->usage, wait_ms, out);
    return rc;
}

int image_set_times(struct image *img, const struct timespec *atime, const struct timespec *mtime)
{
    int rc = image_writable(img);

    if (rc)
        return rc;
    mutex_lock(&img->statting);
    /* What changed before must not look like a change after; what fails is stat'ed again later. */
    (void)!stat_all_stale_locked(img);
    usage_set_times(&img->usage, atime, mtime);
    mutex_unlock(&img->statting);
    return 0;
}

int image_replaced(struct image *img, struct store_replaced *out)
{
    return store_replaced(img->store, out);
}

int image_space(struct image *img, struct statvfs *out)
{
    return store_space(img->store, out);
}
