/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What holds for each kind of finding: its word, whether anything is wrong, and when such a
 * file may be moved away. What people read of it stands in cli/findings.c.
 */
#ifndef CHECK_SCAN_KINDS_H
#define CHECK_SCAN_KINDS_H

#include <stdbool.h>

#include "check/scan.h"

/* When a file may be moved away: scan_may_move(). */
enum scan_kinds_move {
    SCAN_KINDS_STAYS,
    SCAN_KINDS_GOES,
    SCAN_KINDS_OUTSIDE,  /* a tile that no part of the image is */
    SCAN_KINDS_FOREIGN,  /* a name that nothing is known about */
    SCAN_KINDS_TRANSFER, /* a file that somebody has not finished */
    SCAN_KINDS_COPY,     /* a name that says of what it is a copy */
    SCAN_KINDS_LAYOUT,   /* a tile's name in another layout */
};

/* "tile-too-long": for scripts, stays what it is. */
const char *scan_kinds_word(enum scan_kind kind);

/* Nothing is wrong. */
bool scan_kinds_note(enum scan_kind kind);

enum scan_kinds_move scan_kinds_move(enum scan_kind kind);

#endif
