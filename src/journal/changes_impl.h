/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the files changes*.c share, and nobody else includes. changes.c says what
 * the journal means and in which order it is written.
 */
#ifndef JOURNAL_CHANGES_IMPL_H
#define JOURNAL_CHANGES_IMPL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"
#include "base/lock.h"
#include "journal/changes.h"

#define CHANGES_BATCH 256                  /* tiles written with one sync, at most */
#define CHANGES_EPOCH_MAX (UINT32_MAX - 1) /* what is above it stands for damage in memory */

/* The table of states stands in changes.c. */
enum changes_state { CHANGES_NOTING, CHANGES_DOUBTFUL, CHANGES_NONE };

struct changes {
    /* fixed after open */
    const struct archive *archive;
    /*
     * That the table has a cell for, at least as many as the image has tiles. Written by whoever
     * has telling and file, read by whoever has one of them.
     */
    uint32_t ntiles;
    /* written by whoever has file, read by any thread */
    _Atomic enum changes_state state;
    _Atomic uint32_t epoch;
    _Atomic uint32_t *cells; /* of tiles whose cell is on disk; room for all that there can be */
    /* guarded by file, which is held across I/O */
    struct mutex file;
    int GUARDED fd;
    uint32_t GUARDED id;
    bool GUARDED blind; /* the file system gives a file one number by name and another when open */
    unsigned char GUARDED header[FORMAT_JOURNAL_SECTOR]; /* as the file has it */
    struct journal_mark GUARDED marks[FORMAT_JOURNAL_MARKS];
    unsigned GUARDED next_mark; /* where the next one goes: the oldest */
    /* of changes_watch(), which has one caller at a time */
    time_t watched; /* when it last looked */
    /* held while all tiles are looked at */
    struct mutex telling;
    /* guarded by queue, which is not */
    struct mutex queue;
    pthread_cond_t ended;
    bool GUARDED led; /* somebody writes a batch */
    uint32_t GUARDED pending[CHANGES_BATCH];
    size_t GUARDED npending;
    uint64_t GUARDED taken; /* batches that have been taken out of pending */
    uint64_t GUARDED done;  /* batches that have been written, or failed */
    int GUARDED error;      /* of the last one that failed */
};

/* changes_grow() for whoever has telling and file; not logged, in changes_grow.c. */
MUST_CHECK int changes_grow_locked(struct changes *changes, uint32_t ntiles)
    REQUIRES(changes->file);

/* Finds the state to begin with, in changes_start.c. 0 or -errno, logged. */
MUST_CHECK int changes_start(struct changes *changes);

/* All tiles, in changes_mark.c. */

/*
 * looks_take() of all tiles of the table, at a time that is past all that was changed before.
 * Caller holds telling. 0 or -errno.
 */
MUST_CHECK int changes_mark_look(struct changes *changes, uint32_t *looks, uint32_t *bodies);

/*
 * The looks of the tiles that sector number has the cells of, as the journal has them. 0 or
 * -errno.
 */
MUST_CHECK int changes_mark_old(struct changes *changes, uint32_t number,
                                uint32_t old[FORMAT_JOURNAL_CELLS]) REQUIRES(changes->file);

/* How many tiles from first on have their cells in one sector. */
uint32_t changes_mark_count(const struct changes *changes, uint32_t first);

/* The file, in changes_file.c. */

/* Logs that the journal cannot be verb'd. Returns rc. */
int changes_file_complain(const struct archive *archive, const char *verb, int rc);

/* Opens it. 0 or -errno. */
MUST_CHECK int changes_file_open(struct changes *changes) REQUIRES(changes->file);

/*
 * Writes the sector of cells as it stands in memory, with the n tiles of batch, all of
 * them in it, set to epoch. 0 or -errno.
 */
MUST_CHECK int changes_file_cells(struct changes *changes, uint32_t number, const uint32_t *batch,
                                  size_t n, uint32_t epoch) REQUIRES(changes->file);

/* One sector of any numbers. 0 or -errno. */
MUST_CHECK int changes_file_write(struct changes *changes, uint32_t number,
                                  const uint32_t cells[FORMAT_JOURNAL_CELLS])
    REQUIRES(changes->file);

/* The same read: also -EBADMSG. */
MUST_CHECK int changes_file_read(struct changes *changes, uint32_t number,
                                 uint32_t cells[FORMAT_JOURNAL_CELLS]) REQUIRES(changes->file);

/* The header, with the running epoch. 0 or -errno. */
MUST_CHECK int changes_file_header(struct changes *changes) REQUIRES(changes->file);

/* The sector that holds mark i. 0 or -errno. */
MUST_CHECK int changes_file_marks(struct changes *changes, unsigned i) REQUIRES(changes->file);

/*
 * No list is better than one that lacks something: removes the journal, durably.
 * Until there is a new one, everything counts as changed. 0 or -errno; then no
 * tile may be changed.
 */
MUST_CHECK int changes_file_give_up(struct changes *changes) REQUIRES(changes->file);

/* The header as it is to be now. */
void changes_file_describe(struct changes *changes, struct journal_header *header)
    REQUIRES(changes->file);

/* Puts a whole table of so many tiles in the place of the journal's file, durably. 0 or -errno. */
MUST_CHECK int changes_file_replace(const struct archive *archive, const unsigned char *table,
                                    uint32_t ntiles);

/* Begins a new journal and opens it. 0 or -errno. */
MUST_CHECK int changes_file_start(struct changes *changes) REQUIRES(changes->file);

/*
 * A new journal in place of one that was deleted or replaced under us, was given up or has
 * run out of epochs. When that fails half-way the new one may be there and know
 * nothing of what we noted in the old one. 0 or -errno.
 */
MUST_CHECK int changes_file_start_again(struct changes *changes) REQUIRES(changes->file);

/*
 * 0 when the file that bears the journal's name is ours and holds what we wrote; -ENOENT when
 * it was deleted or replaced under us; else -errno.
 */
MUST_CHECK int changes_file_same(const struct changes *changes) REQUIRES(changes->file);

/* Says that it is not the same any more. */
void changes_file_tell_lost(const struct changes *changes) REQUIRES(changes->file);

#endif
