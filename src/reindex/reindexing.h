/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A reindex from its beginning to its end, in this order: find, decide, act. What it does to each
 * file can be told between the last two, from strays.
 */
#ifndef REINDEX_REINDEXING_H
#define REINDEX_REINDEXING_H

#include <stdbool.h>
#include <stddef.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "check/repair.h"
#include "cover/covers.h"
#include "reindex/strays.h"

struct reindexing {
    struct archive archive; /* as archive_open_dir() leaves it */
    /* what is wanted */
    const char *uuid;                   /* of the archive that is meant, or NULL */
    const struct covers_source *covers; /* of new pictures for all tiles; NULL: they stay */
    /* progress, with arg: files that have been looked at; a tile was put; pictures given */
    void (*looked)(size_t n, void *arg);
    void (*put)(const struct stray *stray, void *arg);
    void (*painted)(size_t n, void *arg);
    void *arg;
    /* what came of it */
    struct strays strays;
    bool make_index;  /* there was no good one */
    size_t covered;   /* tiles with new pictures */
    const char *room; /* the directory, below the archive, of what made room, or NULL */
    struct repair repair;
};

/*
 * Looks at all files of the archive, and at those below the n paths. Waits for a process that is
 * finishing, and keeps others out until release. 0 or -errno, logged.
 */
MUST_CHECK int reindexing_find(struct reindexing *re, char *const *paths, unsigned n);

/* Reads the index, or makes one of what the tiles tell, and decides about each file. 0 or -errno,
 * logged. */
MUST_CHECK int reindexing_decide(struct reindexing *re);

/*
 * Does it. 0 or -errno, logged. *acted: all has been done but for tiles or pictures that were
 * told; else the same call is to be made again.
 */
MUST_CHECK int reindexing_act(struct reindexing *re, bool *acted);

/* In any case. */
void reindexing_release(struct reindexing *re);

#endif
