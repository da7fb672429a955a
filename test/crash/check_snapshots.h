/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshots after a power cut:
 *
 * - One whose making had returned is there until its deletion begins.
 * - Whichever is there under its name is an archive that can be opened and read, with all
 *   its files, and each sector of its image holds what it held at the instant of the snapshot;
 *   be its making or its deletion under way, and whatever has been written since.
 */
#ifndef TEST_CRASH_CHECK_SNAPSHOTS_H
#define TEST_CRASH_CHECK_SNAPSHOTS_H

#include "check_files.h"

/* Of the archive at place, when the power was cut before event q of the workload. */
bool check_snapshots(const struct check_place *place, size_t q);

#endif
