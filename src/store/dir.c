/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each tile is one file. Names come from the archive's layout, descriptors from
 * a bounded cache, and no path is ever resolved through a symbolic link.
 *
 * Two kinds of layout:
 *
 *   short tiles  A file ends where its data ends; what is missing reads as
 *                zeros. Creating one is one step. A write past the end of the
 *                file leaves out its trailing zero blocks of 4 KiB, whole ones
 *                only, so that of two overlapping writes each block is still
 *                the one or the other. Zeroing up to the end truncates.
 *   full tiles   A file has its full length from the moment its name exists: it
 *                is made as TILE.tmp, extended, synced, then renamed. So a
 *                shorter file is a damaged one, and reading past its end is EIO.
 *
 * Before the tile's bytes there may be a picture. Then, too, the file is made
 * as TILE.tmp, since a name without a whole picture is a damaged tile.
 *
 * A tile that tells the layout, which the index does not in LAYOUT_TAIL, stays when
 * it is emptied: without any the archive would be one of bare tiles. So does a
 * second one where one alone does not tell how long its picture is.
 *
 * Order of durability: what another program notes about a tile is removed
 * (bandmap.h); the journal of changed tiles, before any byte of a tile;
 * then, when a flush asks, bytes by fdcache_sync(), then entries by
 * flush_entries(): the archive directory when a folder was made, and each
 * folder that gained or lost a tile. Nothing is durable before that.
 */
#include "store/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tile_head.h"
#include "archive/tilefile.h"
#include "base/compiler.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/reserve.h"
#include "base/zero.h"
#include "store/dir_impl.h"

#define BLOCK 4096 /* what overlapping writes must not tear */

static int dir_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    size_t got;
    int rc = fdcache_get(dir->cache, tile, false, &file);
    int whole = 0;

    if (rc)
        return rc;
    rc = io_pread(file->fd, buf, len, file->payload + off, &got);
    if (!rc && got < len)
        whole = dir->layout->short_tiles ? dir_file_whole(dir, file) : dir_file_cut(dir, tile);
    fdcache_put(dir->cache, file);
    if (rc)
        return dir_file_complain(dir, "read", tile, rc);
    if (whole)
        return whole;
    memset((char *)buf + got, 0, len - got);
    return 0;
}

static int dir_lend(struct store *st, uint32_t tile, uint64_t off, size_t len, store_use *use,
                    void *arg)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    const char *bytes;
    struct stat sb;
    int rc = fdcache_get(dir->cache, tile, false, &file);

    if (rc)
        return rc;
    off += file->payload;
    bytes = fdcache_map_bytes(dir->cache, file, off, len);
    /* What a file does not have is zeros, or an error: that is for dir_read(). */
    if (!bytes || fstat(file->fd, &sb) || (uint64_t)sb.st_size < off + len) {
        fdcache_put(dir->cache, file);
        return -EAGAIN;
    }
    rc = use(arg, bytes, len);
    fdcache_put(dir->cache, file);
    if (rc == -EFAULT) {
        char path[LAYOUT_PATH];

        dir->layout->tile_path(tile, path);
        log_error("cannot read tile '%s': it was cut short meanwhile, or its disk failed", path);
    }
    return 0;
}

/* What of a write need not be stored because the file ends before it. */
static size_t cut_zeros(const struct dir *dir, const struct fdcache_file *file, uint64_t off,
                        const void *buf, size_t len)
{
    uint64_t size = fdcache_size(file);
    uint64_t start = file->payload + off;
    uint64_t keep, end;

    if (!dir->layout->short_tiles || start + len <= size)
        return len;
    keep = size > start ? size - start : 0;
    end = off + keep + zero_trimmed((const char *)buf + keep, len - keep);
    end = (end + BLOCK - 1) / BLOCK * BLOCK;
    return end - off < len ? end - off : len;
}

static int dir_write(struct store *st, uint32_t tile, uint64_t off, const void *buf, size_t len)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    int rc = dir_file_writable(dir, tile, &file);

    if (rc)
        return rc;
    len = cut_zeros(dir, file, off, buf, len);
    off += file->payload;
    fdcache_writes(file, off + len);
    rc = io_pwrite(file->fd, buf, len, off);
    fdcache_wrote(file);
    fdcache_put(dir->cache, file);
    return rc ? dir_file_complain(dir, "write", tile, rc) : 0;
}

static int dir_create(struct store *st, uint32_t tile)
{
    struct dir *dir = dir_of(st);
    char path[LAYOUT_PATH];
    const char *name;
    uint64_t payload;
    int folder, fd = -1;
    int rc = dir_file_rival(dir, tile);

    if (rc != -ENOENT)
        return rc;
    do
        rc = folders_make(&dir->folders, tile, path, &name, &folder);
    while (dir_file_again(dir, rc));
    if (rc == -ENOENT && dir_file_absent(dir, tile) != -ENOENT) /* nor can a folder be made */
        return -EIO;
    if (rc)
        return dir_file_complain(dir, "create", tile, rc);
    do
        rc = dir_file_make(dir, tile, folder, name, &fd, &payload);
    while (dir_file_again(dir, rc));
    close(folder);
    if (rc == -EEXIST)
        return rc;
    /* After an error, too: without RENAME_NOREPLACE the name may be there all the same. */
    folders_touch(&dir->folders, tile);
    if (rc)
        return dir_file_complain(dir, "create", tile, rc);
    fdcache_forget(dir->cache, tile); /* a file that somebody else removed */
    dir_replaced_forget(dir, tile);
    fdcache_add(dir->cache, tile, fd, payload);
    return 0;
}

static int dir_remove(struct store *st, uint32_t tile)
{
    struct dir *dir = dir_of(st);
    char path[LAYOUT_PATH];
    const char *name;
    int folder, rc;

    if (dir_keeps(dir, tile))
        return -EBUSY;
    rc = dir_file_folder(dir, tile, path, &name, &folder);
    if (!rc) {
        fdcache_leaving(dir->cache, tile, true);
        dir_replaced_forget(dir, tile);
        rc = unlinkat(folder, name, 0) ? -errno : 0;
        close(folder);
    }
    if (!rc || rc == -ENOENT)
        fdcache_forget(dir->cache, tile);
    else
        fdcache_leaving(dir->cache, tile, false);
    if (rc == -ENOENT)
        return dir_file_absent(dir, tile);
    if (rc)
        return dir_file_complain(dir, "remove", tile, rc);
    folders_touch(&dir->folders, tile);
    return 0;
}

static int dir_zero(struct store *st, uint32_t tile, uint64_t off, uint64_t len, bool *empty)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    uint64_t size, start;
    int rc = dir_file_writable(dir, tile, &file);

    if (rc)
        return rc;
    start = file->payload + off;
    size = fdcache_size(file);
    if (!empty) {
        rc = tilefile_blank(file->fd, start, start + len < size ? start + len : size);
    } else if (dir->layout->short_tiles && start < size && start + len >= size) {
        rc = io_truncate(file->fd, start);
        if (!rc)
            fdcache_cut(file, start);
    } else {
        rc = tilefile_punch(file->fd, start, start + len < size ? start + len : size, size);
    }
    fdcache_wrote(file);
    if (empty)
        *empty = !rc && !dir_keeps(dir, tile) && tilefile_is_empty(file->fd, file->payload);
    fdcache_put(dir->cache, file);
    return rc ? dir_file_complain(dir, "zero part of", tile, rc) : 0;
}

static int dir_allocate(struct store *st, uint32_t tile, uint64_t off, uint64_t len)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    int rc = dir_file_writable(dir, tile, &file);

    if (rc)
        return rc;
    /* A short file stays short: the space beyond its end is reserved all the same. */
    rc = io_fallocate(file->fd, FALLOC_FL_KEEP_SIZE, file->payload + off, len);
    fdcache_wrote(file);
    fdcache_put(dir->cache, file);
    return rc ? dir_file_complain(dir, "reserve space for", tile, rc) : 0;
}

static bool dir_noted(struct store *st, uint32_t tile)
{
    return changes_noted(dir_of(st)->changes, tile) &&
           bandmap_forgotten(&dir_of(st)->bandmap, tile);
}

static int dir_note(struct store *st, const uint32_t *tiles, size_t n)
{
    struct dir *dir = dir_of(st);
    int rc = bandmap_forget(&dir->bandmap, tiles, n);

    return dir_file_mapped(rc ? rc : changes_note(dir->changes, tiles, n));
}

static int dir_mark(struct store *st)
{
    return dir_file_mapped(changes_mark(dir_of(st)->changes));
}

static int dir_tell(struct store *st, char epoch[STORE_EPOCH])
{
    return dir_file_mapped(changes_mark_tell(dir_of(st)->changes, epoch));
}

static void start_write_back(int fd, void *unused)
{
    /* Only a head start: its errors are told by the sync that follows. */
    (void)!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int dir_flush_start(struct store *st, uint32_t tile)
{
    (void)fdcache_peek(dir_of(st)->cache, tile, start_write_back, NULL);
    return 0;
}

static int dir_flush(struct store *st, uint32_t tile)
{
    return fdcache_sync(dir_of(st)->cache, tile);
}

static int dir_flush_entries(struct store *st)
{
    struct dir *dir = dir_of(st);
    int evicted = fdcache_error(dir->cache);
    int rc = dir_file_mapped(folders_sync(&dir->folders));

    dir_replaced_now_and_then(dir);
    changes_mark_watch(dir->changes, false);
    return rc ? rc : evicted;
}

static void dir_links_end(struct store *st)
{
    struct dir *dir = dir_of(st);

    changes_links_end(dir->changes, dir->links);
    dir->links = NULL;
}

static int dir_next(struct store *st, uint32_t from, uint32_t end, uint32_t *found)
{
    return folders_next(&dir_of(st)->folders, from, end, found);
}

struct walk {
    store_met *met;
    void *arg;
};

static int met_in_folder(void *arg, uint32_t tile, int fd)
{
    const struct walk *walk = arg;

    return walk->met(walk->arg, tile, &(struct store_place){fd});
}

static int dir_each(struct store *st, uint32_t from, uint32_t end, store_met *met, void *arg)
{
    struct walk walk = {met, arg};

    return folders_each(&dir_of(st)->folders, from, end, met_in_folder, &walk);
}

static void dir_links_begin(struct store *st)
{
    struct dir *dir = dir_of(st);

    dir_links_end(st);
    dir->links = changes_links_begin(dir->changes);
}

static int dir_space(struct store *st, struct statvfs *out)
{
    return fstatvfs(dir_of(st)->dirfd, out) ? -errno : 0;
}

static int dir_mtime(struct store *st, struct timespec *out)
{
    folders_mtime(&dir_of(st)->folders, out);
    return 0;
}

static void dir_close(struct store *st)
{
    struct dir *dir = dir_of(st);

    dir_links_end(st);
    changes_close(dir->changes);
    dir_snapshot_end(dir);
    bandmap_close(&dir->bandmap);
    fdcache_free(dir->cache);
    reserve_free((void *)dir->idents, dir->store.tiles_max, sizeof(*dir->idents));
    folders_release(&dir->folders);
    free(dir);
}

static const struct store_ops dir_ops = {
    .name = "dir",
    .read = dir_read,
    .lend = dir_lend,
    .lend_file = dir_clone_lend,
    .write = dir_write,
    .create = dir_create,
    .remove = dir_remove,
    .unshare = dir_snapshot_unshare,
    .zero = dir_zero,
    .allocate = dir_allocate,
    .clone = dir_clone,
    .seek = dir_seek,
    .stat = dir_stat,
    .blocks = dir_blocks,
    .holes = dir_blocks_holes,
    .next = dir_next,
    .each = dir_each,
    .noted = dir_noted,
    .note = dir_note,
    .mark = dir_mark,
    .tell = dir_tell,
    .snapshot_begin = dir_snapshot_begin,
    .snapshot_tile = dir_snapshot_tile,
    .snapshot_hold = dir_snapshot_hold,
    .links_begin = dir_links_begin,
    .links_end = dir_links_end,
    .resize_tile = dir_resize_tile,
    .resize_begin = dir_resize_begin,
    .resize = dir_resize,
    .flush_start = dir_flush_start,
    .flush = dir_flush,
    .flush_entries = dir_flush_entries,
    .space = dir_space,
    .mtime = dir_mtime,
    .replaced = dir_replaced,
    .close = dir_close,
};

/*
 * The next mount must be able to tell from what stays how long the pictures are: one
 * tile that says it alone, or two that agree. Tiles of a wrong length say nothing.
 */
static int find_keepers(struct dir *dir)
{
    enum tile_head_trust trust = TILE_HEAD_CLAIM;
    uint32_t tile = 0;
    unsigned n = 0;
    uint64_t head;
    int rc = dir->layout->head == LAYOUT_TAIL && !dir->read_only ? 0 : -ENOENT;

    dir->keepers[0] = dir->keepers[1] = DIR_NOBODY;
    while (!rc && n < ARRAY_LEN(dir->keepers) && trust == TILE_HEAD_CLAIM &&
           tile < store_geometry(&dir->store)->ntiles) {
        rc = folders_next(&dir->folders, tile, dir->folders.ntiles, &tile);
        if (!rc && tile_head_measure(dir->archive, tile, &head, &trust) == 0 &&
            head == dir->archive->head)
            dir->keepers[n++] = tile;
        else
            trust = TILE_HEAD_CLAIM;
        tile++;
    }
    return rc == -ENOENT ? 0 : rc;
}

int dir_open(struct archive *archive, const struct dir_config *config, struct store **out)
{
    struct dir *dir = calloc(1, sizeof(*dir));
    struct fdcache_ops cache_ops = {
        .open = dir_file_open, .sync = dir_file_sync, .closing = dir_replaced_look, .arg = dir};
    int rc = dir ? 0 : -ENOMEM;

    if (!rc) {
        store_init(&dir->store, &dir_ops, &archive->index.geometry,
                   archive->index.layout->tiles_max);
        dir->archive = archive;
        dir->dirfd = archive->dirfd;
        dir->snapshot.fd = -1;
        dir->read_only = config->read_only;
        dir->covers = config->covers;
        dir->uid = geteuid();
        dir->stable = fs_known(archive->dirfd);
        dir->idents = reserve_new(dir->store.tiles_max, sizeof(*dir->idents));
        dir->layout = archive->index.layout;
        rc = folders_init(&dir->folders, archive->dirfd, dir->layout,
                          archive->index.geometry.ntiles);
    }
    if (!rc && !dir->idents)
        rc = -ENOMEM;
    if (!rc)
        rc = find_keepers(dir);
    if (!rc)
        rc = fdcache_new(config->max_open, archive->index.geometry.tile_size, &cache_ops,
                         &dir->cache);
    if (rc)
        log_error("cannot open archive '%s': %s", archive->path, strerror(-rc));
    if (!rc && !config->read_only)
        rc = bandmap_open(&dir->bandmap, archive);
    if (!rc && !config->read_only)
        rc = config->unlisted ? changes_open_none(archive, &dir->changes)
                              : changes_open(archive, &dir->changes);
    if (!rc) {
        *out = &dir->store;
        return 0;
    }
    if (dir)
        dir_close(&dir->store);
    return rc;
}
