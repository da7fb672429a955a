/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files image*.c share, and nobody else includes.
 */
#ifndef IMAGE_IMPL_H
#define IMAGE_IMPL_H

#include <stdatomic.h>

#include "base/lock.h"
#include "image/flush.h"
#include "image/image.h"
#include "image/tileset.h"
#include "image/usage.h"

/* More than threads in practice; neighbouring tiles fall into different ones. */
#define STRIPES 128

struct stripe {
    struct rwlock lock;
} __attribute__((aligned(64))); /* a cache line each */

/* Passed by who unshares a tile, which takes long; closed before all stripes are taken. */
struct gate {
    struct mutex mutex;
    pthread_cond_t changed;
    bool GUARDED closed;
    unsigned GUARDED inside;
};

struct image {
    /* fixed after open */
    struct store *store;
    bool read_only;
    /* each guards itself */
    struct stripe stripes[STRIPES];
    struct tileset dirty;    /* written and not yet flushed */
    struct tileset flushing; /* used by the running flush alone */
    struct tileset met;   /* tiles that the store had for a request; a count may not come to them */
    struct tileset moved; /* tiles that came, went or were unshared while a snapshot is made */
    atomic_bool snapping; /* one is being made: they are told to moved */
    atomic_bool settling; /* what it holds is not on disk yet */
    struct flush flush;
    struct usage usage;
    atomic_bool stop_counting;
    struct mutex snapshot; /* held by who makes one, or resizes the image */
    struct gate gate;
    struct mutex statting; /* held while a tile is stat'ed for usage: the newest stat wins */
};

/* The lock of a tile; image.c says who needs it how. */
static inline struct rwlock *image_stripe(struct image *img, uint32_t tile)
{
    return &img->stripes[tile % STRIPES].lock;
}

/* Of a walk over a set of tiles. */
struct flush_run {
    struct image *img;
    int rc; /* of the first tile that failed */
};

/* One pass of the flush; arg is the image. 0 or -errno, logged. */
MUST_CHECK int image_flush_pass(void *arg);

/*
 * Outside a pass: a failure is as final, for the kernel reports it once. 0 or -errno, logged.
 * Caller holds the tile's stripe.
 */
MUST_CHECK int image_flush_tile(struct image *img, uint32_t tile);

/* The store had the tile. Caller holds its stripe. */
static inline void image_met(struct image *img, uint32_t tile)
{
    if (!tileset_has(&img->met, tile))
        tileset_add(&img->met, tile);
}

/* The tile has another file than before, or none. Caller holds its stripe exclusively. */
static inline void image_moved(struct image *img, uint32_t tile)
{
    if (atomic_load_explicit(&img->snapping, memory_order_relaxed))
        tileset_add(&img->moved, tile);
}

/*
 * True where *rc was -EMLINK, as the store says of a tile that a snapshot holds: it has been
 * unshared and can be changed now, unless there is a new snapshot. So whatever failed is tried
 * again. Else *rc is what it was, or why the tile cannot be unshared, logged. Caller holds no
 * stripe.
 */
bool image_snapshot_again(struct image *img, uint32_t tile, int *rc);

/* No snapshot is being made any more. Caller holds img->snapshot. */
void image_snapshot_stop(struct image *img) REQUIRES(img->snapshot);

void image_snapshot_init(struct image *img);
void image_snapshot_release(struct image *img);

/*
 * The tile's file is about to be lost to us: what a snapshot has of it must be on disk. Caller
 * holds its stripe exclusively. 0 or -errno.
 */
MUST_CHECK int image_snapshot_settle(struct image *img, uint32_t tile);

/* With every stripe held no tile changes. */
void image_freeze(struct image *img);
void image_thaw(struct image *img);

/* The tile is gone, by us. Caller holds its stripe exclusively. */
void image_gone(struct image *img, uint32_t tile);

/*
 * The store says that the tile is absent: 0 when that is so, -EIO, logged, when
 * it has been there. Caller holds its stripe.
 */
MUST_CHECK int image_absent(struct image *img, uint32_t tile);

/* *found is the first tile >= tile that exists, or should; end when there is none below that. */
MUST_CHECK int image_next(struct image *img, uint32_t tile, uint32_t end, uint32_t *found);

/*
 * store_seek() under the tile's stripe; an absent tile is one hole. *found is
 * within the tile, its length when there is nothing.
 */
MUST_CHECK int image_seek_tile(struct image *img, const struct geometry *geo, uint32_t tile,
                               uint64_t off, enum store_seek what, uint64_t *found);

/*
 * The range of the tile, if that is there, becomes zeros, and a tile without data goes; keep:
 * its space and the tile itself stay. -EMLINK: a snapshot holds it. Caller holds its stripe
 * exclusively.
 */
MUST_CHECK int image_zero_locked(struct image *img, const struct geometry_piece *piece, bool keep);

/* 0 or -EROFS. */
MUST_CHECK int image_writable(const struct image *img);

/* Makes sure the tile exists. *made: it had to be made. Caller holds its stripe exclusively. */
MUST_CHECK int image_ensure(struct image *img, uint32_t tile, bool *made);

/* Before any change of the tile. Caller holds its stripe. */
MUST_CHECK int image_note(struct image *img, uint32_t tile);

/* As image_note(), but -ENOENT, and nothing is noted, when there is no tile. */
MUST_CHECK int image_note_present(struct image *img, uint32_t tile);

/* The tile was changed, or a change was tried. */
void image_touched(struct image *img, uint32_t tile);

/*
 * Takes away a tile that holds nothing: made for a request that then failed, or
 * emptied. Caller holds its stripe exclusively.
 */
void image_unmake(struct image *img, uint32_t tile);

#endif
