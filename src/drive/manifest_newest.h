/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a manifest tells to be new in it: some of the tiles that differ from the manifest before, by
 * lot, each with a digest that differs. A copy that lacks one of them is not complete, and that is
 * seen without reading any other tile.
 */
#ifndef DRIVE_MANIFEST_NEWEST_H
#define DRIVE_MANIFEST_NEWEST_H

#include "archive/manifest_file.h"
#include "base/lock.h"

struct manifest_news {
    const struct manifest_file *old; /* loaded; NULL: there is none, and all is new */
    struct mutex mutex;
    uint64_t GUARDED seen, GUARDED lot;
    struct manifest_newest GUARDED list[MANIFEST_NEWEST];
};

void manifest_newest_begin(struct manifest_news *news, const struct manifest_file *old);

/* The tile is in the new manifest, with that list, made anew. Any thread. */
void manifest_newest_tile(struct manifest_news *news, const struct digests_entry *entry,
                          const unsigned char *list);

/* The tile was in the manifest before, and is not in the new one. Any thread. */
void manifest_newest_gone(struct manifest_news *news, uint32_t tile);

/* Sets manifest->newest. When nothing is new, what was so in the manifest before stays. */
void manifest_newest_take(struct manifest_news *news, struct manifest *manifest);

void manifest_newest_end(struct manifest_news *news);

#endif
