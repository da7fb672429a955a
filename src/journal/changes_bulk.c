/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Collects tiles and notes up to NOTE_MAX of them at a time, so that many share a
 * sync. The order of writes is that of changes.c.
 */
#include "journal/changes_bulk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "journal/changes.h"

#define NOTE_MAX 1024 /* tiles noted at once */

struct changes_bulk {
    struct changes *changes;
    uint32_t tiles[NOTE_MAX];
    size_t n;
};

int changes_bulk_open(const struct archive *archive, struct changes_bulk **out)
{
    struct changes_bulk *notes = calloc(1, sizeof(*notes));
    int rc = notes ? changes_open(archive, &notes->changes) : -ENOMEM;

    if (rc == -ENOMEM)
        log_error("cannot note what changes in '%s': %s", archive->path, strerror(-rc));
    *out = notes;
    return rc;
}

static int note_rest(struct changes_bulk *notes)
{
    int rc = notes->n ? changes_note(notes->changes, notes->tiles, notes->n) : 0;

    if (io_is_full(rc))
        log_error("cannot note which tiles change: %s", strerror(-rc));
    notes->n = 0;
    return rc;
}

int changes_bulk_add(struct changes_bulk *notes, uint32_t tile)
{
    notes->tiles[notes->n++] = tile;
    return notes->n == NOTE_MAX ? note_rest(notes) : 0;
}

int changes_bulk_close(struct changes_bulk *notes, int rc)
{
    if (!notes)
        return rc;
    if (!rc)
        rc = note_rest(notes);
    changes_close(notes->changes);
    free(notes);
    return rc;
}
