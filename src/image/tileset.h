/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A set of tile numbers that any number of threads may add to while one drains
 * it. Draining an empty set of 2^20 tiles looks at 2 KiB.
 */
#ifndef IMAGE_TILESET_H
#define IMAGE_TILESET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct tileset {
    /* fixed after init */
    _Atomic uint64_t *words;   /* a bit per tile */
    _Atomic uint64_t *summary; /* a bit per word that may be non-zero */
    uint32_t most;             /* numbers that there is room for */
    /* any thread */
    _Atomic uint32_t nsummary;
};

/* For numbers below n, and later for more, up to most. 0 or -ENOMEM. */
MUST_CHECK int tileset_init(struct tileset *set, uint32_t n, uint32_t most);
/* Numbers below n may be added after it returns. */
void tileset_grow(struct tileset *set, uint32_t n);
/* Also after a failed init or of a zeroed struct. */
void tileset_release(struct tileset *set);

/* Any thread. What the caller did before this call is done when a drain gets the tile. */
void tileset_add(struct tileset *set, uint32_t tile);

bool tileset_has(const struct tileset *set, uint32_t tile);
/* Nobody adds this tile meanwhile. */
void tileset_remove(struct tileset *set, uint32_t tile);

/*
 * Takes every member out and calls fn with it, in ascending order. A member
 * added meanwhile is taken by this drain or by the next. Two drains at once share
 * the members between them.
 */
void tileset_drain(struct tileset *set, void (*fn)(uint32_t tile, void *arg), void *arg);

#endif
