/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether the files of an archive are those that its manifest tells of, as far as that shows
 * without reading tiles: which are missing, which have another length, which it does not have.
 */
#ifndef CHECK_MANIFESTED_H
#define CHECK_MANIFESTED_H

#include "base/compiler.h"
#include "check/scan.h"

/*
 * Adds what is not so to the findings of a scan that has run, and has a good index. 0 or -errno,
 * logged.
 */
MUST_CHECK int manifested_look(struct scan *scan);

#endif
