/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an index does not say and only the tiles tell.
 */
#ifndef ARCHIVE_DETECT_H
#define ARCHIVE_DETECT_H

#include "archive/archive.h"
#include "base/compiler.h"

/*
 * Sets layout and head of an archive whose index has been read, or refuses
 * it: tiles whose names this layout does not read would look like zeros. Looks
 * at the names of tiles, but not in layout plain. 0 or -errno, logged.
 */
MUST_CHECK int detect_archive(struct archive *archive);

/*
 * The same for who looks at damaged archives: of two kinds of names the more
 * frequent decides. Refuses and logs nothing.
 */
void detect_likely(struct archive *archive);

/* The layout of an archive without an index, by the names in it. Logs nothing. */
const struct layout *detect_guess(const struct archive *archive);

#endif
