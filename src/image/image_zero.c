/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zeros: tiles that a range covers are removed, of others a part is zeroed, and
 * one in which no data is left is removed, too. Or all that is there stays.
 */
#include <errno.h>

#include "base/io.h"
#include "image/impl.h"

#define AT_ONCE 256 /* tiles noted with one call */

/* One that has to stay. */
static int zero_whole(struct image *img, uint32_t tile)
{
    bool empty;
    int rc = store_zero(img->store, tile, 0, geometry_tile_len(&img->geometry, tile), &empty);

    image_touched(img, tile);
    return rc;
}

/* -EMLINK, as below: a snapshot holds it. */
static int try_drop(struct image *img, uint32_t tile)
{
    struct rwlock *lock = image_stripe(img, tile);
    int rc;

    rwlock_exclusive(lock);
    rc = image_note(img, tile);
    if (!rc)
        rc = image_snapshot_settle(img, tile);
    if (!rc)
        rc = store_remove(img->store, tile);
    if (rc == -EBUSY) {
        rc = zero_whole(img, tile);
    } else if (!rc || rc == -ENOENT) {
        image_gone(img, tile);
        rc = 0;
    }
    rwlock_unlock(lock);
    return rc;
}

/* Removes the tile if it is there. */
static int drop_tile(struct image *img, uint32_t tile)
{
    int rc;

    do
        rc = try_drop(img, tile);
    while (image_snapshot_again(img, tile, &rc));
    return rc;
}

static int try_zero(struct image *img, const struct geometry_piece *piece, bool keep)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    bool empty = false;
    int rc;

    rwlock_exclusive(lock);
    rc = image_note_present(img, piece->tile);
    if (!rc) {
        rc = store_zero(img->store, piece->tile, piece->off, piece->len, keep ? NULL : &empty);
        if (rc != -ENOENT && rc != -EMLINK)
            image_touched(img, piece->tile);
    }
    if (rc == -ENOENT)
        rc = image_absent(img, piece->tile);
    else if (!rc)
        image_met(img, piece->tile);
    if (!rc && empty)
        image_unmake(img, piece->tile);
    rwlock_unlock(lock);
    return rc;
}

/* With keep, its space and the tile itself stay. */
static int zero_part(struct image *img, const struct geometry_piece *piece, bool keep)
{
    int rc;

    do
        rc = try_zero(img, piece, keep);
    while (image_snapshot_again(img, piece->tile, &rc));
    return rc;
}

/* The next tiles from *first to end - 1 that exist. Moves *first on; *n counts on error, too. */
static int collect(struct image *img, uint32_t *first, uint32_t end, uint32_t tiles[AT_ONCE],
                   size_t *n)
{
    int rc = 0;

    *n = 0;
    while (!rc && *n < AT_ONCE && *first < end) {
        rc = image_next(img, *first, end, first);
        if (!rc && *first < end)
            tiles[(*n)++] = (*first)++;
    }
    return rc;
}

/* Drops tiles first to end - 1. A run of absent tiles costs nothing. */
static int drop_tiles(struct image *img, uint32_t first, uint32_t end)
{
    int rc = 0;

    while (!rc && first < end) {
        uint32_t tiles[AT_ONCE];
        size_t n;

        rc = collect(img, &first, end, tiles, &n);
        /* Few syncs instead of one each; a head start only, errors come again in drop_tile(). */
        if (n > 0)
            (void)!store_note(img->store, tiles, n);
        for (size_t i = 0; i < n; i++) {
            int err = drop_tile(img, tiles[i]);

            if (err)
                return err;
        }
    }
    return rc;
}

/* Where a range ends, cut off at the end of the image. */
static uint64_t range_end(const struct geometry *geo, uint64_t off, uint64_t len)
{
    return off < geo->size && len < geo->size - off ? off + len : geo->size;
}

/*
 * The first step of zeroing [off, end): a part of a tile, or all whole tiles up to end. Moves
 * *off on.
 */
static int zero_step(struct image *img, uint64_t *off, uint64_t end)
{
    const struct geometry *geo = &img->geometry;
    struct geometry_piece piece = geometry_first(geo, *off, end - *off);
    uint32_t stop; /* behind the last whole tile; that of the image may be a short one */

    if (piece.len < geometry_tile_len(geo, piece.tile)) {
        *off += piece.len;
        return zero_part(img, &piece, false);
    }
    stop = end == geo->size ? geo->ntiles : (uint32_t)(end / geo->tile_size);
    *off = end == geo->size ? end : stop * geo->tile_size;
    return drop_tiles(img, piece.tile, stop);
}

int image_zero(struct image *img, uint64_t off, uint64_t len)
{
    uint64_t end = range_end(&img->geometry, off, len);
    int rc = image_writable(img);
    int full = 0;

    while (!rc && off < end) {
        rc = zero_step(img, &off, end);
        /* A hole may need space of its own; what can be given back is, all the same. */
        if (io_is_full(rc)) {
            full = rc;
            rc = 0;
        }
    }
    return rc ? rc : full;
}

int image_zero_keep(struct image *img, uint64_t off, uint64_t len)
{
    const struct geometry *geo = &img->geometry;
    uint64_t end = range_end(geo, off, len);
    int rc = image_writable(img);

    while (!rc && off < end) {
        struct geometry_piece piece = geometry_first(geo, off, end - off);
        uint32_t found;

        rc = image_next(img, piece.tile, (uint32_t)((end - 1) / geo->tile_size) + 1, &found);
        if (!rc && found == piece.tile)
            rc = zero_part(img, &piece, true);
        off = found == piece.tile ? off + piece.len : found * geo->tile_size;
    }
    return rc;
}
