/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A rollback is done to an archive that nobody uses: the mark, which keeps others away; the
 * journal; then each tile that differs becomes that of the snapshot; their entries are synced,
 * and the mark goes. Done again after a crash, it finds less that differs.
 *
 * The size comes back, too. To a larger one the archive grows first, with the mark set, so that
 * journal and index have a place for each tile of the snapshot. To a smaller one it shrinks when
 * all tiles behind the end are gone: as long as the index tells the size that it had, a rollback
 * that goes on after a crash finds them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "base/io.h"
#include "base/log.h"
#include "drive/drive.h"
#include "drive/snapshot_impl.h"

#define AT_ONCE 256 /* tiles noted with one call */

/* A rollback. */
struct rolling {
    struct drive drive;
    struct archive snapshot;
    struct folders from, to;
    uint32_t *tiles; /* that differ */
    size_t n;
    struct snapshot_rolled *rolled;
};

static void add_tile(void *arg, uint32_t tile, bool absent)
{
    struct rolling *rolling = arg;

    rolling->tiles[rolling->n++] = tile;
    rolling->rolled->replaced += !absent;
    rolling->rolled->removed += absent;
}

static int check_kind(const struct rolling *rolling)
{
    const struct archive *archive = &rolling->drive.archive;

    if (archive->index.geometry.tile_size == rolling->snapshot.index.geometry.tile_size &&
        archive->index.layout == rolling->snapshot.index.layout)
        return 0;
    log_error("cannot roll back '%s': the snapshot has tiles of another size, or another layout",
              archive->path);
    return -EINVAL;
}

/* The archive is at least as large as the snapshot. */
static int find_tiles(struct rolling *rolling)
{
    const struct archive *archive = &rolling->drive.archive;
    const struct geometry *ours = &archive->index.geometry;

    rolling->tiles = calloc(ours->ntiles, sizeof(*rolling->tiles));
    if (!rolling->tiles)
        return snapshot_complain("roll back to", rolling->snapshot.path, -ENOMEM);
    return snapshot_diff_archives(archive, &rolling->snapshot, add_tile, rolling);
}

static int set_mark(const struct archive *archive, const char *name)
{
    char text[FORMAT_SNAPSHOT_NAME + 2];
    int len = snprintf(text, sizeof(text), "%s\n", name);
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (rc)
        return rc;
    rc = io_replace(fd, strrchr(FORMAT_ROLLBACK_NAME, '/') + 1, text, (size_t)len, IO_OVER);
    close(fd);
    return rc;
}

static int clear_mark(const struct archive *archive)
{
    int fd;
    int rc = archive_private(archive, false, &fd);

    if (rc)
        return rc;
    if (unlinkat(fd, strrchr(FORMAT_ROLLBACK_NAME, '/') + 1, 0) && errno != ENOENT)
        rc = -errno;
    if (!rc)
        rc = io_fsync(fd);
    close(fd);
    return rc;
}

/* Logged; of a full disk a journal says nothing, for a mount waits for space. */
static int note_tiles(const struct rolling *rolling, const char *name)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < rolling->n; i += AT_ONCE) {
        size_t n = rolling->n - i < AT_ONCE ? rolling->n - i : AT_ONCE;

        rc = store_note(rolling->drive.store, rolling->tiles + i, n);
    }
    return io_is_full(rc) ? snapshot_complain("roll back to", name, rc) : rc;
}

static int restore_tiles(struct rolling *rolling)
{
    const struct index *index = &rolling->drive.archive.index;
    uint32_t ntiles = index->geometry.ntiles;
    struct snapshots_way way;
    int rc = folders_init(&rolling->from, rolling->snapshot.dirfd, index->layout, ntiles);

    if (!rc)
        rc = folders_init(&rolling->to, rolling->drive.archive.dirfd, index->layout, ntiles);
    snapshots_way_init(&way, &rolling->from, &rolling->to, "roll back");
    for (size_t i = 0; !rc && i < rolling->n; i++)
        rc = snapshots_carry(&way, rolling->tiles[i]);
    snapshots_way_release(&way);
    if (!rc)
        rc = folders_sync(&rolling->to);
    folders_release(&rolling->from);
    folders_release(&rolling->to);
    return rc;
}

static bool grows(const struct rolling *rolling)
{
    return rolling->snapshot.index.geometry.size > rolling->drive.archive.index.geometry.size;
}

/* What was behind the smaller end does not matter, for it is replaced. */
static int grow(struct rolling *rolling)
{
    struct store *store = rolling->drive.store;
    int rc = store_resize_begin(store, &rolling->snapshot.index.geometry, true);

    if (!rc)
        store_resize(store);
    return rc;
}

static int shrink(const struct rolling *rolling)
{
    const struct geometry *theirs = &rolling->snapshot.index.geometry;
    const struct archive *archive = &rolling->drive.archive;

    return theirs->size < archive->index.geometry.size ? archive_index_resize(archive, theirs) : 0;
}

static bool is_marked(const struct archive *archive)
{
    return faccessat(archive->dirfd, FORMAT_ROLLBACK_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
           errno != ENOENT;
}

/* It may have failed when the mark was there already. */
static void note_refused(const struct archive *archive)
{
    if (is_marked(archive))
        log_note("the archive is refused until 'mosaicfs snapshot rollback' has been run again");
}

/* The journal and the mark before the first tile, the mark goes after the last. */
static int roll(struct rolling *rolling, const char *name)
{
    const struct archive *archive = &rolling->drive.archive;
    bool larger = grows(rolling), marked = is_marked(archive);
    int rc = check_kind(rolling); /* logged, as where there is no snapshot_complain() */

    if (!rc && !larger)
        rc = find_tiles(rolling);
    if (rc)
        return rc;
    rc = set_mark(archive, name);
    if (rc)
        (void)snapshot_complain("roll back to", name, rc);
    if (!rc && larger) {
        rc = grow(rolling);
        if (rc && rc != -EIO && !marked) /* it is as it was */
            return clear_mark(archive) ? -EIO : rc;
        if (!rc)
            rc = find_tiles(rolling);
    }
    if (!rc)
        rc = note_tiles(rolling, name);
    if (!rc)
        rc = restore_tiles(rolling);
    if (!rc && marked) /* what was restored before it was interrupted may not be on disk */
        rc = archive_sync_all(archive);
    if (!rc)
        rc = shrink(rolling);
    if (!rc) {
        rc = clear_mark(archive);
        rc = rc ? snapshot_complain("roll back to", name, rc) : 0;
    }
    if (rc)
        note_refused(archive);
    return rc;
}

static int roll_locked(const struct archive *archive, const char *name,
                       struct snapshot_rolled *rolled)
{
    struct rolling rolling = {.rolled = rolled};
    struct drive_config config = {
        .path = archive->path,
        .mountpoint = "",
        .reach = DRIVE_STORE,
        .max_open = DIR_OPEN_MIN,
        .between = true,
    };
    int closed;
    int rc = snapshot_open(archive, name, &rolling.snapshot);

    if (!rc) {
        rc = drive_open(&rolling.drive, &config);
        if (!rc) {
            rc = roll(&rolling, name);
            closed = drive_close(&rolling.drive);
            rc = rc ? rc : closed;
        }
    }
    archive_close(&rolling.snapshot);
    free(rolling.tiles);
    return rc;
}

int snapshot_rollback(const struct archive *archive, const char *name,
                      struct snapshot_rolled *rolled)
{
    char path[PATH_MAX];
    int all;
    int rc = snapshot_path(archive, name, path);

    *rolled = (struct snapshot_rolled){0};
    if (rc)
        return rc;
    rc = snapshot_lock(archive, &all);
    if (rc)
        return snapshot_complain_lock(archive, "roll back to", name, rc);
    rc = roll_locked(archive, name, rolled);
    close(all);
    return rc;
}
