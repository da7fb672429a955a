/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is stored: which tiles are known to exist, how much they occupy, when
 * they last changed. Exact once every tile has been stat'ed.
 *
 * "The tile's stripe" below is the lock of image.c that keeps the tile from
 * being created or removed meanwhile.
 */
#ifndef IMAGE_USAGE_H
#define IMAGE_USAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"
#include "base/lock.h"
#include "image/tileset.h"
#include "store/store.h"

struct image_usage;

enum usage_count { USAGE_PENDING, USAGE_COMPLETE, USAGE_BROKEN };

struct usage {
    /* blocks + 1 of each tile, 0: absent or not yet seen. Written under mutex, read by any thread.
     */
    _Atomic uint32_t *known;
    uint32_t most;        /* tiles that there is room for */
    struct tileset stale; /* tiles written since they were last seen; any thread */
    /* guarded by mutex */
    struct mutex mutex;
    pthread_cond_t ended;
    uint64_t GUARDED blocks;       /* the sum over known */
    uint32_t GUARDED tiles;        /* how many are known */
    struct timespec GUARDED mtime; /* when a byte was last changed; never in the future */
    /* the mtime that somebody was told last: after a change he is told another */
    struct timespec GUARDED told;
    bool GUARDED set; /* atime and mtime were set, at set_at, and nothing has changed since */
    struct timespec GUARDED set_atime, set_mtime, set_at;
    enum usage_count GUARDED count;
};

/* most: tiles that there may be later. 0 or -ENOMEM. */
MUST_CHECK int usage_init(struct usage *usage, uint32_t ntiles, uint32_t most);
/* There are so many tiles now. */
void usage_grow(struct usage *usage, uint32_t ntiles);
/* Also after a failed init. */
void usage_release(struct usage *usage);

/* The tile exists, as far as we were told. Any thread. */
bool usage_has(const struct usage *usage, uint32_t tile);

/* The tile was written to. Any thread. */
void usage_touch(struct usage *usage, uint32_t tile);

/*
 * The tile exists with this stat. Caller holds its stripe, and no two stat one tile at a time.
 */
void usage_stat(struct usage *usage, uint32_t tile, const struct store_stat *stat);

/* The tile is gone. Caller holds its stripe exclusively. */
void usage_gone(struct usage *usage, uint32_t tile);

/* The image changed at that time, or later. Any thread. */
void usage_changed(struct usage *usage, const struct timespec *when);

/* A tile of that time was changed by us since its last stat. Any thread. */
void usage_moved(struct usage *usage, const struct timespec *when);

/* These are told from now on, until something changes. NULL: as it is. */
void usage_set_times(struct usage *usage, const struct timespec *atime,
                     const struct timespec *mtime);

/* Every tile has been stat'ed, or the count could not be finished. */
void usage_counted(struct usage *usage, bool complete);

/* Waits up to wait_ms for usage_counted(), then copies what is known. */
void usage_get(struct usage *usage, unsigned wait_ms, struct image_usage *out);

#endif
