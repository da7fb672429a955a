/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From which manifest the tiles descend: .mosaicfs/manifest has its root digest, and the epoch of
 * the journal after which a tile that we change is another one than in the manifest. It is of this
 * machine, and is not mirrored: so a manifest that it does not name came from elsewhere.
 */
#ifndef JOURNAL_DESCENT_H
#define JOURNAL_DESCENT_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "journal/changes.h"

struct descent {
    bool known;               /* the tiles descend from that manifest */
    struct journal_word word; /* since when they differ */
};

/* Of the manifest with that root digest. 0, also when it is not known; else -errno, not logged. */
MUST_CHECK int descent_read(int dirfd, const unsigned char root[HASH_RAW], struct descent *descent);

/*
 * From now on the tiles descend from the manifest with that root digest; but still from the one
 * before, too, unless that is NULL, whose file it replaces next. Durable when it returns 0. Else
 * -errno, not logged.
 */
MUST_CHECK int descent_write(const struct archive *archive, const unsigned char root[HASH_RAW],
                             const struct journal_word *word, const unsigned char before[HASH_RAW]);

/* Whether the journal, which has been read, says of each tile if we changed it since then. */
bool descent_reaches(const struct descent *descent, const struct changes_list *list);

/* If so: whether we changed the tile. */
bool descent_changed(const struct descent *descent, const struct changes_list *list, uint32_t tile);

#endif
