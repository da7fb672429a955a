/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles that snapshots hold, and the snapshot that is being made. What a snapshot holds is
 * known by the names of a file alone (archive/snapshots.h). So a file that is open to be
 * written has been looked at when it was opened, and is looked at again once a snapshot
 * may have taken it: hold() makes all of them files with another name, -EMLINK, until
 * somebody wants to write and finds out.
 *
 * A tile is replaced by a copy that is whole and durable before it gets the tile's name; the
 * name follows with the next flush of entries. A crash leaves the old file or the new one,
 * with the same bytes, and perhaps TILE.tmp.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "archive/snapshots.h"
#include "base/io.h"
#include "store/dir_impl.h"

static int whose(const struct dir *dir, const struct fdcache_file *file, enum snapshots_hold *hold)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(file->tile, path);
    return snapshots_hold(dir->dirfd, path, file->fd, atomic_load(&dir->snapshot.holds), hold);
}

int dir_snapshot_held(const struct dir *dir, const struct fdcache_file *file, bool *held)
{
    enum snapshots_hold hold;
    int rc = whose(dir, file, &hold);

    *held = !rc && hold != SNAPSHOTS_FREE;
    return rc;
}

int dir_snapshot_free(const struct dir *dir, struct fdcache_file *file)
{
    enum snapshots_hold hold;
    int rc = whose(dir, file, &hold);

    if (rc)
        return dir_file_complain(dir, "write", file->tile, rc);
    if (hold == SNAPSHOTS_HELD)
        return -EMLINK;
    if (hold == SNAPSHOTS_OTHER)
        return dir_file_complain(dir, "write", file->tile, -EMLINK);
    atomic_store(&file->write_error, 0);
    return 0;
}

int dir_snapshot_unshare(struct store *st, uint32_t tile)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    int rc = fdcache_get(dir->cache, tile, true, &file);

    if (rc)
        return rc == -ESTALE ? dir_file_replaced(dir, tile) : rc;
    rc = atomic_load(&file->write_error);
    if (rc == -EMLINK)
        rc = dir_snapshot_free(dir, file);
    if (rc == -EMLINK) {
        rc = dir_file_replace(dir, file, NULL, 0, 0);
        rc = rc ? dir_file_complain(dir, "copy", tile, rc) : 0;
    }
    fdcache_put(dir->cache, file);
    return rc;
}

/* --- the one that is being made --------------------------------------------------------------- */

void dir_snapshot_end(struct dir *dir)
{
    struct dir_snapshot *snapshot = &dir->snapshot;

    folders_release(&snapshot->folders);
    if (snapshot->fd >= 0)
        close(snapshot->fd);
    snapshot->fd = -1;
}

int dir_snapshot_begin(struct store *st)
{
    static const char path[] = FORMAT_SNAPSHOTS "/" FORMAT_SNAPSHOT_NEW;
    struct dir *dir = dir_of(st);
    struct dir_snapshot *snapshot = &dir->snapshot;
    int rc;

    dir_snapshot_end(dir);
    atomic_store(&snapshot->holds, false);
    rc = io_open(dir->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &snapshot->fd);
    if (!rc)
        rc =
            folders_init(&snapshot->folders, snapshot->fd, dir->layout, store_geometry(st)->ntiles);
    return rc == -ENOENT ? -EINVAL : dir_file_mapped(rc);
}

int dir_snapshot_tile(struct store *st, uint32_t tile)
{
    struct dir *dir = dir_of(st);
    struct snapshots_way way;
    int rc;

    snapshots_way_init(&way, &dir->folders, &dir->snapshot.folders, "link");
    rc = snapshots_carry(&way, tile);
    snapshots_way_release(&way);
    return dir_file_mapped(rc);
}

/* Nobody holds a file to write it. One that cannot be written for another reason stays so. */
static void doubt(void *arg, struct fdcache_file *file)
{
    int none = 0;

    if (file->writing)
        atomic_compare_exchange_strong(&file->write_error, &none, -EMLINK);
}

void dir_snapshot_hold(struct store *st)
{
    struct dir *dir = dir_of(st);

    atomic_store(&dir->snapshot.holds, true);
    fdcache_each(dir->cache, doubt, NULL);
    dir_snapshot_end(dir);
}
