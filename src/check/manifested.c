/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tile that was written to after the manifest is none of its business. The journal notes that
 * before anything changes, but may do so just now: what does not fit is held against the journal
 * again, as it is when all has been looked at.
 */
#include "check/manifested.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/manifest_file.h"
#include "base/log.h"
#include "check/belongs.h"
#include "format/format.h"
#include "journal/descent.h"

struct looking {
    struct scan *scan;
    struct manifest_file file;
    struct descent descent;
    struct changes_list list;
    struct scan_finding *found; /* without paths; those of tiles that have just changed go */
    size_t n;
};

static bool is_changed(const struct looking *looking, uint32_t tile)
{
    return descent_reaches(&looking->descent, &looking->list) &&
           descent_changed(&looking->descent, &looking->list, tile);
}

static int read_journal(struct looking *looking)
{
    changes_read_release(&looking->list);
    return changes_read(looking->scan->archive, false, &looking->list);
}

static int add(struct looking *looking, uint32_t tile, enum scan_kind kind, uint64_t size,
               uint64_t want)
{
    struct scan_finding *found =
        realloc(looking->found, (looking->n + 1) * sizeof(*looking->found));

    if (!found)
        return -ENOMEM;
    looking->found = found;
    found[looking->n++] =
        (struct scan_finding){.kind = kind, .tile = tile, .size = size, .want = want};
    return 0;
}

/* What a scan finds of a file in the tile's place is told already. */
static int look_at_tile(struct looking *looking, const struct digests_entry *entry)
{
    struct scan *scan = looking->scan;
    char path[LAYOUT_PATH];
    struct stat st;

    if (is_changed(looking, entry->tile))
        return 0;
    scan->layout->tile_path(entry->tile, path);
    if (fstatat(scan->archive->dirfd, path, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? add(looking, entry->tile, SCAN_TILE_MISSING, 0, entry->length) : 0;
    if (S_ISREG(st.st_mode) && (uint64_t)st.st_size != entry->length)
        return add(looking, entry->tile, SCAN_TILE_RESIZED, (uint64_t)st.st_size, entry->length);
    return 0;
}

/* Those that the manifest has, and those that it has not. */
static int look_at_tiles(struct looking *looking)
{
    const struct scan *scan = looking->scan;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < looking->file.head.tiles; i++)
        rc = look_at_tile(looking, &looking->file.tiles[i].entry);
    for (uint32_t tile = 0; !rc && tile < scan->archive->index.geometry.ntiles; tile++)
        if (scan->present[tile / 8] >> tile % 8 & 1 && !is_changed(looking, tile) &&
            !manifest_file_find(&looking->file, tile))
            rc = add(looking, tile, SCAN_TILE_ADDED, 0, 0);
    return rc;
}

/* A copy of which the tiles seem right may still have an older one. */
static int look_deeper(struct looking *looking)
{
    struct belongs belongs;
    struct scan_finding f = {.kind = SCAN_TILE_OTHER};
    int rc = belongs_look(looking->scan->archive, &belongs);

    if (rc || !belongs.why || !belongs.tile[0])
        return rc;
    return scan_add(looking->scan, &f, ".", belongs.tile);
}

static int add_all(struct looking *looking)
{
    int rc = looking->n ? read_journal(looking) : 0;

    for (size_t i = 0; !rc && i < looking->n; i++) {
        struct scan_finding *f = &looking->found[i];
        char path[LAYOUT_PATH];

        if (is_changed(looking, f->tile))
            continue;
        looking->scan->layout->tile_path(f->tile, path);
        rc = scan_add(looking->scan, f, ".", path);
    }
    return !rc && !looking->n ? look_deeper(looking) : rc;
}

static int add_damaged(struct looking *looking, const char *why)
{
    struct scan_finding f = {.kind = SCAN_MANIFEST_DAMAGED, .why = why};

    return scan_add(looking->scan, &f, ".", FORMAT_MANIFEST_NAME);
}

static int look(struct looking *looking)
{
    const struct archive *archive = looking->scan->archive;
    const char *why;
    int rc = manifest_file_open(archive->dirfd, &looking->file, &why);

    if (rc == -ENOENT)
        return 0;
    if (!rc && !manifest_is_of(&looking->file.manifest, &archive->index))
        return add_damaged(looking, "is that of another archive");
    if (!rc)
        rc = manifest_file_load(&looking->file, &why);
    if (rc && rc != -ENOMEM)
        return add_damaged(looking, why);
    if (!rc)
        rc = descent_read(archive->dirfd, looking->file.manifest.root, &looking->descent);
    if (!rc)
        rc = read_journal(looking);
    if (!rc)
        rc = look_at_tiles(looking);
    return rc ? rc : add_all(looking);
}

int manifested_look(struct scan *scan)
{
    struct looking looking = {.scan = scan};
    int rc = scan->indexed ? look(&looking) : 0;

    if (scan->indexed)
        manifest_file_release(&looking.file);
    changes_read_release(&looking.list);
    free(looking.found);
    if (rc)
        log_error("cannot compare archive '%s' with its manifest: %s", scan->archive->path,
                  strerror(-rc));
    return rc;
}
