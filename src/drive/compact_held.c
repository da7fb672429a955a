/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compares the inode of a tile with those of the same tile in all snapshots.
 */
#include "drive/compact_held.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static int complain(const struct archive *archive, int rc)
{
    log_error("cannot list the snapshots of '%s': %s", archive->path, strerror(-rc));
    return rc;
}

static int each(const struct archive *archive, snapshots_met *met, void *arg)
{
    int fd;
    int rc = snapshots_open(archive->dirfd, &fd);

    if (rc)
        return rc == -ENOENT ? 0 : complain(archive, rc);
    rc = snapshots_each(fd, met, arg);
    close(fd);
    return rc ? complain(archive, rc) : 0;
}

static int count_one(void *arg, const char *name)
{
    unsigned *n = arg;

    *n += 1;
    return 0;
}

int compact_held_count(const struct archive *archive, unsigned *n)
{
    *n = 0;
    return each(archive, count_one, n);
}

struct naming {
    struct compact *compact;
    unsigned n;
};

static int name_one(void *arg, const char *name)
{
    struct naming *naming = arg;

    if (naming->n < naming->compact->nsnapshots)
        strcpy(naming->compact->snapshots[naming->n++].name, name);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct compact_snapshot *one = a, *other = b;

    return strcmp(one->name, other->name);
}

int compact_held_names(const struct archive *archive, struct compact *compact)
{
    struct naming naming = {compact, 0};
    int rc = each(archive, name_one, &naming);

    compact->nsnapshots = naming.n;
    qsort(compact->snapshots, naming.n, sizeof(compact->snapshots[0]), compare);
    return rc;
}

int compact_held_by(const struct archive *archive, uint32_t tile, uint64_t bytes,
                    struct compact *compact)
{
    char path[LAYOUT_PATH], full[sizeof(FORMAT_SNAPSHOTS) + NAME_MAX + 1 + LAYOUT_PATH];
    struct stat live, st;
    bool found = false;

    archive->index.layout->tile_path(tile, path);
    if (fstatat(archive->dirfd, path, &live, AT_SYMLINK_NOFOLLOW))
        return 0;
    for (unsigned i = 0; i < compact->nsnapshots; i++) {
        struct compact_snapshot *snapshot = &compact->snapshots[i];

        snprintf(full, sizeof(full), FORMAT_SNAPSHOTS "/%s/%s", snapshot->name, path);
        if (fstatat(archive->dirfd, full, &st, AT_SYMLINK_NOFOLLOW) || st.st_ino != live.st_ino ||
            st.st_dev != live.st_dev)
            continue;
        found = true;
        snapshot->tiles++;
        snapshot->bytes += bytes;
    }
    compact->other += found ? 0 : bytes;
    return 0;
}
