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
 */
#include "journal/changes.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
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

static int write_batch(struct changes *changes, uint32_t *batch, size_t n)
{
    uint32_t epoch = atomic_load(&changes->epoch);
    int rc = 0;

    if (atomic_load(&changes->off))
        return 0;
    if (changes->doubtful) {
        rc = changes_file_give_up(changes);
        return rc ? changes_file_complain(changes->archive, "remove", rc) : 0;
    }
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

/* Takes what is pending and writes it. The mutex is given up meanwhile. */
static void lead_locked(struct changes *changes) REQUIRES(changes->mutex)
{
    uint32_t batch[CHANGES_BATCH];
    size_t n = changes->npending;
    int rc;

    memcpy(batch, changes->pending, n * sizeof(*batch));
    changes->npending = 0;
    changes->taken++;
    changes->writing = true;
    mutex_unlock(&changes->mutex);
    rc = write_batch(changes, batch, n);
    mutex_lock(&changes->mutex);
    changes->writing = false;
    changes->done++;
    changes->error = rc ? rc : changes->error;
    lock_must(pthread_cond_broadcast(&changes->ended));
}

/* Leads when nobody writes, else waits for an end of it. */
static void proceed_locked(struct changes *changes) REQUIRES(changes->mutex)
{
    if (changes->writing)
        mutex_wait(&changes->mutex, &changes->ended);
    else
        lead_locked(changes);
}

bool changes_noted(const struct changes *changes, uint32_t tile)
{
    return atomic_load(&changes->off) ||
           atomic_load(&changes->cells[tile]) == atomic_load(&changes->epoch);
}

/* At most CHANGES_BATCH tiles. */
static int note_some(struct changes *changes, const uint32_t *tiles, size_t n)
{
    uint64_t ours;
    int rc = 0;

    mutex_lock(&changes->mutex);
    while (changes->npending + n > CHANGES_BATCH)
        proceed_locked(changes);
    memcpy(changes->pending + changes->npending, tiles, n * sizeof(*tiles));
    changes->npending += n;
    ours = changes->taken + 1;
    while (changes->done < ours)
        proceed_locked(changes);
    for (size_t i = 0; i < n; i++)
        rc = changes_noted(changes, tiles[i]) ? rc : changes->error;
    mutex_unlock(&changes->mutex);
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

/* What is read from the table is all on disk, or may be taken for it: see resume(). */
static uint32_t take_cells(struct changes *changes, const struct changes_list *list)
{
    uint32_t epoch = list->header.epoch;

    for (uint32_t tile = 0; tile < changes->ntiles; tile++)
        if (list->cells[tile] > epoch && list->cells[tile] < UINT32_MAX)
            epoch = list->cells[tile]; /* a header that did not reach the disk, see above */
    for (uint32_t tile = 0; tile < changes->ntiles; tile++) {
        uint32_t cell = list->cells[tile] == UINT32_MAX ? epoch : list->cells[tile];

        if (cell)
            atomic_store_explicit(&changes->cells[tile], cell, memory_order_relaxed);
    }
    return epoch;
}

/* Where the next one goes: behind the newest. */
static void take_marks(struct changes *changes, const struct changes_list *list)
{
    uint32_t newest = 0;

    memcpy(changes->marks, list->marks, sizeof(changes->marks));
    for (unsigned i = 0; i < FORMAT_JOURNAL_MARKS; i++)
        if (changes->marks[i].epoch > newest) {
            newest = changes->marks[i].epoch;
            changes->next_mark = (i + 1) % FORMAT_JOURNAL_MARKS;
        }
}

/*
 * The sectors that were damaged say from now on that all of their tiles changed, or that
 * there were no marks.
 */
static int mend(struct changes *changes, const struct changes_list *list)
{
    uint32_t end = list->damaged ? journal_cell_sectors(changes->ntiles) : 0;
    int rc = 0;

    for (uint32_t number = 1; !rc && number <= end; number++)
        if (list->cells[(number - 1) * FORMAT_JOURNAL_CELLS] == UINT32_MAX)
            rc = changes_file_cells(changes, number, NULL, 0, 0);
    for (unsigned i = 0; !rc && list->marks_damaged && i < FORMAT_JOURNAL_MARKS;
         i += FORMAT_JOURNAL_CELLS / 2)
        rc = changes_file_marks(changes, i);
    return rc || !list->damaged ? rc : io_fdatasync(changes->fd);
}

/*
 * Takes over the journal that is there, in an epoch of its own that nobody is
 * told: a cell that is read may be in the page cache alone, after a sync that
 * failed, so no tile counts as noted yet.
 */
static int resume(struct changes *changes, const struct changes_list *list)
{
    uint32_t epoch = take_cells(changes, list);
    int rc;

    if (epoch >= CHANGES_EPOCH_MAX)
        return changes_file_start_again(changes);
    rc = changes_file_open(changes);
    if (!rc)
        rc = journal_put_header(&list->header, changes->header);
    changes->id = list->header.id;
    atomic_store(&changes->epoch, epoch + 1);
    take_marks(changes, list);
    return rc ? rc : mend(changes, list);
}

/*
 * A full disk must not keep an archive from being mounted, for a mount can give
 * space back. As long as there is no journal, everything counts as changed.
 */
static int go_without(struct changes *changes, int why)
{
    const struct archive *archive = changes->archive;
    int rc = changes_file_give_up(changes);

    if (rc)
        return rc;
    log_warn("cannot begin the journal of changed tiles '%s/%s': %s", archive->path,
             FORMAT_JOURNAL_NAME, strerror(-why));
    log_note("until it is mounted with more space, every tile of the archive counts as changed");
    return 0;
}

static int start_or_resume(struct changes *changes, const struct changes_list *list)
{
    const struct archive *archive = changes->archive;
    const char *why = list->unusable ? list->unusable : list->linked ? "is a hard link" : NULL;

    if (why) {
        log_debug("'%s/%s' %s: a new one is begun", archive->path, FORMAT_JOURNAL_NAME, why);
        return changes_file_start(changes);
    }
    if (list->damaged)
        log_warn("the journal of changed tiles '%s/%s' is damaged: up to %" PRIu32
                 " tiles more count as changed",
                 archive->path, FORMAT_JOURNAL_NAME, list->damaged * FORMAT_JOURNAL_CELLS);
    return resume(changes, list);
}

static int start_table(struct changes *changes)
{
    struct changes_list list;
    int rc = changes_read(changes->archive, false, &list);

    if (!rc) {
        rc = start_or_resume(changes, &list);
        if (io_is_full(rc))
            rc = go_without(changes, rc);
        rc = rc ? changes_file_complain(changes->archive, "open", rc) : 0;
    }
    changes_read_release(&list);
    if (rc)
        log_note("if this persists, remove that journal: every tile then counts as changed");
    return rc;
}

int changes_open(const struct archive *archive, struct changes **out) NO_THREAD_SAFETY
{
    struct changes *changes = calloc(1, sizeof(*changes));
    int rc = changes ? 0 : -ENOMEM;
    struct timespec now;

    if (rc)
        return changes_file_complain(archive, "open", rc);
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    changes->archive = archive;
    changes->watched = now.tv_sec;
    changes->ntiles = archive->index.geometry.ntiles;
    changes->fd = -1;
    mutex_init(&changes->mutex);
    mutex_init(&changes->telling);
    lock_must(pthread_cond_init(&changes->ended, NULL));
    changes->cells = calloc(changes->ntiles, sizeof(*changes->cells));
    rc = changes->cells ? start_table(changes) : changes_file_complain(archive, "open", -ENOMEM);
    if (rc)
        changes_close(changes);
    else
        *out = changes;
    return rc;
}

void changes_close(struct changes *changes)
{
    if (!changes)
        return;
    changes_mark_watch(changes, true);
    if (changes->fd >= 0)
        close(changes->fd);
    free((void *)changes->cells);
    lock_must(pthread_cond_destroy(&changes->ended));
    mutex_release(&changes->mutex);
    mutex_release(&changes->telling);
    free(changes);
}
