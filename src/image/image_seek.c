/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Data and holes of the image: absent tiles are holes, and the others are asked under
 * their stripe.
 */
#include <errno.h>

#include "image/impl.h"

int image_seek_tile(struct image *img, const struct geometry *geo, uint32_t tile, uint64_t off,
                    enum store_seek what, uint64_t *found)
{
    struct rwlock *lock = image_stripe(img, tile);
    int rc;

    rwlock_shared(lock);
    rc = store_seek(img->store, tile, off, what, found);
    if (!rc) {
        image_met(img, tile);
    } else if (rc == -ENOENT) {
        rc = image_absent(img, tile);
        *found = what == STORE_HOLE ? off : geometry_tile_len(geo, tile);
    }
    rwlock_unshare(lock);
    return rc;
}

int image_seek(struct image *img, uint64_t off, enum store_seek what, uint64_t *found)
{
    const struct geometry *geo = image_geometry(img); /* the same for all of it */

    if (off >= geo->size)
        return -ENXIO;
    while (off < geo->size) {
        uint32_t tile = (uint32_t)(off / geo->tile_size);
        uint64_t in = off % geo->tile_size;
        uint64_t hit;
        int rc;

        if (what == STORE_DATA) {
            uint32_t present;

            rc = image_next(img, tile, geo->ntiles, &present);
            if (rc)
                return rc;
            if (present == geo->ntiles)
                return -ENXIO;
            in = present > tile ? 0 : in;
            tile = present;
        }
        rc = image_seek_tile(img, geo, tile, in, what, &hit);
        if (rc)
            return rc;
        off = tile * geo->tile_size + hit;
        if (hit < geometry_tile_len(geo, tile)) {
            *found = off;
            return 0;
        }
    }
    if (what == STORE_DATA)
        return -ENXIO;
    *found = geo->size;
    return 0;
}

/* Of tiles alone. */
static int whole_extent(struct image *img, uint64_t off, uint64_t *data, uint64_t *end)
{
    const struct geometry *geo = image_geometry(img);
    uint32_t tile;
    int rc = off < geo->size ? 0 : -ENXIO;

    if (!rc)
        rc = image_next(img, (uint32_t)(off / geo->tile_size), geo->ntiles, &tile);
    if (!rc && tile == geo->ntiles)
        rc = -ENXIO;
    if (rc)
        return rc;
    *data = tile * geo->tile_size > off ? tile * geo->tile_size : off;
    *end = tile * geo->tile_size + geometry_tile_len(geo, tile);
    return 0;
}

int image_seek_extent(struct image *img, uint64_t off, bool trust, uint64_t *data, uint64_t *end)
{
    const struct geometry *geo = image_geometry(img);
    uint64_t hole;
    uint32_t tile;
    int rc = trust ? image_seek(img, off, STORE_DATA, data) : whole_extent(img, off, data, end);

    if (rc || !trust)
        return rc;
    tile = (uint32_t)(*data / geo->tile_size);
    rc = image_seek_tile(img, geo, tile, *data % geo->tile_size, STORE_HOLE, &hole);
    *end = tile * geo->tile_size + hole;
    return rc;
}
