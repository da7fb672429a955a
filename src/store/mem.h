/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles in memory, for tests. Space can be bounded, to play a full disk.
 */
#ifndef STORE_MEM_H
#define STORE_MEM_H

#include "store/store.h"

/* max_tiles: creating more is -ENOSPC, and the image cannot grow to more. 0 or -ENOMEM. Close with
 * store_close(). */
MUST_CHECK int mem_open(const struct geometry *geo, uint32_t max_tiles, struct store **out);

#endif
