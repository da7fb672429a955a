/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The promises, asked of what a power cut left:
 *
 * - Once create has returned there is an archive. Before, there is one, or a
 *   place where create works; never half of one.
 * - It can be opened, and taken for writing, at once.
 * - Each sector of the image holds what it held when the last flush that had
 *   returned began, or what an operation put there that began later.
 * - Tiles are regular files, none longer than a tile and what stands before it;
 *   none without all of that, and in format 1 none shorter.
 * - A bundle has all that a Mac wants to see, and nothing of what it knew of bands
 *   that have changed.
 * - Each epoch that a mark had returned is known to the journal, and every tile
 *   that differs from what the image held at the mark is listed for it. So it is for the word of
 *   a mark that was undone, when the archive was put back to an earlier state, or it is not known.
 * - Where tiles are being put back in their places, it cannot be opened until all
 *   of them are, nor by who began before and has waited for the lock; and the next reindex
 *   ends the work.
 * - A rollback is as rollback.h says.
 * - The archive can be written, flushed, closed, and read back.
 * - Snapshots are as check_snapshots.h says, before that and after it.
 */
#ifndef TEST_CRASH_CHECK_H
#define TEST_CRASH_CHECK_H

#include "work.h"

/*
 * base holds the files that are left when the power was cut before event q of
 * the workload. True: all promises are kept. Else why says which is not.
 */
bool check(const struct work *work, size_t q, const char *base, char *why, size_t cap);

#endif
