/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes of a tile that are taken over from another file, and those of a tile that another file
 * takes over, without being copied.
 */
#include <errno.h>

#include "base/copy.h"
#include "store/dir_impl.h"

int dir_clone_lend(struct store *st, uint32_t tile, uint64_t off, uint64_t len, store_use_file *use,
                   void *arg)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    int rc = fdcache_get(dir->cache, tile, false, &file);

    if (rc)
        return rc;
    rc = use(arg, file->fd, file->payload + off, len);
    fdcache_put(dir->cache, file);
    return rc;
}

int dir_clone(struct store *st, uint32_t tile, uint64_t off, uint64_t len, int fd, uint64_t fd_off)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    uint64_t to;
    int rc = dir_file_writable(dir, tile, &file);

    if (rc)
        return rc;
    to = file->payload + off;
    fdcache_writes(file, to + len);
    rc = copy_share(fd, fd_off, file->fd, to, len);
    if (rc != -EOPNOTSUPP)
        fdcache_wrote(file);
    fdcache_put(dir->cache, file);
    return rc && rc != -EOPNOTSUPP ? dir_file_complain(dir, "write", tile, rc) : rc;
}
