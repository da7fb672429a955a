/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Data and holes of a tile's file.
 */
#include <errno.h>
#include <unistd.h>

#include "base/fs.h"
#include "store/dir_impl.h"

/* By lseek(2). *found is within the tile. 0 or -errno, logged. */
static int seek_file(const struct dir *dir, const struct fdcache_file *file, uint64_t off,
                     enum store_seek what, uint64_t *found)
{
    uint64_t len = dir_file_len(dir, file->tile);
    off_t at =
        lseek(file->fd, (off_t)(file->payload + off), what == STORE_DATA ? SEEK_DATA : SEEK_HOLE);

    if (at >= 0) {
        *found = (uint64_t)at - file->payload < len ? (uint64_t)at - file->payload : len;
        return 0;
    }
    if (errno != ENXIO)
        return dir_file_complain(dir, "look for data in", file->tile, -errno);
    *found = what == STORE_DATA ? len : off; /* nothing but a hole from off on */
    return dir_file_whole(dir, file);
}

int dir_seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what, uint64_t *found)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    int rc = fdcache_get(dir->cache, tile, false, &file);

    if (rc)
        return rc;
    /* Holes may be told that are none: then all is data until it is synced. */
    if (fdcache_unsynced(dir->cache, file) && !fs_known(file->fd)) {
        *found = what == STORE_DATA ? off : dir_file_len(dir, tile);
        rc = dir_file_whole(dir, file);
    } else {
        rc = seek_file(dir, file, off, what, found);
    }
    fdcache_put(dir->cache, file);
    return rc;
}
