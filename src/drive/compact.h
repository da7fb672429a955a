/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compacts an archive, in use or not, and tells what was won, and what was not for which reason.
 * What a step does is in image/image_compact.c.
 */
#ifndef DRIVE_COMPACT_H
#define DRIVE_COMPACT_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "archive/snapshots.h"
#include "base/compiler.h"
#include "format/contents.h"
#include "image/image.h"

/* Who writes to an archive that is in use. 0 or -errno, logged. */
struct compact_writer {
    int (*step)(void *arg, struct image_compact *step);
    int (*read)(void *arg, uint64_t off, void *buf, size_t len); /* of the image */
    void *arg;
    bool tells; /* what fails in a tile is on our stderr already, apart from want of space */
};

/* Told, after each step, bytes stored in tiles that are done, of all. False: that is enough. */
typedef bool compact_progress(void *arg, uint64_t done, uint64_t total);

/* What a snapshot holds that could be won otherwise. Others may hold the same. */
struct compact_snapshot {
    char name[FORMAT_SNAPSHOT_NAME + 1];
    uint32_t tiles;
    uint64_t bytes;
};

/* One block of memory, without pointers to others: two processes may share it. */
struct compact {
    bool dry;     /* nothing was changed: what would be won */
    bool stopped; /* before the end */
    /* tiles */
    uint32_t tiles;   /* looked at */
    uint32_t changed; /* in which something was won */
    uint32_t removed; /* of these */
    uint32_t failed;  /* told */
    uint32_t held;    /* in which something could be won, but for another name of the file */
    /* Bytes of zeros that were stored and won, by reason: */
    uint64_t holes, tails;
    uint64_t emptied; /* of tiles that are gone */
    /* and that were not: */
    uint64_t small, fixed;
    uint64_t held_bytes; /* by any snapshot, or another name */
    uint64_t other;      /* of these, by a name that is no snapshot's */
    /* What tiles occupied when they were looked at, and how much less afterwards. */
    uint64_t stored, freed;
    uint64_t data;  /* bytes that are not zeros */
    uint64_t block; /* of the file system below, in bytes; 0: there was no tile */
    bool known;     /* what lies on the drive */
    bool encrypted;
    char contents[16]; /* its name */
    unsigned nsnapshots;
    struct compact_snapshot snapshots[]; /* nsnapshots; those that hold nothing have no tiles */
};

/* How many snapshots there are, to make room for. 0 or -errno, logged. */
MUST_CHECK int compact_snapshots(const struct archive *archive, unsigned *n);
/*
 * What came free, in bytes, or with compact->dry what would if each byte of zeros did; not more
 * than was stored.
 */
uint64_t compact_freed(const struct compact *compact);

size_t compact_size(unsigned nsnapshots);

/*
 * Of an archive whose index has been read. writer NULL: nobody does, and it is opened for that
 * time. compact is zeroed but for dry, and nsnapshots, for which it has room. What fails in one
 * tile is told, counted, and the rest is done. 0 or -errno, logged: also -EROFS.
 */
MUST_CHECK int compact_run(const struct archive *archive, const struct compact_writer *writer,
                           compact_progress *progress, void *arg, struct compact *compact);

#endif
