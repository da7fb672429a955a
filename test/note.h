/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What image/ does for a store, in tests that call a store themselves.
 */
#ifndef TEST_NOTE_H
#define TEST_NOTE_H

#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"

/* Every tile may be changed. */
static inline void note_all(struct store *st)
{
    uint32_t n = store_geometry(st)->ntiles;
    uint32_t *tiles = malloc(n * sizeof(*tiles));
    int rc = tiles ? 0 : 1;

    for (uint32_t tile = 0; !rc && tile < n; tile++)
        tiles[tile] = tile;
    if (!rc)
        rc = store_note(st, tiles, n);
    if (rc) {
        fprintf(stderr, "cannot note all tiles: %d\n", rc);
        exit(1);
    }
    free(tiles);
}

#endif
