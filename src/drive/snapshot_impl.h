/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What snapshot*.c share, and nobody else includes.
 */
#ifndef DRIVE_SNAPSHOT_IMPL_H
#define DRIVE_SNAPSHOT_IMPL_H

#include "drive/snapshot.h"

/* Logs that the snapshot cannot be what. Returns rc. */
int snapshot_complain(const char *what, const char *name, int rc);

/* Makes the directory of all snapshots, if it is not there. 0 or -errno, not logged. */
MUST_CHECK int snapshot_make_all(const struct archive *archive);

/*
 * Opens the directory of all snapshots and locks it: one is made, deleted or gone back to at a
 * time. What a crash has left there goes. 0 or -errno, not logged: -EBUSY.
 */
MUST_CHECK int snapshot_lock(const struct archive *archive, int *fd);

/* As snapshot_complain(), of an error of snapshot_lock(). */
int snapshot_complain_lock(const struct archive *archive, const char *what, const char *name,
                           int rc);

/* Opens a snapshot as the archive that it is. 0 or -errno, logged; archive_close() in any case. */
MUST_CHECK int snapshot_open(const struct archive *archive, const char *name,
                             struct archive *snapshot);

/* snapshot_diff() of any two. */
MUST_CHECK int snapshot_diff_archives(const struct archive *from, const struct archive *to,
                                      void (*fn)(void *arg, uint32_t tile, bool absent), void *arg);

#endif
