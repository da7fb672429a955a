/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshots are made and deleted, of a drive that is open or closed, and written to
 * meanwhile: between two links of tiles, before the instant, and while what the snapshot
 * holds is brought to disk. check_snapshots.h says what is promised of them.
 *
 * A snapshot bears the number of its operation: s7. What each sector held at its instant
 * is in the operation's member marked; the one that deletes it has its number in off.
 */
#ifndef TEST_CRASH_SNAP_H
#define TEST_CRASH_SNAP_H

#include "work.h"

/* Does something with the tile of the slot, and no flush. */
typedef void snap_meanwhile(struct work *work, unsigned slot);

/* meanwhile NULL: of a drive that is closed. */
void snap_make(struct work *work, snap_meanwhile *meanwhile);
/* Deletes one of them, if there is any. */
void snap_delete(struct work *work, snap_meanwhile *meanwhile);
/* Likewise, and the command is killed once the name is gone; who writes to the drive goes on. */
void snap_abandon(struct work *work);
/* The command that makes one is killed once it has made a directory, or two, or three. */
void snap_abandon_new(struct work *work);

/* The archive, which is closed, is put back to one of them, if there is any. */
void snap_rollback(struct work *work);

/* How many there are. */
unsigned snap_count(const struct work *work);

/* Whether name is that of a snapshot that is or was made, and by which operation. */
bool snap_parse(const struct work *work, const char *name, unsigned *op);

/*
 * As work_returned(), when the power was cut before event q and what is left is there: one that
 * made a snapshot that is there, or deleted one that is not, has done its work.
 */
bool snap_returned(const struct work *work, unsigned op, size_t q);

#endif
