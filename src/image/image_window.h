/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A window of a tile: which blocks of its file are stored, and which of these are all zeros. For
 * image_compact.c.
 */
#ifndef IMAGE_IMAGE_WINDOW_H
#define IMAGE_IMAGE_WINDOW_H

#include "image/impl.h"

#define IMAGE_WINDOW (UINT64_C(4) << 20) /* bytes, at most */
#define IMAGE_WINDOW_BLOCK_MIN 512       /* bytes of a block */
#define IMAGE_WINDOW_BLOCK_MAX 65536
#define IMAGE_WINDOW_BLOCKS (IMAGE_WINDOW / IMAGE_WINDOW_BLOCK_MIN + 2)
#define IMAGE_WINDOW_CHUNK UINT64_C(262144) /* bytes that are read at a time */

struct image_window {
    uint32_t tile;
    uint64_t len;     /* of the tile */
    uint64_t lo, hi;  /* the window */
    uint64_t block;   /* bytes */
    uint64_t before;  /* bytes before the tile in its file */
    uint64_t head;    /* and of these in its first block */
    uint64_t first;   /* number of the block that lo is in, counted from that one */
    size_t n;         /* blocks of the window */
    uint64_t nonzero; /* bytes of those that are not all zeros */
    bool last;        /* no data follow */
    /* Of each block: it is stored, and the tile's alone; it is all zeros, stored or not. */
    bool data[IMAGE_WINDOW_BLOCKS], zero[IMAGE_WINDOW_BLOCKS];
};

/* The tile as blocks tell of it. */
void image_window_init(struct image_window *w, const struct geometry *geo, uint32_t tile,
                       const struct store_blocks *blocks);

/* The window that ends at hi of the tile. It begins with a block, or with the tile. */
void image_window_place(struct image_window *w, uint64_t hi);

/* Where block i of the window begins, or with n the window ends. */
uint64_t image_window_at(const struct image_window *w, size_t i);

/*
 * Looks at all of it, beside all else. bytes is room for IMAGE_WINDOW_CHUNK. Caller holds no
 * stripe. 0 or -errno, logged.
 */
MUST_CHECK int image_window_look(struct image *img, struct image_window *w, unsigned char *bytes);

/*
 * Whether no data follow end: there is no more of the file, or nothing but a hole. Caller holds
 * the tile's stripe. 0 or -errno, as of a store.
 */
MUST_CHECK int image_window_is_last(struct image *img, const struct image_window *w, uint64_t end,
                                    bool *last);

#endif
