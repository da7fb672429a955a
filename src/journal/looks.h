/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files of all tiles look like from outside: a number each, made of times and length
 * (format/journal.h). changes_mark.c says what for.
 */
#ifndef JOURNAL_LOOKS_H
#define JOURNAL_LOOKS_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "archive/archive.h"
#include "base/compiler.h"

/*
 * looks has a place for each of ntiles tiles, all 0; the image may have more or fewer. A file that
 * changed at that time or later is JOURNAL_UNSURE, unless past is NULL, and so is what cannot be
 * looked at. bodies, likewise, or NULL: what another name of the file does not change. 0 or
 * -ENOMEM.
 */
MUST_CHECK int looks_take(const struct archive *archive, uint32_t ntiles,
                          const struct timespec *past, uint32_t *looks, uint32_t *bodies);

/* Whether the tile may have changed between two looks. */
bool looks_differ(uint32_t a, uint32_t b);

#endif
