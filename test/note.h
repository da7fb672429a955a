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
    for (uint32_t tile = 0; tile < st->geometry.ntiles; tile++)
        if (!store_noted(st, tile) && store_note(st, &tile, 1)) {
            fprintf(stderr, "cannot note tile %u\n", tile);
            exit(1);
        }
}

#endif
