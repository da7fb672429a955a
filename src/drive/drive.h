/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive in use: opened in one order, and closed in the reverse one. Who
 * changes an archive, or serves it, opens it here. What a look without a lock
 * needs is archive_open().
 */
#ifndef DRIVE_DRIVE_H
#define DRIVE_DRIVE_H

#include <stdbool.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "check/belongs.h"
#include "cover/covers.h"
#include "image/image.h"
#include "owner/maclock.h"
#include "owner/owner.h"
#include "store/dir.h"

/* How far drive_open() goes. */
enum drive_reach {
    DRIVE_STORE, /* to the store: for who changes no tile */
    DRIVE_IMAGE, /* to the image over it */
};

struct drive_config {
    const char *path;
    const char *mountpoint; /* for the record: absolute, or "" for a short use without a mount */
    enum drive_reach reach;
    bool read_only;
    bool between;                       /* a rollback that was interrupted goes on */
    bool accept;                        /* a copy that does not belong together is used as it is */
    bool unfinished;                    /* that of a conversion does: it has the mark of one */
    bool yield;                         /* what a Mac uses is opened read-only, not refused */
    unsigned max_open;                  /* tiles open at once, at least DIR_OPEN_MIN */
    const struct covers_source *covers; /* of new tiles; NULL or path "": as remembered */
};

/* Fixed after open. */
struct drive {
    struct archive archive;
    struct owner owner; /* owner.previous: what a dead writer left in the record */
    struct maclock maclock;
    struct belongs belongs;
    bool read_only;
    struct covers *covers; /* of new tiles; NULL: none */
    struct store *store;   /* with DRIVE_STORE */
    struct image *img;     /* with DRIVE_IMAGE */
    bool keep_record;      /* the next writer must know that data may be missing */
};

/*
 * Opens the directory, takes its locks, and only then reads what it is: see
 * drive.c. Waits for a process that is finishing. 0 or -errno, logged; then
 * nothing is held. Close with drive_close().
 */
MUST_CHECK int drive_open(struct drive *drive, const struct drive_config *config);

/* Flushes and closes image and store; the locks stay. 0 or -errno, logged. */
MUST_CHECK int drive_finish(struct drive *drive);

/*
 * drive_finish(), unless that was done, then the locks and the directory. The record
 * stays when a flush has failed. 0 or -errno, logged.
 */
int drive_close(struct drive *drive);

#endif
