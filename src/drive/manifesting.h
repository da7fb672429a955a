/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing the manifest of an archive: digests of all that it holds, see archive/manifest_file.h.
 * Tiles that did not change since the manifest before are not read.
 */
#ifndef DRIVE_MANIFESTING_H
#define DRIVE_MANIFESTING_H

#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "format/journal.h"

struct manifest_made {
    uint32_t tiles; /* in the manifest */
    uint64_t bytes; /* length of their files */
    uint32_t read;  /* tiles of which the digests were made anew */
    unsigned char root[HASH_RAW];
};

/*
 * Is told how many of so many bytes have been read; any thread. Anything but 0 ends the work, and
 * is what comes of it.
 */
typedef int manifest_progress(void *arg, uint64_t done, uint64_t total);

/*
 * Writes the manifest of an archive whose index has been read. state: where its tiles are read,
 * which nobody changes meanwhile: the archive itself, or a snapshot of it. word: an epoch that
 * began before that. 0 or -errno, logged; then the manifest before is what there is.
 */
MUST_CHECK int manifesting_archive(const struct archive *archive, const struct archive *state,
                                   const struct journal_word *word, manifest_progress *progress,
                                   void *arg, struct manifest_made *made);

/* Writes the manifest of a snapshot of the archive into the snapshot. As above. */
MUST_CHECK int manifesting_snapshot(const struct archive *archive, const struct archive *snapshot,
                                    manifest_progress *progress, void *arg,
                                    struct manifest_made *made);

#endif
