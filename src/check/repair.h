/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes away what does not belong into an archive, and destroys nothing: all of
 * it goes to .mosaicfs/lost+found/DATE-TIME/, under the path that it had.
 */
#ifndef CHECK_REPAIR_H
#define CHECK_REPAIR_H

#include <stdbool.h>

#include "base/compiler.h"
#include "check/scan.h"

#define REPAIR_DIR 64

struct repair {
    const struct archive *archive;
    char path[REPAIR_DIR]; /* of the directory for this repair, below the archive */
    int dirfd;
    bool unsynced; /* a directory could not be synced: nothing more is to be moved */
};

/* Makes the directory. For who has excluded others. 0 or -errno, logged. Close in any case. */
MUST_CHECK int repair_open(const struct archive *archive, struct repair *repair);
void repair_close(struct repair *repair);

/*
 * Moves what was found, and sets finding->moved. It is durable when this returns.
 * 0 or -errno, logged; then the file is under one of the two names.
 */
MUST_CHECK int repair_move(struct repair *repair, struct scan_finding *finding);

/*
 * Moves every finding of the scan that may be moved, in the order that stands in
 * repair.c; tell() hears of each that was tried. The archive's flock was taken, by
 * owner_exclude(), before the scan began. 0 or the first -errno, logged; what cannot be
 * moved keeps no other from it.
 */
MUST_CHECK int repair_all(struct scan *scan,
                          void (*tell)(void *arg, const struct scan_finding *finding), void *arg);

#endif
