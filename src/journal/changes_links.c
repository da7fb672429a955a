/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Another name of a tile's file, as a snapshot gives it, moves the time of its last change, by
 * which the journal knows who else changed the tile (changes_mark.c). So all tiles are looked
 * at before and after. A tile that looked as the journal says, and differs in nothing else, gets
 * its new look; of any other the old one stays, so that it is listed. After a crash in between
 * tiles are listed that did not change.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/io.h"
#include "journal/changes_impl.h"
#include "journal/looks.h"

struct changes_links {
    uint32_t ntiles; /* that were looked at */
    uint32_t *looks, *bodies;
};

static void release(struct changes_links *links)
{
    free(links->looks);
    free(links->bodies);
}

/* Caller holds telling. */
static int look(struct changes *changes, struct changes_links *links)
{
    links->ntiles = changes->ntiles;
    links->looks = calloc(links->ntiles, sizeof(*links->looks));
    links->bodies = calloc(links->ntiles, sizeof(*links->bodies));
    if (!links->looks || !links->bodies)
        return -ENOMEM;
    return changes_mark_look(changes, links->looks, links->bodies);
}

struct changes_links *changes_links_begin(struct changes *changes)
{
    struct changes_links *links = calloc(1, sizeof(*links));

    int rc;

    if (!links)
        return NULL;
    mutex_lock(&changes->telling);
    rc = look(changes, links);
    mutex_unlock(&changes->telling);
    if (rc) {
        release(links);
        free(links);
        links = NULL;
    }
    return links;
}

static int renew_sector(struct changes *changes, uint32_t number,
                        const struct changes_links *before, const struct changes_links *after)
    REQUIRES(changes->file)
{
    uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;
    uint32_t looks[FORMAT_JOURNAL_CELLS];
    int rc = changes_mark_old(changes, number, looks);
    bool write = false;

    /* The image may have grown meanwhile. */
    for (uint32_t i = 0; !rc && i < changes_mark_count(changes, first); i++) {
        uint32_t tile = first + i;

        if (tile >= before->ntiles)
            break;
        if (before->bodies[tile] != after->bodies[tile] ||
            looks_differ(looks[i], before->looks[tile]) || looks[i] == after->looks[tile])
            continue;
        looks[i] = after->looks[tile];
        write = true;
    }
    return rc || !write
               ? rc
               : changes_file_write(changes, number + journal_cell_sectors(changes->ntiles), looks);
}

static void renew(struct changes *changes, const struct changes_links *before,
                  const struct changes_links *after)
{
    int rc = 0;

    mutex_lock(&changes->file);
    for (uint32_t number = 1; !rc && number <= journal_cell_sectors(changes->ntiles); number++)
        rc = renew_sector(changes, number, before, after);
    if (!rc)
        (void)!io_fdatasync(changes->fd);
    mutex_unlock(&changes->file);
}

void changes_links_end(struct changes *changes, struct changes_links *links)
{
    struct changes_links now = {0};

    if (!links)
        return;
    mutex_lock(&changes->telling);
    if (look(changes, &now) == 0)
        renew(changes, links, &now);
    mutex_unlock(&changes->telling);
    release(&now);
    release(links);
    free(links);
}
