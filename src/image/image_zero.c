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
    int rc = store_zero(img->store, tile, 0, geometry_tile_len(image_geometry(img), tile), &empty);

    image_touched(img, tile);
    return rc;
}

/* The image has grown since geo: what lies behind its end then may hold data now. */
static bool is_longer(const struct image *img, const struct geometry *geo, uint32_t tile)
{
    return geometry_tile_len(image_geometry(img), tile) > geometry_tile_len(geo, tile);
}

/* -EMLINK, as below: a snapshot holds it. -ESTALE: it is longer than geo says. */
static int try_drop(struct image *img, const struct geometry *geo, uint32_t tile)
{
    struct rwlock *lock = image_stripe(img, tile);
    int rc;

    rwlock_exclusive(lock);
    rc = is_longer(img, geo, tile) ? -ESTALE : image_note(img, tile);
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

int image_zero_locked(struct image *img, const struct geometry_piece *piece, bool keep)
{
    bool empty = false;
    int rc = image_note_present(img, piece->tile);

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
    return rc;
}

static int try_zero(struct image *img, const struct geometry_piece *piece, bool keep)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    int rc;

    rwlock_exclusive(lock);
    rc = image_zero_locked(img, piece, keep);
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

/* Removes the tile, which is as long as geo says, if it is there. */
static int drop_tile(struct image *img, const struct geometry *geo, uint32_t tile)
{
    struct geometry_piece whole = {.tile = tile, .len = geometry_tile_len(geo, tile)};
    int rc;

    do
        rc = try_drop(img, geo, tile);
    while (image_snapshot_again(img, tile, &rc));
    return rc == -ESTALE ? zero_part(img, &whole, false) : rc;
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
static int drop_tiles(struct image *img, const struct geometry *geo, uint32_t first, uint32_t end)
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
            int err = drop_tile(img, geo, tiles[i]);

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
static int zero_step(struct image *img, const struct geometry *geo, uint64_t *off, uint64_t end)
{
    struct geometry_piece piece = geometry_first(geo, *off, end - *off);
    uint32_t stop; /* behind the last whole tile; that of the image may be a short one */

    if (piece.len < geometry_tile_len(geo, piece.tile)) {
        *off += piece.len;
        return zero_part(img, &piece, false);
    }
    stop = end == geo->size ? geo->ntiles : (uint32_t)(end / geo->tile_size);
    *off = end == geo->size ? end : stop * geo->tile_size;
    return drop_tiles(img, geo, piece.tile, stop);
}

int image_zero(struct image *img, uint64_t off, uint64_t len)
{
    const struct geometry *geo = image_geometry(img); /* the same for all of it */
    uint64_t end = range_end(geo, off, len);
    int rc = image_writable(img);
    int full = 0;

    while (!rc && off < end) {
        rc = zero_step(img, geo, &off, end);
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
    const struct geometry *geo = image_geometry(img);
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
