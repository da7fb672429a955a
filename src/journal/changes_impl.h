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

struct changes {
    /* fixed after open */
    const struct archive *archive;
    uint32_t ntiles;
    /* written by whoever has writing, read by any thread */
    atomic_bool off; /* there is no journal, and could be none: everything counts as changed */
    _Atomic uint32_t epoch;
    _Atomic uint32_t *cells; /* of tiles whose cell is on disk */
    /* of whoever has writing */
    int fd;
    uint32_t id;
    bool doubtful; /* there may be a journal that lacks something: see changes_file_give_up() */
    bool blind;    /* the file system gives a file one number by name and another when open */
    unsigned char header[FORMAT_JOURNAL_SECTOR]; /* as the file has it */
    struct journal_mark marks[FORMAT_JOURNAL_MARKS];
    unsigned next_mark; /* where the next one goes: the oldest */
    /* of changes_watch(), which has one caller at a time */
    time_t watched; /* when it last looked */
    /* held while all tiles are looked at */
    struct mutex telling;
    /* guarded by mutex */
    struct mutex mutex;
    pthread_cond_t ended;
    bool GUARDED writing; /* somebody writes the file */
    uint32_t GUARDED pending[CHANGES_BATCH];
    size_t GUARDED npending;
    uint64_t GUARDED taken; /* batches that have been taken out of pending */
    uint64_t GUARDED done;  /* batches that have been written, or failed */
    int GUARDED error;      /* of the last one that failed */
};

/* The file, in changes_file.c. Callers have writing, or are the only ones yet. */

/* Logs that the journal cannot be verb'd. Returns rc. */
int changes_file_complain(const struct archive *archive, const char *verb, int rc);

/* Opens it. 0 or -errno. */
MUST_CHECK int changes_file_open(struct changes *changes);

/*
 * Writes the sector of cells as it stands in memory, with the n tiles of batch, all of
 * them in it, set to epoch. 0 or -errno.
 */
MUST_CHECK int changes_file_cells(struct changes *changes, uint32_t number, const uint32_t *batch,
                                  size_t n, uint32_t epoch);

/* One sector of any numbers. 0 or -errno. */
MUST_CHECK int changes_file_write(struct changes *changes, uint32_t number,
                                  const uint32_t cells[FORMAT_JOURNAL_CELLS]);

/* The same read: also -EBADMSG. */
MUST_CHECK int changes_file_read(struct changes *changes, uint32_t number,
                                 uint32_t cells[FORMAT_JOURNAL_CELLS]);

/* The header, with the running epoch. 0 or -errno. */
MUST_CHECK int changes_file_header(struct changes *changes);

/* The sector that holds mark i. 0 or -errno. */
MUST_CHECK int changes_file_marks(struct changes *changes, unsigned i);

/*
 * No list is better than one that lacks something: removes the journal, durably.
 * Until there is a new one, everything counts as changed. 0 or -errno; then no
 * tile may be changed.
 */
MUST_CHECK int changes_file_give_up(struct changes *changes);

/* Begins a new journal and opens it. 0 or -errno. */
MUST_CHECK int changes_file_start(struct changes *changes);

/*
 * A new journal in place of one that was deleted or replaced under us, was given up or has
 * run out of epochs. When that fails half-way the new one may be there and know
 * nothing of what we noted in the old one. 0 or -errno.
 */
MUST_CHECK int changes_file_start_again(struct changes *changes);

/*
 * 0 when the file that bears the journal's name is ours and holds what we wrote; -ENOENT when
 * it was deleted or replaced under us; else -errno.
 */
MUST_CHECK int changes_file_same(const struct changes *changes);

/* Says that it is not the same any more. */
void changes_file_tell_lost(const struct changes *changes);

#endif
