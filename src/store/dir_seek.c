/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Data and holes of a tile's file, and the blocks that it is made of.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "store/dir_impl.h"

#define TRY 65536 /* as large as blocks of file systems are */

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

static int look_at_blocks(const struct dir *dir, const struct fdcache_file *file,
                          struct store_blocks *out)
{
    struct statvfs space;
    int rc = fstatvfs(file->fd, &space) ? -errno : 0;

    if (!rc)
        rc = dir_snapshot_held(dir, file, &out->held);
    out->stays = dir_keeps(dir, file->tile);
    out->head = file->payload;
    /* Some network file systems tell of sizes that are no blocks. */
    if (!rc && space.f_bsize && (space.f_bsize & (space.f_bsize - 1)) == 0)
        out->size = space.f_bsize;
    return rc;
}

int dir_blocks(struct store *st, uint32_t tile, struct store_blocks *out)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    int rc = fdcache_get(dir->cache, tile, false, &file);

    if (rc)
        return rc;
    rc = look_at_blocks(dir, file, out);
    fdcache_put(dir->cache, file);
    return rc ? dir_file_complain(dir, "look at", tile, rc) : 0;
}

/* Where no byte is, nothing comes of it. Of who may not write to a tile it is not known. */
int dir_holes(struct store *st, uint32_t tile)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    uint64_t behind;
    int rc;

    if (fs_known(dir->dirfd) || dir->read_only)
        return 0;
    rc = fdcache_get(dir->cache, tile, true, &file);
    if (rc)
        return rc == -ESTALE ? dir_file_replaced(dir, tile) : rc;
    behind = (file->payload + dir_file_len(dir, tile) + TRY - 1) / TRY * TRY;
    rc = io_fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, behind, TRY);
    fdcache_put(dir->cache, file);
    return rc == -EOPNOTSUPP ? rc : 0;
}
