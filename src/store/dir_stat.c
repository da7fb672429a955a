/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A tile's file as stat(2) sees it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/dir_impl.h"

static int stat_by_name(struct dir *dir, uint32_t tile, struct stat *sb)
{
    char path[LAYOUT_PATH];
    const char *name;
    int folder;
    int rc = dir_file_folder(dir, tile, path, &name, &folder);

    if (!rc) {
        rc = fstatat(folder, name, sb, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
        close(folder);
    }
    return rc;
}

/* Where it was met; by its whole name when it is not there, as its folder may be another by now. */
static bool stat_in_place(const struct dir *dir, uint32_t tile, const struct store_place *place,
                          struct stat *sb)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    return fstatat(place->folder, strrchr(path, '/') + 1, sb, AT_SYMLINK_NOFOLLOW) == 0;
}

/* No name has to be looked up then. One that has none any more is for others to find out. */
static void stat_open(int fd, void *sb)
{
    if (fstat(fd, sb))
        *(struct stat *)sb = (struct stat){0};
}

static bool stat_cached(const struct dir *dir, uint32_t tile, struct stat *sb)
{
    return fdcache_peek(dir->cache, tile, stat_open, sb) && S_ISREG(sb->st_mode) && sb->st_nlink;
}

int dir_stat(struct store *st, uint32_t tile, const struct store_place *place,
             struct store_stat *out)
{
    struct dir *dir = dir_of(st);
    struct stat sb;
    int rc = 0;

    if (!(place ? stat_in_place(dir, tile, place, &sb) : stat_cached(dir, tile, &sb)))
        rc = stat_by_name(dir, tile, &sb);
    if (rc == -ENOENT)
        return dir_file_absent(dir, tile);
    if (rc)
        return dir_file_complain(dir, "look at", tile, rc);
    if (!S_ISREG(sb.st_mode))
        return dir_file_not_regular(dir, tile);
    *out = (struct store_stat){(uint64_t)sb.st_size, (uint64_t)sb.st_blocks, sb.st_mtim};
    return 0;
}
