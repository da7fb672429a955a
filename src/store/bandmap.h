/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a Mac knows of the bands of a sparse bundle, and what is wrong once we
 * change one.
 */
#ifndef STORE_BANDMAP_H
#define STORE_BANDMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"

struct bandmap {
    /* fixed after open */
    const struct archive *archive;
    int fd; /* of the folder; -1: there is none, and nothing is ever to be done */
    /* any thread: a bit for each tile that was forgotten durably */
    _Atomic uint32_t *done;
    atomic_bool failed; /* a sync did, and what it was to bring to disk may be lost */
};

/* 0 or -errno, logged. To be closed in either case; a zeroed struct is not open. */
MUST_CHECK int bandmap_open(struct bandmap *map, const struct archive *archive);
void bandmap_close(struct bandmap *map);

/* Whether nothing tells wrong things about the tile when it changes now. Any thread. */
bool bandmap_forgotten(const struct bandmap *map, uint32_t tile);

/* Sees to that, durably, before it returns 0. Else -errno, logged. Any thread. */
MUST_CHECK int bandmap_forget(struct bandmap *map, const uint32_t *tiles, size_t n);

#endif
