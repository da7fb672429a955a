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
 * Order of durability: the journal of changed tiles, before any byte of a tile;
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

#include "base/io.h"
#include "base/log.h"
#include "base/zero.h"
#include "store/changes.h"
#include "store/fdcache.h"
#include "store/folders.h"
#include "store/tilefile.h"

#define BLOCK 4096 /* what overlapping writes must not tear */

struct dir {
    struct store store;
    /* fixed after open */
    int dirfd; /* the archive's, not ours */
    bool read_only;
    const struct layout *layout;
    struct fdcache *cache;
    struct folders folders;  /* guards itself */
    struct changes *changes; /* likewise; NULL when read-only */
};

static struct dir *dir_of(struct store *st)
{
    return (struct dir *)st;
}

static uint64_t file_len(const struct dir *dir, uint32_t tile)
{
    return dir->layout->payload + geometry_tile_len(&dir->store.geometry, tile);
}

/* What the caller is told: only what it can act upon, else EIO. */
static int mapped(int rc)
{
    switch (rc) {
    case 0:
    case -EACCES:
    case -EPERM:
    case -EROFS:
    case -ENOSPC:
    case -EDQUOT:
    case -EFBIG:
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case -EOPNOTSUPP:
        return rc;
    default:
        return -EIO;
    }
}

static int tell(const struct dir *dir, const char *verb, uint32_t tile, int rc)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    log_error("cannot %s tile '%s': %s", verb, path,
              rc == -EMLINK ? "it is a hard link, and its other name would change with it"
                            : strerror(-rc));
    return mapped(rc);
}

/* As tell(), but for want of space, which is for others to tell. */
static int complain(const struct dir *dir, const char *verb, uint32_t tile, int rc)
{
    return io_is_full(rc) ? rc : tell(dir, verb, tile, rc);
}

static int not_regular(const struct dir *dir, uint32_t tile)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    log_error("cannot use tile '%s': it is not a regular file", path);
    return -EIO;
}

/*
 * The tile's file was not found: -ENOENT when the tile is really absent, else
 * an error: the whole archive may be gone, or another program may keep this
 * tile under a name that we cannot read.
 */
static int absent(const struct dir *dir, uint32_t tile)
{
    char rival[LAYOUT_PATH];
    struct stat st;
    int rc, fd;

    if (fstat(dir->dirfd, &st))
        return complain(dir, "look for", tile, -errno);
    if (st.st_nlink == 0) {
        log_error("cannot use tile %" PRIu32 ": the archive was removed", tile);
        return -EIO;
    }
    if (!dir->layout->rival_path)
        return -ENOENT;
    dir->layout->rival_path(tile, rival);
    rc = io_open_file(dir->dirfd, rival, O_RDONLY, &fd);
    if (rc == -ENOENT)
        return rc;
    if (rc && rc != -ELOOP && rc != -EINVAL)
        return complain(dir, "look for", tile, rc);
    if (!rc)
        close(fd);
    log_error("cannot use tile '%s': it is a JPEG picture, which this version cannot read", rival);
    return -EIO;
}

static int open_flags(const struct dir *dir, const char *path, int *write_error, int *fd)
{
    int rc;

    *write_error = 0;
    if (dir->read_only)
        return io_open(dir->dirfd, path, O_RDONLY, 0, fd);
    rc = io_open(dir->dirfd, path, O_RDWR, 0, fd);
    if (rc == -EACCES || rc == -EPERM || rc == -EROFS) {
        *write_error = rc;
        rc = io_open(dir->dirfd, path, O_RDONLY, 0, fd);
    }
    return rc;
}

static int cache_open(void *arg, uint32_t tile, struct fdcache_file *file)
{
    const struct dir *dir = arg;
    char path[LAYOUT_PATH];
    struct stat st;
    int rc;

    dir->layout->tile_path(tile, path);
    /* Opening a device may already do something. */
    if (fstatat(dir->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
        return not_regular(dir, tile);
    rc = open_flags(dir, path, &file->write_error, &file->fd);
    if (rc == -ENOENT)
        return absent(dir, tile);
    if (rc)
        return complain(dir, "open", tile, rc);
    if (fstat(file->fd, &st))
        rc = complain(dir, "open", tile, -errno);
    if (!rc && !S_ISREG(st.st_mode))
        rc = not_regular(dir, tile);
    /* Writing into it would make zeros of what is missing. */
    if (!rc && !dir->layout->short_tiles && (uint64_t)st.st_size < file_len(dir, tile)) {
        log_error("cannot open tile '%s': it has been cut short", path);
        rc = -EIO;
    }
    /* Of files that we could not write and do not own, the kernel claims that all is cached. */
    file->mappable = (!dir->read_only && !file->write_error) || st.st_uid == geteuid();
    /* The other name may be outside of the archive, or belong to a copy that is to stay. */
    if (!rc && st.st_nlink > 1 && !dir->read_only)
        file->write_error = -EMLINK;
    if (rc)
        close(file->fd);
    return rc;
}

static int cache_sync(void *arg, struct fdcache_file *file)
{
    int rc = io_fdatasync(file->fd);
    struct stat st;

    if (rc || fstat(file->fd, &st))
        return tell(arg, "bring to disk", file->tile, rc ? rc : -errno);
    if (st.st_nlink == 0 && !atomic_load(&file->leaving)) {
        log_error("cannot bring tile %" PRIu32 " to disk: its file was removed behind our back",
                  file->tile);
        return -EIO;
    }
    return 0;
}

/* The tile's file, to be written. */
static int get_writable(struct dir *dir, uint32_t tile, struct fdcache_file **file)
{
    int rc = fdcache_get(dir->cache, tile, file);

    if (!rc && (*file)->write_error) {
        /* Whatever stood in the way may be gone by now. */
        fdcache_drop(dir->cache, *file);
        rc = fdcache_get(dir->cache, tile, file);
    }
    if (!rc && (*file)->write_error) {
        rc = complain(dir, "write", tile, (*file)->write_error);
        fdcache_put(dir->cache, *file);
    }
    return rc;
}

static int dir_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    size_t got;
    int rc = fdcache_get(dir->cache, tile, &file);

    if (rc)
        return rc;
    rc = io_pread(file->fd, buf, len, dir->layout->payload + off, &got);
    fdcache_put(dir->cache, file);
    if (rc)
        return complain(dir, "read", tile, rc);
    if (got < len && !dir->layout->short_tiles) {
        char path[LAYOUT_PATH];

        dir->layout->tile_path(tile, path);
        log_error("cannot read tile '%s': it has been cut short", path);
        return -EIO;
    }
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
    int rc = fdcache_get(dir->cache, tile, &file);

    if (rc)
        return rc;
    off += dir->layout->payload;
    bytes = fdcache_bytes(dir->cache, file, off, len);
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

/* The file ends at end or later. */
static void grow(struct fdcache_file *file, uint64_t end)
{
    uint64_t size = atomic_load_explicit(&file->size, memory_order_relaxed);

    while (size < end && !atomic_compare_exchange_weak(&file->size, &size, end))
        ;
}

/* What of a write need not be stored because the file ends before it. */
static size_t cut_zeros(const struct dir *dir, const struct fdcache_file *file, uint64_t off,
                        const void *buf, size_t len)
{
    uint64_t size = atomic_load_explicit(&file->size, memory_order_relaxed);
    uint64_t start = dir->layout->payload + off;
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
    int rc = get_writable(dir, tile, &file);

    if (rc)
        return rc;
    len = cut_zeros(dir, file, off, buf, len);
    off += dir->layout->payload;
    /* Before the write: one that fails half-way has made the file longer, too. */
    grow(file, off + len);
    rc = io_pwrite(file->fd, buf, len, off);
    if (!atomic_load(&file->dirty))
        atomic_store(&file->dirty, true);
    fdcache_put(dir->cache, file);
    return rc ? complain(dir, "write", tile, rc) : 0;
}

static int dir_create(struct store *st, uint32_t tile)
{
    struct dir *dir = dir_of(st);
    char path[LAYOUT_PATH];
    const char *name;
    int folder, fd = -1;
    int rc = absent(dir, tile);

    if (rc != -ENOENT)
        return rc;
    rc = folders_make(&dir->folders, tile, path, &name, &folder);
    if (rc)
        return complain(dir, "create", tile, rc);
    if (dir->layout->short_tiles)
        rc = tilefile_create(folder, name, &fd);
    else
        rc = tilefile_create_full(folder, name, file_len(dir, tile), &fd);
    close(folder);
    if (rc == -EEXIST)
        return rc;
    /* After an error, too: without RENAME_NOREPLACE the name may be there all the same. */
    folders_touch(&dir->folders, tile);
    if (rc)
        return complain(dir, "create", tile, rc);
    fdcache_forget(dir->cache, tile); /* a file that somebody else removed */
    fdcache_add(dir->cache, tile, fd);
    return 0;
}

static int dir_remove(struct store *st, uint32_t tile)
{
    struct dir *dir = dir_of(st);
    char path[LAYOUT_PATH];
    const char *name;
    int folder;
    int rc = folders_open(&dir->folders, tile, path, &name, &folder);

    if (!rc) {
        fdcache_leaving(dir->cache, tile, true);
        rc = unlinkat(folder, name, 0) ? -errno : 0;
        close(folder);
    }
    if (!rc || rc == -ENOENT)
        fdcache_forget(dir->cache, tile);
    else
        fdcache_leaving(dir->cache, tile, false);
    if (rc == -ENOENT)
        return absent(dir, tile);
    if (rc)
        return complain(dir, "remove", tile, rc);
    folders_touch(&dir->folders, tile);
    return 0;
}

static int dir_zero(struct store *st, uint32_t tile, uint64_t off, uint64_t len, bool *empty)
{
    struct dir *dir = dir_of(st);
    uint64_t start = dir->layout->payload + off;
    struct fdcache_file *file;
    uint64_t size;
    int rc = get_writable(dir, tile, &file);

    if (rc)
        return rc;
    size = atomic_load(&file->size);
    if (dir->layout->short_tiles && start < size && start + len >= size) {
        rc = io_truncate(file->fd, start);
        if (!rc)
            atomic_store(&file->size, start);
    } else {
        rc = tilefile_punch(file->fd, start, start + len < size ? start + len : size);
    }
    atomic_store(&file->dirty, true);
    *empty = !rc && tilefile_is_empty(file->fd, dir->layout->payload);
    fdcache_put(dir->cache, file);
    return rc ? complain(dir, "zero part of", tile, rc) : 0;
}

static int dir_allocate(struct store *st, uint32_t tile, uint64_t off, uint64_t len)
{
    struct dir *dir = dir_of(st);
    struct fdcache_file *file;
    int rc = get_writable(dir, tile, &file);

    if (rc)
        return rc;
    /* A short file stays short: the space beyond its end is reserved all the same. */
    rc = io_fallocate(file->fd, FALLOC_FL_KEEP_SIZE, dir->layout->payload + off, len);
    atomic_store(&file->dirty, true);
    fdcache_put(dir->cache, file);
    return rc ? complain(dir, "reserve space for", tile, rc) : 0;
}

static int dir_seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what,
                    uint64_t *found)
{
    struct dir *dir = dir_of(st);
    uint64_t payload = dir->layout->payload;
    uint64_t tile_len = geometry_tile_len(&st->geometry, tile);
    struct fdcache_file *file;
    off_t at;
    int rc = fdcache_get(dir->cache, tile, &file);

    if (rc)
        return rc;
    at = lseek(file->fd, (off_t)(payload + off), what == STORE_DATA ? SEEK_DATA : SEEK_HOLE);
    if (at >= 0)
        *found = (uint64_t)at - payload < tile_len ? (uint64_t)at - payload : tile_len;
    else if (errno == ENXIO) /* nothing but a hole from off on */
        *found = what == STORE_DATA ? tile_len : off;
    else
        rc = complain(dir, "look for data in", tile, -errno);
    fdcache_put(dir->cache, file);
    return rc;
}

static int dir_stat(struct store *st, uint32_t tile, struct store_stat *out)
{
    struct dir *dir = dir_of(st);
    char path[LAYOUT_PATH];
    struct stat sb;
    const char *name;
    int folder;
    int rc = folders_open(&dir->folders, tile, path, &name, &folder);

    if (!rc) {
        rc = fstatat(folder, name, &sb, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
        close(folder);
    }
    if (rc == -ENOENT)
        return absent(dir, tile);
    if (rc)
        return complain(dir, "look at", tile, rc);
    if (!S_ISREG(sb.st_mode))
        return not_regular(dir, tile);
    *out = (struct store_stat){(uint64_t)sb.st_size, (uint64_t)sb.st_blocks, sb.st_mtim};
    return 0;
}

static bool dir_noted(struct store *st, uint32_t tile)
{
    return changes_noted(dir_of(st)->changes, tile);
}

static int dir_note(struct store *st, const uint32_t *tiles, size_t n)
{
    return mapped(changes_note(dir_of(st)->changes, tiles, n));
}

static int dir_mark(struct store *st, char epoch[STORE_EPOCH])
{
    return mapped(changes_mark(dir_of(st)->changes, epoch));
}

static void start_write_back(int fd)
{
    /* Only a head start: its errors are told by the sync that follows. */
    (void)!sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

static int dir_flush_start(struct store *st, uint32_t tile)
{
    fdcache_peek(dir_of(st)->cache, tile, start_write_back);
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
    int rc = mapped(folders_sync(&dir->folders));

    return rc ? rc : evicted;
}

static int dir_next(struct store *st, uint32_t tile, uint32_t *found)
{
    return folders_next(&dir_of(st)->folders, tile, found);
}

static int dir_space(struct store *st, struct statvfs *out)
{
    return fstatvfs(dir_of(st)->dirfd, out) ? -errno : 0;
}

static int dir_changed(struct store *st, struct timespec *out)
{
    folders_changed(&dir_of(st)->folders, out);
    return 0;
}

static void dir_close(struct store *st)
{
    struct dir *dir = dir_of(st);

    changes_close(dir->changes);
    fdcache_free(dir->cache);
    folders_release(&dir->folders);
    free(dir);
}

static const struct store_ops dir_ops = {
    .name = "dir",
    .read = dir_read,
    .lend = dir_lend,
    .write = dir_write,
    .create = dir_create,
    .remove = dir_remove,
    .zero = dir_zero,
    .allocate = dir_allocate,
    .seek = dir_seek,
    .stat = dir_stat,
    .next = dir_next,
    .noted = dir_noted,
    .note = dir_note,
    .mark = dir_mark,
    .flush_start = dir_flush_start,
    .flush = dir_flush,
    .flush_entries = dir_flush_entries,
    .space = dir_space,
    .changed = dir_changed,
    .close = dir_close,
};

int dir_open(const struct archive *archive, bool read_only, unsigned max_open, struct store **out)
{
    struct dir *dir = calloc(1, sizeof(*dir));
    struct fdcache_ops cache_ops = {.open = cache_open, .sync = cache_sync, .arg = dir};
    int rc = dir ? 0 : -ENOMEM;

    if (!rc) {
        dir->store = (struct store){&dir_ops, archive->index.geometry};
        dir->dirfd = archive->dirfd;
        dir->read_only = read_only;
        dir->layout = archive->index.layout;
        rc = folders_init(&dir->folders, archive->dirfd, dir->layout, dir->store.geometry.ntiles);
    }
    if (!rc)
        rc = fdcache_new(max_open, dir->layout->payload + dir->store.geometry.tile_size, &cache_ops,
                         &dir->cache);
    if (rc)
        log_error("cannot open archive '%s': %s", archive->path, strerror(-rc));
    if (!rc && !read_only)
        rc = changes_open(archive, &dir->changes);
    if (!rc) {
        *out = &dir->store;
        return 0;
    }
    if (dir)
        dir_close(&dir->store);
    return rc;
}
