/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the arithmetic of tiles, and the choice of their size. Knows no file.
 */
#include "format/geometry.h"

#include <errno.h>

#include "format/format.h"

#define MIB (UINT64_C(1) << 20)

int geometry_init_max(struct geometry *geo, uint64_t size, uint64_t tile_size, uint32_t max)
{
    uint64_t ntiles;

    if (!size || !tile_size)
        return -EINVAL;
    if (size > FORMAT_SIZE_MAX || tile_size > FORMAT_SIZE_MAX)
        return -ERANGE;
    ntiles = size / tile_size + (size % tile_size != 0);
    if (ntiles > max)
        return -ERANGE;
    geo->size = size;
    geo->tile_size = tile_size;
    geo->ntiles = (uint32_t)ntiles;
    return 0;
}

int geometry_init(struct geometry *geo, uint64_t size, uint64_t tile_size)
{
    return geometry_init_max(geo, size, tile_size, FORMAT_TILES_MAX);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t geometry_tile_len(const struct geometry *geo, uint32_t tile)
{
    return min_u64(geo->tile_size, geo->size - tile * geo->tile_size);
}

struct geometry_piece geometry_first(const struct geometry *geo, uint64_t off, uint64_t len)
{
    struct geometry_piece piece = {
        .tile = (uint32_t)(off / geo->tile_size),
        .off = off % geo->tile_size,
    };

    piece.len = min_u64(len, geometry_tile_len(geo, piece.tile) - piece.off);
    return piece;
}

/* The smallest power-of-two multiple of from that makes at most ntiles tiles, but at most to. */
static uint64_t smallest(uint64_t size, uint64_t from, uint64_t to, uint64_t ntiles)
{
    while (from < to && size > from * ntiles)
        from *= 2;
    return from;
}

/*
 * A tile is the unit of upload: one changed 4 KiB block costs a mirror one whole
 * tile. That asks for small tiles. Against them stands their number.
 *
 * - Not below 1 MiB: a PUT to an object store costs about 100 ms whatever its
 *   size, and 1 MiB takes 80 ms at 100 Mbit/s. Smaller tiles save next to
 *   nothing per change and make a first upload much slower.
 * - Up to 8 MiB as long as 4096 tiles do (32 GiB): such an archive is listed
 *   in a few requests, so the number of files does not matter yet.
 * - Then up to 65536 tiles before growing on (8 MiB lasts to 512 GiB, 128 MiB
 *   to 8 TiB): a mirror lists the remote before every run, object stores
 *   answer 1000 names a request, and 66 requests in sequence are some seconds.
 * - 128 MiB as long as the name space of 2^20 tiles allows (128 TiB), however
 *   many there are: rclone cuts files from 200 MiB on into parts
 *   (--s3-upload-cutoff), and only below that a remote's ETag is the MD5 of
 *   the tile, by which a copy can be checked without downloading it.
 * - Beyond that only the name space decides.
 */
uint64_t geometry_choose(uint64_t size)
{
    uint64_t tile_size = smallest(size, MIB, 8 * MIB, 4096);

    tile_size = smallest(size, tile_size, 128 * MIB, 65536);
    return smallest(size, tile_size, FORMAT_SIZE_MAX / FORMAT_TILES_MAX + 1, FORMAT_TILES_MAX);
}
