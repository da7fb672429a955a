/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counts what all snapshots hold that the archive itself no longer has: what would come free if
 * all of them were deleted. A file with n names, none of them the archive's, is met n times, once
 * in each snapshot: so files are summed up by their number of names, and nothing is remembered of
 * each. Snapshots that come or go meanwhile make it a rough count.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "drive/snapshot_impl.h"

struct holding {
    const struct archive *archive;
    struct folders live;
    uint32_t folder; /* of the archive, that is open */
    int fd;          /* -1: it is not there */
    snapshot_progress *progress;
    void *arg;
    size_t n;         /* snapshots */
    uint64_t *blocks; /* of files with so many names, each as often as it was met; n + 1 of them */
    const char *name; /* of the snapshot that is looked at */
};

static int count_one(void *arg, const char *name)
{
    ++*(size_t *)arg;
    return 0;
}

static void close_folder(struct holding *holding)
{
    if (holding->fd >= 0)
        close(holding->fd);
    holding->fd = -1;
}

/* That of the tile, in the archive: tiles come in ascending order. */
static int open_folder(struct holding *holding, uint32_t tile)
{
    uint32_t folder = tile / holding->live.layout->tiles_per_folder;
    char path[LAYOUT_PATH];
    const char *name;
    int rc;

    if (folder == holding->folder)
        return 0;
    close_folder(holding);
    rc = folders_open(&holding->live, tile, path, &name, &holding->fd);
    if (rc)
        holding->fd = -1;
    if (rc && rc != -ENOENT)
        return rc;
    holding->folder = folder;
    return 0;
}

/* The archive has the file, too: under that name. 0 or -errno. */
static int is_live(struct holding *holding, uint32_t tile, const char *name, const struct stat *st,
                   bool *live)
{
    struct stat other;
    int rc = open_folder(holding, tile);

    *live = false;
    if (rc || holding->fd < 0)
        return rc;
    if (fstatat(holding->fd, name, &other, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -errno;
    *live = other.st_ino == st->st_ino && other.st_dev == st->st_dev;
    return 0;
}

static int look(struct holding *holding, uint32_t tile, int folder)
{
    char path[LAYOUT_PATH];
    const char *name;
    struct stat st;
    size_t names;
    bool live = false;
    int rc = 0;

    holding->live.layout->tile_path(tile, path);
    name = strrchr(path, '/') + 1;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -errno;
    if (st.st_nlink > 1)
        rc = is_live(holding, tile, name, &st, &live);
    names = st.st_nlink < holding->n ? st.st_nlink : holding->n;
    if (!rc && !live)
        holding->blocks[names] += (uint64_t)st.st_blocks;
    return rc;
}

static int met_tile(void *arg, uint32_t tile, int folder)
{
    struct holding *holding = arg;
    int rc = look(holding, tile, folder);

    holding->progress(holding->arg, tile, holding->live.ntiles);
    return rc ? snapshot_complain("examine", holding->name, rc) : 0;
}

static int walk(struct holding *holding, const struct archive *snapshot)
{
    const struct index *index = &snapshot->index;
    struct folders folders;
    int rc = folders_init(&folders, snapshot->dirfd, index->layout, index->geometry.ntiles);

    if (rc)
        (void)snapshot_complain("examine", holding->name, rc);
    else
        rc = folders_each(&folders, 0, folders.ntiles, met_tile, holding);
    folders_release(&folders);
    return rc;
}

static int met_snapshot(void *arg, const char *name)
{
    struct holding *holding = arg;
    struct archive snapshot;
    int rc = snapshot_open(holding->archive, name, &snapshot);

    holding->name = name;
    holding->folder = UINT32_MAX;
    if (!rc && snapshot.index.layout != holding->live.layout)
        rc = snapshot_complain("examine", name, -EINVAL);
    if (!rc)
        rc = walk(holding, &snapshot);
    close_folder(holding);
    archive_close(&snapshot);
    return rc;
}

/* all: the directory of all snapshots, of which there are some. */
static int sum_up(struct holding *holding, int all, struct snapshot_held *held)
{
    const struct index *index = &holding->archive->index;
    int rc = folders_init(&holding->live, holding->archive->dirfd, index->layout,
                          index->geometry.ntiles);

    holding->blocks = calloc(held->snapshots + 1, sizeof(*holding->blocks));
    if (!holding->blocks)
        rc = -ENOMEM;
    if (!rc) {
        rc = snapshots_each(all, met_snapshot, holding);
        for (size_t names = 1; !rc && names <= holding->n; names++)
            held->blocks += holding->blocks[names] / names;
    }
    free(holding->blocks);
    folders_release(&holding->live);
    return rc;
}

int snapshot_held(const struct archive *archive, snapshot_progress *progress, void *arg,
                  struct snapshot_held *held)
{
    struct holding holding = {.archive = archive, .fd = -1, .progress = progress, .arg = arg};
    int all;
    int rc = snapshots_open(archive->dirfd, &all);

    *held = (struct snapshot_held){0};
    /* Something else in its place holds none: a check tells of that. */
    if (rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP)
        return 0;
    if (!rc) {
        rc = snapshots_each(all, count_one, &holding.n);
        held->snapshots = holding.n;
        if (!rc && holding.n > 0)
            rc = sum_up(&holding, all, held);
        close(all);
    }
    return rc;
}
