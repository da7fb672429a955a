/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles in use that somebody else replaces by another file, as mirrors do, or removes. Who has
 * the old file open goes on to read and write there, and nobody would ever know.
 *
 * So name and open file are compared when a file is closed, now and then, and when somebody
 * asks. Of a file that was closed its inode is kept, a byte of it, where these stay what
 * they are: a tile that has another one later was replaced meanwhile. One in 254 is
 * overlooked; more would be megabytes at 2^20 tiles, for who replaces one tile alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "store/dir_impl.h"

#define TOLD UINT8_MAX /* in the place of an inode */
#define LOOK_S 30      /* at least, from one look at all open files to the next */
#define PATIENCE_S 2   /* of who asks about all that were used */

static uint8_t ident_of(const struct stat *st)
{
    uint64_t mixed = ((uint64_t)st->st_ino + (uint64_t)st->st_dev) * UINT64_C(0x9e3779b97f4a7c15);
    uint8_t ident = (uint8_t)(mixed >> 56);

    return ident == 0 || ident == TOLD ? 1 : ident;
}

static int stat_name(const struct dir *dir, uint32_t tile, struct stat *st)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    return fstatat(dir->dirfd, path, st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static void tell(struct dir *dir, uint32_t tile)
{
    char path[LAYOUT_PATH];

    if (atomic_exchange(&dir->idents[tile], TOLD) == TOLD)
        return;
    dir->layout->tile_path(tile, path);
    log_error("tile '%s' was replaced or removed by another program while the drive was mounted",
              path);
    if (atomic_fetch_add(&dir->nreplaced, 1) == 0) {
        atomic_store(&dir->replaced, tile);
        log_note("the mounted drive shows neither the old nor the new state; unmount it before you "
                 "restore into its archive");
    }
}

void dir_replaced_look(void *arg, struct fdcache_file *file)
{
    struct dir *dir = arg;
    struct stat named, st;
    int rc = stat_name(dir, file->tile, &named);
    bool same;

    if (atomic_load(&file->leaving) || (rc && rc != -ENOENT) || fstat(file->fd, &st))
        return;
    same = !rc && named.st_ino == st.st_ino && named.st_dev == st.st_dev;
    /* Elsewhere one file may have several numbers. */
    if (!same && (dir->stable || st.st_nlink == 0))
        tell(dir, file->tile);
    else if (same && dir->stable && atomic_load(&dir->idents[file->tile]) != TOLD)
        atomic_store(&dir->idents[file->tile], ident_of(&st));
}

void dir_replaced_met(const struct dir *dir, uint32_t tile, const struct stat *st)
{
    uint8_t ident = atomic_load(&dir->idents[tile]);

    if (ident && ident != TOLD && ident != ident_of(st))
        tell((struct dir *)dir, tile);
}

void dir_replaced_forget(struct dir *dir, uint32_t tile)
{
    atomic_store(&dir->idents[tile], 0);
}

void dir_replaced_now_and_then(struct dir *dir)
{
    struct timespec now;
    long long before = atomic_load(&dir->looked);

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec - before >= LOOK_S &&
        atomic_compare_exchange_strong(&dir->looked, &before, now.tv_sec) && before)
        fdcache_each(dir->cache, dir_replaced_look, dir);
}

/*
 * One that is not open. Whoever removes it here forgets its inode first: so if that is still
 * known after the look, it was another.
 */
static void look_closed(struct dir *dir, uint32_t tile)
{
    uint8_t ident = atomic_load(&dir->idents[tile]);
    struct stat st;
    int rc;

    if (ident == 0 || ident == TOLD)
        return;
    rc = stat_name(dir, tile, &st);
    if ((rc == -ENOENT || (!rc && ident_of(&st) != ident)) &&
        atomic_load(&dir->idents[tile]) == ident)
        tell(dir, tile);
}

int dir_replaced(struct store *st, struct store_replaced *out)
{
    struct dir *dir = dir_of(st);
    struct timespec begin, now;

    fdcache_each(dir->cache, dir_replaced_look, dir);
    clock_gettime(CLOCK_MONOTONIC_COARSE, &begin);
    now = begin;
    for (uint32_t tile = 0;
         tile < store_geometry(st)->ntiles && now.tv_sec - begin.tv_sec <= PATIENCE_S; tile++) {
        look_closed(dir, tile);
        if (tile % 256 == 0)
            clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    }
    out->tiles = atomic_load(&dir->nreplaced);
    if (out->tiles)
        dir->layout->tile_path(atomic_load(&dir->replaced), out->first);
    return 0;
}
