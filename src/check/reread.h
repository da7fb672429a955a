/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads every tile from beginning to end, for what only shows then.
 */
#ifndef CHECK_REREAD_H
#define CHECK_REREAD_H

#include "check/scan.h"

/*
 * Adds SCAN_TILE_BYTES and SCAN_PICTURE_CHANGED to the findings of a scan that
 * has run, and calls scan_spoiled() for these tiles. tell, unless NULL,
 * hears how much has been read so far, of about scan->bytes. Memory is bounded.
 * 0, or -ENOMEM, logged.
 */
MUST_CHECK int reread_tiles(struct scan *scan, void (*tell)(uint64_t done, void *arg), void *arg);

#endif
