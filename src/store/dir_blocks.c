/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a tile's file lies on its file system, for who wants to give back some of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "store/dir_impl.h"

#define TRY 65536 /* as large as blocks of file systems are */

static int look_at_blocks(const struct dir *dir, const struct fdcache_file *file,
                          struct store_blocks *out)
{
    struct statvfs space;
    int rc = fstatvfs(file->fd, &space) ? -errno : 0;

    if (!rc)
        rc = dir_snapshot_held(dir, file, &out->held);
    out->stays = dir_keeps(dir, file->tile);
    out->unsure = !fs_known(file->fd);
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
int dir_blocks_holes(struct store *st, uint32_t tile)
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
