/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Freezes the file systems on a mounted drive, found through its loop devices and what stands
 * on them, for a moment: all that was written to them is on the drive then, and they are clean.
 * They go on whatever happens, see freeze.c.
 */
#ifndef MOUNT_FREEZE_H
#define MOUNT_FREEZE_H

#include <sys/types.h>

#include "base/compiler.h"
#include "mount/mounts.h"

#define FREEZE_MAX_S 20 /* that they stay frozen, at most */

struct freeze {
    int *fds; /* of the mount points, opened */
    unsigned n;
    pid_t child; /* who freezes them */
    int channel; /* to it */
};

/*
 * 0: all that is mounted here from the drive that mount shows is frozen. -errno, logged: -ENOENT
 * when nothing is; then nothing is frozen. Needs root. Ends with freeze_end().
 */
MUST_CHECK int freeze_begin(const struct mounts *mounts, const struct mount *mount,
                            struct freeze *freeze);

/* They go on. 0; -ETIMEDOUT, logged, when they did so before, after FREEZE_MAX_S. */
MUST_CHECK int freeze_end(struct freeze *freeze);

#endif
