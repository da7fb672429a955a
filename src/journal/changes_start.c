/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How the journal of changed tiles starts: takes over what is there, mends its damaged sectors,
 * or begins a new one. The states are those of changes.c.
 */
#include <inttypes.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "journal/changes_impl.h"

/* What is read from the table is all on disk, or may be taken for it: see resume(). */
static uint32_t take_cells(struct changes *changes, const struct changes_list *list)
{
    uint32_t epoch = list->header.epoch;

    for (uint32_t tile = 0; tile < changes->ntiles; tile++)
        if (list->cells[tile] > epoch && list->cells[tile] < UINT32_MAX)
            epoch = list->cells[tile]; /* a header that did not reach the disk: see changes.c */
    for (uint32_t tile = 0; tile < changes->ntiles; tile++) {
        uint32_t cell = list->cells[tile] == UINT32_MAX ? epoch : list->cells[tile];

        if (cell)
            atomic_store_explicit(&changes->cells[tile], cell, memory_order_relaxed);
    }
    return epoch;
}

/* Where the next one goes: behind the newest. */
static void take_marks(struct changes *changes, const struct changes_list *list)
    REQUIRES(changes->file)
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
static int mend(struct changes *changes, const struct changes_list *list) REQUIRES(changes->file)
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
static int resume(struct changes *changes, const struct changes_list *list) REQUIRES(changes->file)
{
    uint32_t ntiles = changes->ntiles, epoch; /* as many as the image has */
    int rc;

    changes->ntiles = list->header.ntiles;
    epoch = take_cells(changes, list);
    if (epoch >= CHANGES_EPOCH_MAX) {
        changes->ntiles = ntiles;
        return changes_file_start_again(changes);
    }
    rc = changes_file_open(changes);
    if (!rc)
        rc = journal_put_header(&list->header, changes->header);
    changes->id = list->header.id;
    atomic_store(&changes->epoch, epoch + 1);
    take_marks(changes, list);
    if (!rc)
        rc = mend(changes, list);
    return rc ? rc : changes_grow_locked(changes, ntiles);
}

/*
 * A full disk must not keep an archive from being mounted, for a mount can give
 * space back. As long as there is no journal, everything counts as changed.
 */
static int go_without(struct changes *changes, int why) REQUIRES(changes->file)
{
    const struct archive *archive = changes->archive;
    int rc = changes_file_give_up(changes);

    if (rc)
        return rc;
    /* That of a smaller image could not be made longer: one that is begun later is for all tiles.
     */
    if (changes->ntiles < archive->index.geometry.ntiles)
        changes->ntiles = archive->index.geometry.ntiles;
    log_warn("cannot begin the journal of changed tiles '%s/%s': %s", archive->path,
             FORMAT_JOURNAL_NAME, strerror(-why));
    log_note("until it is mounted with more space, every tile of the archive counts as changed");
    return 0;
}

static int start_or_resume(struct changes *changes, const struct changes_list *list)
    REQUIRES(changes->file)
{
    const struct archive *archive = changes->archive;
    const char *why = list->unusable ? list->unusable : list->linked ? "is a hard link" : NULL;

    if (why) {
        log_debug("'%s/%s' %s: beginning a new one", archive->path, FORMAT_JOURNAL_NAME, why);
        return changes_file_start(changes);
    }
    if (list->damaged)
        log_warn("the journal of changed tiles '%s/%s' is damaged: up to %" PRIu32
                 " additional tiles count as changed",
                 archive->path, FORMAT_JOURNAL_NAME, list->damaged * FORMAT_JOURNAL_CELLS);
    return resume(changes, list);
}

int changes_start(struct changes *changes)
{
    struct changes_list list;
    int rc = changes_read(changes->archive, false, &list);

    mutex_lock(&changes->telling);
    mutex_lock(&changes->file);
    if (!rc) {
        rc = start_or_resume(changes, &list);
        if (io_is_full(rc))
            rc = go_without(changes, rc);
        rc = rc ? changes_file_complain(changes->archive, "open", rc) : 0;
    }
    mutex_unlock(&changes->file);
    mutex_unlock(&changes->telling);
    changes_read_release(&list);
    if (rc)
        log_note("if this persists, remove that journal: every tile then counts as changed");
    return rc;
}
