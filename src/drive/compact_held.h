/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * By which snapshots tiles are held that could be compacted otherwise.
 */
#ifndef DRIVE_COMPACT_HELD_H
#define DRIVE_COMPACT_HELD_H

#include "drive/compact.h"

/* How many snapshots there are. 0 or -errno, logged. */
MUST_CHECK int compact_held_count(const struct archive *archive, unsigned *n);

/* Fills in the names for which there is room: others are left out. 0 or -errno, logged. */
MUST_CHECK int compact_held_names(const struct archive *archive, struct compact *compact);

/* Bytes could be won in the tile: counts them for each snapshot that holds it. As above. */
MUST_CHECK int compact_held_by(const struct archive *archive, uint32_t tile, uint64_t bytes,
                               struct compact *compact);

#endif
