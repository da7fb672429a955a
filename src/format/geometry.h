/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which byte of the image lies in which tile. Pure arithmetic, no overflow for
 * any geometry that geometry_init() accepted.
 */
#ifndef FORMAT_GEOMETRY_H
#define FORMAT_GEOMETRY_H

#include <stdint.h>

#include "base/compiler.h"

struct geometry {
    uint64_t size;      /* of the image in bytes, 1 to FORMAT_SIZE_MAX */
    uint64_t tile_size; /* bytes, at least 1 */
    uint32_t ntiles;    /* size / tile_size rounded up, 1 to what its layout has names for */
};

/* A piece of a request that lies in one tile. */
struct geometry_piece {
    uint32_t tile;
    uint64_t off; /* within the tile */
    uint64_t len;
};

/*
 * 0, -EINVAL for a size or tile size of 0, -ERANGE when it needs more than max tiles, or too
 * many bytes.
 */
MUST_CHECK int geometry_init_max(struct geometry *geo, uint64_t size, uint64_t tile_size,
                                 uint32_t max);

/* The same for at most FORMAT_TILES_MAX tiles, as all but bundles have. */
MUST_CHECK int geometry_init(struct geometry *geo, uint64_t size, uint64_t tile_size);

/* Bytes of the image in tile (the last may be partial). tile < ntiles. */
uint64_t geometry_tile_len(const struct geometry *geo, uint32_t tile);

/* The first piece of [off, off + len). off < size, len > 0; what exceeds the image is cut. */
struct geometry_piece geometry_first(const struct geometry *geo, uint64_t off, uint64_t len);

/*
 * The tile size that create chooses for an image of size bytes (> 0): a power
 * of two. The reasoning stands in geometry.c.
 */
uint64_t geometry_choose(uint64_t size);

#endif
