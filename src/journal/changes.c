/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * .mosaicfs/journal is a table: per tile the last epoch in which it changed (and what its
 * file looked like when an epoch began, and the words of epochs: changes_mark.c). It
 * is written in place, a sector of 512 bytes at a time, which a disk writes
 * whole or not at all; so it never grows and needs no recovery.
 *
 * A tile is noted when its cell, on disk, holds the running epoch. Order of
 * writes: the cell, a sync, the first byte of the tile. After that the tile can
 * be written as often as the epoch lasts without looking here again. To begin
 * an epoch is to write the header with the next number, while nobody writes
 * tiles and after all that was written is on disk: else a reader of that moment
 * could have seen bytes that a power cut takes back in a tile that is not noted.
 *
 * What a crash leaves, at each step:
 *
 *   cell written, not synced    noted or not, and the tile has not changed
 *   cell synced                 noted, and the tile may have changed or not
 *   header written, not synced  the old epoch or the new one, whose word nobody
 *                               has been told; tiles that changed in either
 *                               are listed for every epoch that somebody knows
 *
 * So a list may hold tiles that did not change, and never lacks one that did.
 * When in doubt, more is said to have changed: of a sector whose check fails,
 * all tiles; without a usable header, everything, and the next writer begins a
 * new journal under a new id, so that no word of an old one is ever taken for
 * one of its own.
 *
 * Callers of note share syncs: one of them writes for all who came meanwhile.
 * A sync that failed need not be final here: the callers were told, no cell of
 * theirs counts as noted, and a later note writes the sector anew. The next
 * writer cannot tell such a cell from others, and begins an epoch in memory.
 *
 * States, and what moves from one to another:
 *
 *   NOTING    the journal is on disk, and ours. A note writes cells; a mark writes the header.
 *             -> DOUBTFUL when a new journal had to be begun and that failed half-way.
 *   DOUBTFUL  there may be a journal that lacks something. Before a tile changes, a note
 *             removes it -> NONE, or fails. A mark begins a new one -> NOTING.
 *   NONE      there is no journal, durably, so everything counts as changed: nothing to note.
 *             A mark begins a new one -> NOTING.
 *
 * The table has a place for each tile of the image, and perhaps for more: it grows before the image
 * does (changes_grow.c), and stays as it is when the image shrinks, for a mirror still has to hear
 * of tiles that were removed. So tiles without a place have never changed.
 *
 * changes_start.c finds the first of them: a journal that can be used is taken over, else a
 * new one is begun, and where the disk has no space for that there is none.
 */
#include "journal/changes.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/reserve.h"
#include "journal/changes_impl.h"

/* How many tiles at the start of batch, which is ascending, lie in one sector. */
static size_t in_one_sector(const uint32_t *batch, size_t n)
{
    size_t k = 1;

    while (k < n && journal_sector_of(batch[k]) == journal_sector_of(batch[0]))
        k++;
    return k;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static int write_batch(struct changes *changes, uint32_t *batch, size_t n) REQUIRES(changes->file)
{
    uint32_t epoch = atomic_load(&changes->epoch);
    int rc = 0;

    qsort(batch, n, sizeof(*batch), ascending);
    for (size_t i = 0, k; !rc && i < n; i += k) {
        k = in_one_sector(batch + i, n - i);
        rc = changes_file_cells(changes, journal_sector_of(batch[i]), batch + i, k, epoch);
    }
    if (!rc)
        rc = io_fdatasync(changes->fd);
    if (rc) /* want of space is told by who answers the request */
        return io_is_full(rc) ? rc : changes_file_complain(changes->archive, "write", rc);
    for (size_t i = 0; i < n; i++)
        atomic_store(&changes->cells[batch[i]], epoch);
    return 0;
}

static int note_batch(struct changes *changes, uint32_t *batch, size_t n)
{
    int rc = 0;

    mutex_lock(&changes->file);
    switch (atomic_load(&changes->state)) {
    case CHANGES_NOTING:
        rc = write_batch(changes, batch, n);
        break;
    case CHANGES_DOUBTFUL:
        rc = changes_file_give_up(changes);
        if (rc)
            changes_file_complain(changes->archive, "remove", rc);
        break;
    case CHANGES_NONE:
        break;
    }
    mutex_unlock(&changes->file);
    return rc;
}

/* Takes what is pending and writes it. The queue is given up meanwhile. */
static void lead_locked(struct changes *changes) REQUIRES(changes->queue)
{
    uint32_t batch[CHANGES_BATCH];
    size_t n = changes->npending;
    int rc;

    memcpy(batch, changes->pending, n * sizeof(*batch));
    changes->npending = 0;
    changes->taken++;
    changes->led = true;
    mutex_unlock(&changes->queue);
    rc = note_batch(changes, batch, n);
    mutex_lock(&changes->queue);
    changes->led = false;
    changes->done++;
    changes->error = rc ? rc : changes->error;
    lock_must(pthread_cond_broadcast(&changes->ended));
}

/* Leads when nobody does, else waits until a batch has been written. */
static void proceed_locked(struct changes *changes) REQUIRES(changes->queue)
{
    if (changes->led)
        mutex_wait(&changes->queue, &changes->ended);
    else
        lead_locked(changes);
}

bool changes_noted(const struct changes *changes, uint32_t tile)
{
    return atomic_load(&changes->state) == CHANGES_NONE ||
           atomic_load(&changes->cells[tile]) == atomic_load(&changes->epoch);
}

/* At most CHANGES_BATCH tiles. */
static int note_some(struct changes *changes, const uint32_t *tiles, size_t n)
{
    uint64_t ours;
    int rc = 0;

    mutex_lock(&changes->queue);
    while (changes->npending + n > CHANGES_BATCH)
        proceed_locked(changes);
    memcpy(changes->pending + changes->npending, tiles, n * sizeof(*tiles));
    changes->npending += n;
    ours = changes->taken + 1;
    while (changes->done < ours)
        proceed_locked(changes);
    for (size_t i = 0; i < n; i++)
        rc = changes_noted(changes, tiles[i]) ? rc : changes->error;
    mutex_unlock(&changes->queue);
    return rc;
}

int changes_note(struct changes *changes, const uint32_t *tiles, size_t n)
{
    uint32_t some[CHANGES_BATCH];
    size_t k = 0;
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        if (!changes_noted(changes, tiles[i]))
            some[k++] = tiles[i];
        if (k == CHANGES_BATCH || (k && i + 1 == n)) {
            rc = note_some(changes, some, k);
            k = 0;
        }
    }
    return rc;
}

int changes_open_none(const struct archive *archive, struct changes **out) NO_THREAD_SAFETY
{
    struct changes *changes = calloc(1, sizeof(*changes));
    struct timespec now;

    if (!changes)
        return changes_file_complain(archive, "open", -ENOMEM);
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    changes->archive = archive;
    changes->watched = now.tv_sec;
    changes->ntiles = archive->index.geometry.ntiles;
    changes->fd = -1;
    atomic_store(&changes->state, CHANGES_NONE);
    mutex_init(&changes->file);
    mutex_init(&changes->queue);
    mutex_init(&changes->telling);
    lock_must(pthread_cond_init(&changes->ended, NULL));
    changes->cells = reserve_new(archive->index.layout->tiles_max, sizeof(*changes->cells));
    if (!changes->cells) {
        changes_close(changes);
        return changes_file_complain(archive, "open", -ENOMEM);
    }
    *out = changes;
    return 0;
}

int changes_open(const struct archive *archive, struct changes **out)
{
    struct changes *changes;
    int rc = changes_open_none(archive, &changes);

    if (rc)
        return rc;
    rc = changes_start(changes);
    if (rc)
        changes_close(changes);
    else
        *out = changes;
    return rc;
}

void changes_close(struct changes *changes) NO_THREAD_SAFETY
{
    if (!changes)
        return;
    changes_mark_watch(changes, true);
    if (changes->fd >= 0)
        close(changes->fd);
    reserve_free((void *)changes->cells, changes->archive->index.layout->tiles_max,
                 sizeof(*changes->cells));
    lock_must(pthread_cond_destroy(&changes->ended));
    mutex_release(&changes->queue);
    mutex_release(&changes->file);
    mutex_release(&changes->telling);
    free(changes);
}
