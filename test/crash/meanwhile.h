/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A mount that waits for the lock while somebody who holds it changes the archive under a mark,
 * and is killed: the mark must be found when the lock is there, not before.
 */
#ifndef TEST_CRASH_MEANWHILE_H
#define TEST_CRASH_MEANWHILE_H

#include "work.h"

/*
 * Opens the archive below base as such a mount does. mark, a path below the archive, is there, and
 * is not seen until the lock has been taken. 0 or -errno: what the mount came to.
 */
int meanwhile_open(const struct work *work, const char *base, const char *mark);

#endif
