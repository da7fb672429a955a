/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The manifest of an archive, in use or not, by drive/manifesting.h: from where its tiles are read.
 * That is an archive that nobody writes to meanwhile, or a snapshot of one in use. In either case
 * the epoch begins before that: what is written between the two only counts as changed.
 */
#ifndef DRIVE_MANIFEST_OF_H
#define DRIVE_MANIFEST_OF_H

#include "drive/manifesting.h"
#include "drive/snapshot.h"

/*
 * Writes the manifest of an archive that is not in use, whose index has been read. Begins the
 * epoch, and keeps writers away meanwhile. 0 or -errno, logged; then the manifest before is what
 * there is.
 */
MUST_CHECK int manifest_of_idle(const struct archive *archive, manifest_progress *progress,
                                void *arg, struct manifest_made *made);

/*
 * The same for one that writer, whose epoch word began just now, has in use: of a snapshot, which
 * is deleted in the end. What a run before has left of one goes, too.
 */
MUST_CHECK int manifest_of_used(const struct archive *archive, const struct journal_word *word,
                                const struct snapshot_writer *writer, manifest_progress *progress,
                                void *arg, struct manifest_made *made);

#endif
