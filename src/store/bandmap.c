/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A Mac may keep, of late always, a file mapped/N beside bands/N: a bit for each 4 KiB
 * block, set when it was written, cleared when it was trimmed. It is not
 * asked when a band is read. But when a trim has cleared the last bit, the Mac
 * removes the band: blocks that somebody else wrote there would be lost. A Mac
 * that finds no file takes all of the band's file for written and makes a new
 * one. Seen since June 2019 (macOS 10.14), with either version in Info.plist: so
 * it is the folder that is looked at. (DiskImages2: mapped_blocks_t, Band::read, Band::erase, as
 * published decompilations show them.)
 *
 * So mapped/N goes before the first byte of band N changes, durably, once
 * in each mount. A crash in between leaves a band that counts as written.
 */
#include "store/bandmap.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/reserve.h"

#define BITS 32

static int complain_map(const struct archive *archive, const char *verb, const char *name, int rc)
{
    log_error("cannot %s '%s/%s%s%s': %s", verb, archive->path, archive->index.layout->maps,
              *name ? "/" : "", name, io_why(rc));
    return rc;
}

/* For all tiles that there may ever be. */
static size_t words(const struct layout *layout)
{
    return (layout->tiles_max - 1) / BITS + 1;
}

int bandmap_open(struct bandmap *map, const struct archive *archive)
{
    const struct layout *layout = archive->index.layout;
    int rc;

    *map = (struct bandmap){.archive = archive, .fd = -1};
    if (!layout->maps)
        return 0;
    rc = io_open(archive->dirfd, layout->maps, O_RDONLY | O_DIRECTORY, 0, &map->fd);
    if (rc) {
        map->fd = -1;
        return rc == -ENOENT ? 0 : complain_map(archive, "open", "", rc);
    }
    map->done = reserve_new(words(layout), sizeof(*map->done));
    return map->done ? 0 : complain_map(archive, "open", "", -ENOMEM);
}

void bandmap_close(struct bandmap *map)
{
    if (!map->archive)
        return;
    if (map->fd >= 0)
        close(map->fd);
    reserve_free((void *)map->done, words(map->archive->index.layout), sizeof(*map->done));
    *map = (struct bandmap){.fd = -1};
}

bool bandmap_forgotten(const struct bandmap *map, uint32_t tile)
{
    return map->fd < 0 || atomic_load(&map->done[tile / BITS]) >> tile % BITS & 1;
}

static int remove_one(const struct bandmap *map, uint32_t tile)
{
    char path[LAYOUT_PATH];
    const char *name;

    map->archive->index.layout->tile_path(tile, path);
    name = strrchr(path, '/') + 1;
    if (unlinkat(map->fd, name, 0) && errno != ENOENT)
        return complain_map(map->archive, "remove", name, -errno);
    return 0;
}

/* Also of what another thread has removed a moment ago. */
static int sync_removals(struct bandmap *map)
{
    /* Whoever waits for space would wait for ever. */
    int rc = atomic_load(&map->failed) ? -EIO : io_fsync(map->fd);

    if (!rc)
        return 0;
    atomic_store(&map->failed, true);
    return complain_map(map->archive, "sync", "", rc);
}

int bandmap_forget(struct bandmap *map, const uint32_t *tiles, size_t n)
{
    size_t left = 0;
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        if (bandmap_forgotten(map, tiles[i]))
            continue;
        rc = remove_one(map, tiles[i]);
        left++;
    }
    if (!rc && left)
        rc = sync_removals(map);
    for (size_t i = 0; !rc && left && i < n; i++)
        atomic_fetch_or(&map->done[tiles[i] / BITS], UINT32_C(1) << tiles[i] % BITS);
    return rc;
}
