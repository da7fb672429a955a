/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A closed archive is put back to one of its snapshots. Whatever is cut: before it, it is as it
 * was, or as in the snapshot; or it is refused, also to who began before and has waited for the
 * lock, until the rollback has been done again. Then, and once it has returned, each sector is as
 * in the snapshot. What is listed as changed since a mark, check.h says.
 *
 * The operation has in off the number of the one that made the snapshot, and in marked what the
 * sectors held before.
 */
#ifndef TEST_CRASH_ROLLBACK_H
#define TEST_CRASH_ROLLBACK_H

#include "work.h"

/* To the snapshot that operation snapshot made. */
void rollback_make(struct work *work, unsigned snapshot);

/* The one that was under way when event q was about to happen. NULL: none. */
struct work_op *rollback_at(const struct work *work, size_t q);

/*
 * Of what an interruption has left of the archive: interrupted is done again if it has to be;
 * power: after a power cut, else the command was killed.
 */
void rollback_again(struct work *work, struct work_op *interrupted, bool power);

/* Ends it in the archive that base holds. False: why says which promise is not kept. */
bool rollback_recover(const struct work *work, const struct work_op *op, const char *base,
                      char *why, size_t cap);

#endif
