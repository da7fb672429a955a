/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether what makes up a copy of an archive belongs together: index, manifest and tiles. A program
 * that synchronises directories may have been stopped half-way: then some tiles are older than the
 * others, or missing, which would read as zeros.
 *
 * Only what shows at once is looked at, so much whatever the archive's size: an archive that was
 * used here since its manifest was written or came here is known (journal/descent.h), and not
 * looked at at all. Of another one, the tiles that the manifest tells to be new are looked at.
 */
#ifndef CHECK_BELONGS_H
#define CHECK_BELONGS_H

#include <stdbool.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "base/hash.h"

struct belongs {
    bool manifest;                /* there is one */
    bool known;                   /* the tiles descend from it */
    unsigned char root[HASH_RAW]; /* its digest; zeros when that cannot be told */
    /* What does not belong together, "its manifest ..." or "tile '...' ..."; NULL: nothing is
     * known to be wrong. */
    const char *why;
    char tile[LAYOUT_PATH]; /* which tile that is about, or "" */
};

/* The archive's index has been read. 0 or -errno, logged. */
MUST_CHECK int belongs_look(const struct archive *archive, struct belongs *belongs);

/* Says what does not belong together, which there is, as an error or a warning. */
void belongs_tell(const struct archive *archive, const struct belongs *belongs, bool error);

#endif
