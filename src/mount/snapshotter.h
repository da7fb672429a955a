/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The writer of a snapshot (drive/snapshot.h) of an archive that is mounted: the process that
 * serves it is asked for each step.
 */
#ifndef MOUNT_SNAPSHOTTER_H
#define MOUNT_SNAPSHOTTER_H

#include <stdbool.h>

#include "base/compiler.h"
#include "drive/snapshot.h"
#include "mount/served.h"

struct snapshotter {
    const struct served *served;
    bool freeze; /* what lies on the drive, for the instant */
    struct snapshot_writer writer;
};

/*
 * *found is asked's writer, or NULL when the archive of that path is not mounted. 0, or -EROFS,
 * logged: whoever only reads an archive keeps others from writing to it.
 */
MUST_CHECK int snapshotter_find(const struct served *served, const char *path, bool freeze,
                                struct snapshotter *asked, const struct snapshot_writer **found);

#endif
