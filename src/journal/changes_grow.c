/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of changed tiles gets a place for each tile of an image that is going to grow. Cells,
 * looks and marks follow one another, so a longer table is another file, with all that the old one
 * says: id, epoch, and so the words that are out. It replaces the old one in one step, and has to
 * be on disk before the index tells the new size. A crash leaves either table: the longer one
 * belongs to the smaller image, too.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "journal/changes_impl.h"

/* A table that is being made, for ntiles tiles. */
struct longer {
    uint32_t ntiles, id;
    unsigned char *sectors;
};

static int put(struct longer *longer, uint32_t number, const uint32_t numbers[FORMAT_JOURNAL_CELLS])
{
    return journal_put_sector(longer->id, number, numbers,
                              longer->sectors + (size_t)number * FORMAT_JOURNAL_SECTOR);
}

/* The cells of one sector, and its looks. Those that the old table has no place for are zeros. */
static int put_tiles(struct changes *changes, struct longer *longer, uint32_t number)
    REQUIRES(changes->file)
{
    bool old = number <= journal_cell_sectors(changes->ntiles);
    uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;
    uint32_t numbers[FORMAT_JOURNAL_CELLS] = {0};
    int rc;

    for (uint32_t i = 0; old && i < changes_mark_count(changes, first); i++)
        numbers[i] = atomic_load_explicit(&changes->cells[first + i], memory_order_relaxed);
    rc = put(longer, number, numbers);
    memset(numbers, 0, sizeof(numbers));
    if (!rc && old)
        rc = changes_mark_old(changes, number, numbers);
    return rc ? rc : put(longer, number + journal_cell_sectors(longer->ntiles), numbers);
}

static int put_marks(struct changes *changes, struct longer *longer) REQUIRES(changes->file)
{
    uint32_t number = journal_first_marks(longer->ntiles);
    uint32_t numbers[FORMAT_JOURNAL_CELLS];
    int rc = 0;

    for (unsigned i = 0; !rc && i < FORMAT_JOURNAL_MARKS; i += FORMAT_JOURNAL_CELLS / 2) {
        journal_put_marks(&changes->marks[i], numbers);
        rc = put(longer, number++, numbers);
    }
    return rc;
}

static int fill(struct changes *changes, struct longer *longer) REQUIRES(changes->file)
{
    struct journal_header header;
    int rc;

    changes_file_describe(changes, &header);
    header.ntiles = longer->ntiles;
    rc = journal_put_header(&header, longer->sectors);
    for (uint32_t number = 1; !rc && number <= journal_cell_sectors(longer->ntiles); number++)
        rc = put_tiles(changes, longer, number);
    return rc ? rc : put_marks(changes, longer);
}

/* The longer table has the journal's name. */
static int take_over(struct changes *changes, const struct longer *longer) REQUIRES(changes->file)
{
    int old = changes->fd;
    int rc = changes_file_open(changes);

    if (rc) {
        changes->fd = old;
        return rc;
    }
    close(old);
    changes->ntiles = longer->ntiles;
    memcpy(changes->header, longer->sectors, FORMAT_JOURNAL_SECTOR);
    return 0;
}

/*
 * Where it is not known which of the two has the name, neither may go on to be written: no list is
 * better than one that lacks something.
 */
static int replace(struct changes *changes, struct longer *longer) REQUIRES(changes->file)
{
    int rc = fill(changes, longer);
    bool replaced;

    if (rc)
        return rc;
    rc = changes_file_replace(changes->archive, longer->sectors, longer->ntiles);
    replaced = rc == 0;
    if (replaced)
        rc = take_over(changes, longer);
    if (rc && (replaced || changes->blind || changes_file_same(changes) != 0))
        (void)!changes_file_give_up(changes); /* tried again before a tile changes */
    return rc;
}

int changes_grow_locked(struct changes *changes, uint32_t ntiles)
{
    struct longer longer = {.ntiles = ntiles, .id = changes->id};
    int rc;

    assert(ntiles <= changes->archive->index.layout->tiles_max);
    if (ntiles <= changes->ntiles)
        return 0;
    if (atomic_load(&changes->state) != CHANGES_NOTING) { /* whoever begins one makes it as long */
        changes->ntiles = ntiles;
        return 0;
    }
    rc = changes_file_same(changes);
    if (rc == -ENOENT) {
        changes_file_tell_lost(changes);
        changes->ntiles = ntiles;
        return changes_file_start_again(changes);
    }
    if (rc)
        return rc;
    longer.sectors = calloc(journal_sectors(ntiles), FORMAT_JOURNAL_SECTOR);
    rc = longer.sectors ? replace(changes, &longer) : -ENOMEM;
    free(longer.sectors);
    return rc;
}

int changes_grow(struct changes *changes, uint32_t ntiles)
{
    int rc;

    mutex_lock(&changes->telling);
    mutex_lock(&changes->file);
    rc = changes_grow_locked(changes, ntiles);
    mutex_unlock(&changes->file);
    mutex_unlock(&changes->telling);
    return rc ? changes_file_complain(changes->archive, "extend", rc) : 0;
}
