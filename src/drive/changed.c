/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal is read before the tiles are looked at: in the other order, what changes meanwhile
 * would be missed. Then the store says which of the tiles are there; of so many of them at
 * once, since asking for each by its name costs more than one look at all of them, once a good
 * part has changed.
 */
#include "drive/changed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "drive/drive.h"
#include "journal/looks.h"
#include "store/dir.h"

/* --- which tiles ------------------------------------------------------------------------------ */

/* Why the journal cannot tell, or NULL. */
static const char *cannot_tell(const struct changes_list *list, const struct journal_word *since)
{
    if (list->unusable)
        return list->unusable;
    if (!since || changes_read_knows(list, since))
        return NULL;
    return list->marks_damaged ? "is damaged" : "does not know that epoch";
}

static int look(const struct archive *archive, struct changed *changed)
{
    uint32_t ntiles = archive->index.geometry.ntiles;
    int rc = -ENOMEM;

    /* Of what an image had that was larger, the journal tells. */
    if (!changed->everything && changed->list.header.ntiles > ntiles)
        ntiles = changed->list.header.ntiles;
    changed->ntiles = ntiles;
    changed->looks = calloc(ntiles, sizeof(*changed->looks));
    if (changed->looks)
        rc = changed->everything ? 0 : looks_take(archive, ntiles, NULL, changed->looks, NULL);
    if (rc)
        log_error("cannot look at the tiles of '%s': %s", archive->path, strerror(-rc));
    return rc;
}

int changed_open(struct archive *archive, const struct journal_word *since, struct changed *changed)
{
    const struct dir_config config = {.read_only = true, .max_open = DIR_OPEN_MIN};
    int rc;

    *changed = (struct changed){.since = since ? since->mark.epoch : 1};
    rc = changes_read(archive, true, &changed->list);
    if (rc)
        return rc;
    changed->everything = cannot_tell(&changed->list, since);
    rc = look(archive, changed);
    return rc ? rc : dir_open(archive, &config, &changed->store);
}

void changed_release(struct changed *changed)
{
    if (changed->store)
        store_close(changed->store);
    free(changed->looks);
    changes_read_release(&changed->list);
}

static bool has_changed(const struct changed *changed, uint32_t tile)
{
    return changed->everything || changes_read_cell(&changed->list, tile) >= changed->since ||
           looks_differ(changes_read_look(&changed->list, tile), changed->looks[tile]);
}

/* --- which of them are there ------------------------------------------------------------------ */

/* A bit for each tile. */
struct presence {
    struct store *store;
    uint64_t *bits;
};

static int take_present(void *arg, uint32_t tile, const struct store_place *place)
{
    const struct presence *presence = arg;
    struct store_stat stat;
    int rc = store_stat_at(presence->store, tile, place, &stat);

    if (!rc)
        presence->bits[tile / 64] |= UINT64_C(1) << tile % 64;
    return rc == -ENOENT ? 0 : rc;
}

/*
 * All tiles that are there, when many have changed; else bits stay NULL. Before anything is told:
 * what cannot be listed must not pass for deleted.
 */
static int find_present(const struct changed *changed, struct presence *presence)
{
    uint32_t ntiles = store_geometry(changed->store)->ntiles, n = 0;

    *presence = (struct presence){.store = changed->store};
    for (uint32_t tile = 0; tile < ntiles; tile++)
        n += has_changed(changed, tile);
    if (n <= ntiles / 8)
        return 0;
    presence->bits = calloc(ntiles / 64 + 1, sizeof(*presence->bits));
    if (!presence->bits) {
        log_error("cannot list what changed: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    return store_each(changed->store, 0, ntiles, take_present, presence);
}

/* 0: the tile is there; -ENOENT: it is not. Behind the end of the image there may still be files.
 */
static int find(const struct changed *changed, const struct presence *presence, uint32_t tile)
{
    struct store_stat stat;

    if (tile >= store_geometry(presence->store)->ntiles)
        return changed->looks[tile] == JOURNAL_ABSENT ? -ENOENT : 0;
    if (!presence->bits)
        return store_stat(presence->store, tile, &stat);
    return presence->bits[tile / 64] >> tile % 64 & 1 ? 0 : -ENOENT;
}

int changed_each(const struct changed *changed, void (*fn)(void *arg, uint32_t tile, bool absent),
                 void *arg)
{
    struct presence presence;
    int rc = find_present(changed, &presence);

    for (uint32_t tile = 0; !rc && tile < changed->ntiles; tile++) {
        int found;

        if (!has_changed(changed, tile))
            continue;
        found = find(changed, &presence, tile);
        if (found && found != -ENOENT)
            rc = found;
        else
            fn(arg, tile, found == -ENOENT);
    }
    free(presence.bits);
    return rc;
}

/* --- a new epoch ------------------------------------------------------------------------------ */

int changed_begin(const char *path, char epoch[STORE_EPOCH])
{
    struct drive_config config = {
        .path = path,
        .mountpoint = "",
        .reach = DRIVE_STORE,
        .max_open = DIR_OPEN_MIN,
    };
    struct drive drive;
    int rc = drive_open(&drive, &config);

    if (rc)
        return rc;
    rc = store_mark(drive.store);
    if (!rc)
        rc = store_tell(drive.store, epoch);
    (void)drive_close(&drive);
    return rc;
}
