/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks are those of the file system, counted in the tile's file, where a head may stand before
 * the tile: what the head shares its last block with is the tile's, and that block is not.
 */
#include "image/image_window.h"

#include <errno.h>

#include "base/zero.h"

void image_window_init(struct image_window *w, const struct geometry *geo, uint32_t tile,
                       const struct store_blocks *blocks)
{
    w->tile = tile;
    w->len = geometry_tile_len(geo, tile);
    w->block = blocks->size;
    if (w->block < IMAGE_WINDOW_BLOCK_MIN)
        w->block = IMAGE_WINDOW_BLOCK_MIN;
    if (w->block > IMAGE_WINDOW_BLOCK_MAX)
        w->block = IMAGE_WINDOW_BLOCK_MAX;
    w->before = blocks->head;
    w->head = blocks->head % w->block;
}

uint64_t image_window_at(const struct image_window *w, size_t i)
{
    uint64_t off = (w->first + i) * w->block;

    off = off > w->head ? off - w->head : 0;
    off = off > w->lo ? off : w->lo;
    return off < w->hi ? off : w->hi;
}

static size_t block_of(const struct image_window *w, uint64_t off)
{
    return (size_t)((off + w->head) / w->block - w->first);
}

void image_window_place(struct image_window *w, uint64_t hi)
{
    uint64_t blocks = hi > IMAGE_WINDOW ? (hi - IMAGE_WINDOW + w->head - 1) / w->block + 1 : 0;

    w->hi = hi;
    w->lo = blocks ? blocks * w->block - w->head : 0;
    w->first = (w->lo + w->head) / w->block;
    w->n = block_of(w, hi - 1) + 1;
}

static int find_data(struct image *img, struct image_window *w)
{
    uint64_t off = w->lo, data, hole;

    while (off < w->hi) {
        int rc = image_seek_tile(img, image_geometry(img), w->tile, off, STORE_DATA, &data);

        if (!rc && data < w->hi)
            rc = image_seek_tile(img, image_geometry(img), w->tile, data, STORE_HOLE, &hole);
        if (rc || data >= w->hi)
            return rc;
        hole = hole < w->hi ? hole : w->hi;
        for (size_t i = block_of(w, data); hole > data && i <= block_of(w, hole - 1); i++)
            w->data[i] = true;
        off = hole > data ? hole : w->hi; /* else the tile has gone */
    }
    return 0;
}

/* The first block from i on that is not stored, or goes past a chunk. */
static size_t end_of_chunk(const struct image_window *w, size_t i)
{
    size_t end = i;

    while (end < w->n && w->data[end] &&
           image_window_at(w, end + 1) - image_window_at(w, i) <= IMAGE_WINDOW_CHUNK)
        end++;
    return end;
}

static int find_zeros(struct image *img, struct image_window *w, unsigned char *bytes)
{
    uint64_t start = w->tile * image_geometry(img)->tile_size;

    for (size_t i = 0, end; i < w->n; i = end) {
        uint64_t from = image_window_at(w, i);
        int rc;

        end = end_of_chunk(w, i);
        if (end == i) {
            w->zero[end++] = true;
            continue;
        }
        rc = image_read(img, start + from, bytes, image_window_at(w, end) - from);
        if (rc)
            return rc;
        for (size_t k = i; k < end; k++) {
            uint64_t at = image_window_at(w, k), len = image_window_at(w, k + 1) - at;

            w->zero[k] = zero_is(bytes + (at - from), len);
            w->nonzero += w->zero[k] ? 0 : len;
        }
    }
    return 0;
}

int image_window_is_last(struct image *img, const struct image_window *w, uint64_t end, bool *last)
{
    struct store_stat stat;
    uint64_t data = w->len;
    int rc = end < w->len ? store_stat(img->store, w->tile, &stat) : 0;

    if (!rc && end < w->len && stat.bytes > w->before + end)
        rc = store_seek(img->store, w->tile, end, STORE_DATA, &data);
    *last = data == w->len;
    return rc;
}

static int find_end(struct image *img, struct image_window *w)
{
    struct rwlock *lock = image_stripe(img, w->tile);
    int rc;

    rwlock_shared(lock);
    rc = image_window_is_last(img, w, w->hi, &w->last);
    if (rc == -ENOENT)
        rc = image_absent(img, w->tile);
    rwlock_unshare(lock);
    return rc;
}

int image_window_look(struct image *img, struct image_window *w, unsigned char *bytes)
{
    int rc = find_end(img, w);

    if (!rc)
        rc = find_data(img, w);
    if (!rc)
        rc = find_zeros(img, w, bytes);
    if (w->lo == 0 && w->head > 0 && w->zero[0])
        w->data[0] = false;
    return rc;
}
