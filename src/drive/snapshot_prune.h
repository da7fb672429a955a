/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Deletes those of many snapshots that need not be kept.
 */
#ifndef DRIVE_SNAPSHOT_PRUNE_H
#define DRIVE_SNAPSHOT_PRUNE_H

#include "drive/retention.h"
#include "drive/snapshot.h"

/*
 * Of the snapshots whose names match one of the patterns, as fnmatch(3) says, or of all when there
 * is none, deletes those that retention does not keep, the oldest first, and tells deleted of
 * each. patterns ends with NULL. writer: as for snapshot_delete(). One that cannot be deleted
 * keeps no other. 0 or the first -errno, logged.
 */
MUST_CHECK int snapshot_prune(const struct archive *archive, char *const patterns[],
                              const struct retention *retention,
                              const struct snapshot_writer *writer,
                              void (*deleted)(void *arg, const char *name), void *arg);

#endif
