/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which tiles are other files in one snapshot than in another: a file that one of them holds is
 * frozen, so the same file has the same bytes, and none is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "drive/snapshot_impl.h"

enum { SAME, CHANGED, DELETED };

struct comparing {
    const struct archive *one, *other;
    unsigned char *fates; /* of each tile */
    bool back;            /* what is in other alone is looked for */
};

static int compare_tile(void *arg, uint32_t tile, int folder)
{
    const struct comparing *comparing = arg;
    char path[LAYOUT_PATH];
    struct stat here, there;

    comparing->one->index.layout->tile_path(tile, path);
    if (fstatat(folder, strrchr(path, '/') + 1, &here, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -errno;
    if (fstatat(comparing->other->dirfd, path, &there, AT_SYMLINK_NOFOLLOW)) {
        if (errno != ENOENT)
            return -errno;
        comparing->fates[tile] = comparing->back ? CHANGED : DELETED;
    } else if (here.st_ino != there.st_ino || here.st_dev != there.st_dev) {
        comparing->fates[tile] = CHANGED;
    }
    return 0;
}

static int walk(struct comparing *comparing)
{
    const struct index *index = &comparing->one->index;
    struct folders folders;
    int rc = folders_init(&folders, comparing->one->dirfd, index->layout, index->geometry.ntiles);

    if (!rc)
        rc = folders_each(&folders, 0, index->geometry.ntiles, compare_tile, comparing);
    folders_release(&folders);
    return rc;
}

int snapshot_diff_archives(const struct archive *from, const struct archive *to,
                           void (*fn)(void *arg, uint32_t tile, bool absent), void *arg)
{
    uint32_t a = from->index.geometry.ntiles, b = to->index.geometry.ntiles;
    uint32_t ntiles = a > b ? a : b;
    struct comparing comparing = {.one = from, .other = to, .fates = calloc(ntiles, 1)};
    int rc = comparing.fates ? walk(&comparing) : -ENOMEM;

    comparing = (struct comparing){to, from, comparing.fates, true};
    if (!rc)
        rc = walk(&comparing);
    if (rc)
        log_error("cannot compare '%s' with '%s': %s", from->path, to->path, strerror(-rc));
    for (uint32_t tile = 0; !rc && tile < ntiles; tile++)
        if (comparing.fates[tile] != SAME)
            fn(arg, tile, comparing.fates[tile] == DELETED);
    free(comparing.fates);
    return rc;
}

int snapshot_diff(const struct archive *archive, const char *from, const char *to,
                  void (*fn)(void *arg, uint32_t tile, bool absent), void *arg)
{
    struct archive one, other = {.dirfd = -1};
    int rc = snapshot_open(archive, from, &one);

    if (!rc && to)
        rc = snapshot_open(archive, to, &other);
    if (!rc)
        rc = snapshot_diff_archives(&one, to ? &other : archive, fn, arg);
    archive_close(&one);
    archive_close(&other);
    return rc;
}
