/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image in use grows. It never shrinks while it is in use: whoever was told its size keeps it.
 *
 * Order:
 *
 *   1 tiles get ready, one by one, beside all requests but those of that tile: the last one may
 *     have a file that is longer than the tile, and what is behind its end must not come to light
 *   2 all of it is on disk
 *   3 the new size is on disk (store/dir_resize.c): a crash before leaves the old one, and one
 *     that comes later the new one
 *   4 under all stripes: whatever has a place for each tile, and the geometry as a whole
 *
 * Nothing can fail in 4, for memory was reserved when the image was opened. A request that began
 * before 4 goes on with the geometry that it has looked at: that is the same, up to its end.
 * Nothing is written behind the old end before 4, so never before the new size is on disk.
 */
#include <errno.h>

#include "image/impl.h"

static int try_tile(struct image *img, uint32_t tile, const struct geometry *to)
{
    struct rwlock *lock = image_stripe(img, tile);
    int rc;

    rwlock_exclusive(lock);
    rc = image_flush_tile(img, tile); /* it may get another file */
    if (!rc)
        rc = store_resize_tile(img->store, tile, to);
    if (!rc)
        image_touched(img, tile);
    rwlock_unlock(lock);
    return rc;
}

/* One that is absent is ready. */
static int ready_tile(struct image *img, uint32_t tile, const struct geometry *to)
{
    int rc;

    do
        rc = try_tile(img, tile, to);
    while (image_snapshot_again(img, tile, &rc));
    return rc == -ENOENT ? 0 : rc;
}

/* The last one, and the first that there is: what tells the size of the image does so there. */
static int ready_tiles(struct image *img, const struct geometry *to)
{
    uint32_t n = image_geometry(img)->ntiles, first;
    int rc = store_next(img->store, 0, n, &first);

    if (!rc && first != n - 1)
        rc = ready_tile(img, first, to);
    return rc && rc != -ENOENT ? rc : ready_tile(img, n - 1, to);
}

static void take_over(struct image *img, const struct geometry *to)
{
    image_freeze(img);
    usage_grow(&img->usage, to->ntiles);
    tileset_grow(&img->dirty, to->ntiles);
    tileset_grow(&img->met, to->ntiles);
    tileset_grow(&img->moved, to->ntiles);
    tileset_grow(&img->flushing, to->ntiles);
    store_resize(img->store);
    image_thaw(img);
}

static int grow(struct image *img, const struct geometry *to)
{
    int rc = ready_tiles(img, to);

    if (!rc)
        rc = image_flush(img);
    if (!rc)
        rc = store_resize_begin(img->store, to, false);
    if (!rc)
        take_over(img, to);
    return rc;
}

static int resize_locked(struct image *img, uint64_t size) REQUIRES(img->snapshot)
{
    const struct geometry *now = image_geometry(img);
    struct geometry to;
    int rc = image_writable(img);

    if (rc || size == now->size)
        return rc;
    if (size < now->size)
        return -EINVAL;
    rc = geometry_init_max(&to, size, now->tile_size, img->store->tiles_max);
    if (rc)
        return rc;
    image_snapshot_stop(img); /* one that is being made would lack tiles */
    return grow(img, &to);
}

int image_resize(struct image *img, uint64_t size)
{
    int rc;

    mutex_lock(&img->snapshot);
    rc = resize_locked(img, size);
    mutex_unlock(&img->snapshot);
    return rc;
}
