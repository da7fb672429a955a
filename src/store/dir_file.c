/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One tile's file: how it is found, opened, checked, synced and made, and how its
 * errors are logged.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tile_head.h"
#include "archive/tilefile.h"
#include "base/io.h"
#include "base/log.h"
#include "cover/covers.h"
#include "store/dir_impl.h"

uint64_t dir_file_len(const struct dir *dir, uint32_t tile)
{
    return geometry_tile_len(store_geometry(&dir->store), tile);
}

int dir_file_mapped(int rc)
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

int dir_file_tell(const struct dir *dir, const char *verb, uint32_t tile, int rc)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    log_error("cannot %s tile '%s': %s", verb, path,
              rc == -EAGAIN    ? io_why(rc)
              : rc == -EMLINK  ? "it is a hard link, and its other name would change with it"
              : rc == -ENODATA ? "there is no picture for it; see 'mount --cover'"
                               : strerror(-rc));
    return dir_file_mapped(rc);
}

/* As dir_file_tell(), but for want of space, which is for others to tell. */
int dir_file_complain(const struct dir *dir, const char *verb, uint32_t tile, int rc)
{
    return io_is_full(rc) ? rc : dir_file_tell(dir, verb, tile, rc);
}

int dir_file_not_regular(const struct dir *dir, uint32_t tile)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    log_error("cannot use tile '%s': it is not a regular file", path);
    return -EIO;
}

int dir_file_replaced(const struct dir *dir, uint32_t tile)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    log_error("cannot write tile '%s': another program has replaced its file", path);
    return -EIO;
}

int dir_file_cut(const struct dir *dir, uint32_t tile)
{
    char path[LAYOUT_PATH];

    dir->layout->tile_path(tile, path);
    log_error("cannot use tile '%s': it has been cut short", path);
    return -EIO;
}

int dir_file_whole(const struct dir *dir, const struct fdcache_file *file)
{
    uint64_t tile_len = dir->layout->short_tiles ? 0 : dir_file_len(dir, file->tile);
    off_t size;

    if (file->payload + tile_len == 0)
        return 0;
    /* Half as dear as fstat(2), and the offset of the descriptor is nobody's. */
    size = lseek(file->fd, 0, SEEK_END);
    if (size < 0)
        return dir_file_complain(dir, "look at", file->tile, -errno);
    return (uint64_t)size < file->payload + tile_len ? dir_file_cut(dir, file->tile) : 0;
}

int dir_file_rival(const struct dir *dir, uint32_t tile)
{
    char rival[LAYOUT_PATH];
    int rc = folders_rival(&dir->folders, tile, rival);

    if (rc == -ENOENT)
        return rc;
    if (rc)
        return dir_file_complain(dir, "look for", tile, rc);
    log_error("cannot use tile %" PRIu32 ": another program named it '%s', which is not a valid "
              "name in layout %s; see 'mosaicfs check'",
              tile, rival, dir->layout->name);
    return -EIO;
}

int dir_file_absent(const struct dir *dir, uint32_t tile)
{
    struct stat st;

    if (fstat(dir->dirfd, &st))
        return dir_file_complain(dir, "look for", tile, -errno);
    /* What is removed has no entries. Some file systems count no names. */
    if (st.st_nlink > 0 ||
        faccessat(dir->dirfd, dir->layout->index, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return dir_file_rival(dir, tile);
    log_error("cannot use tile %" PRIu32 ": the archive was removed", tile);
    return -EIO;
}

bool dir_file_again(const struct dir *dir, int rc)
{
    return (rc == -EMFILE || rc == -ENFILE) && fdcache_relieve(dir->cache);
}

int dir_file_folder(const struct dir *dir, uint32_t tile, char path[LAYOUT_PATH], const char **name,
                    int *fd)
{
    int rc;

    do
        rc = folders_open(&dir->folders, tile, path, name, fd);
    while (dir_file_again(dir, rc));
    return rc;
}

static int open_file(const struct dir *dir, const char *path, int flags, int *fd)
{
    int rc;

    do
        rc = io_open(dir->dirfd, path, flags, 0, fd);
    while (dir_file_again(dir, rc));
    return rc;
}

/* Only who is to write asks for it: below it may cost a lease of others, or a copy of the file. */
static int open_as(const struct dir *dir, const char *path, struct fdcache_file *file)
{
    int rc;

    file->write_error = 0;
    if (!file->writing)
        return open_file(dir, path, O_RDONLY, &file->fd);
    rc = open_file(dir, path, O_RDWR, &file->fd);
    if (rc == -EACCES || rc == -EPERM || rc == -EROFS) {
        file->write_error = rc;
        rc = open_file(dir, path, O_RDONLY, &file->fd);
    }
    return rc;
}

/* Of files that we could not write and do not own, the kernel claims that all is cached. */
static bool is_mappable(const struct dir *dir, const char *path, const struct fdcache_file *file,
                        const struct stat *st)
{
    if (st->st_uid == dir->uid || (file->writing && !file->write_error))
        return true;
    return !dir->read_only && !file->writing && faccessat(dir->dirfd, path, W_OK, AT_EACCESS) == 0;
}

/* Where its bytes begin, if nothing is wrong with the file. */
static int look_inside(const struct dir *dir, uint32_t tile, uint64_t size,
                       struct fdcache_file *file)
{
    char path[LAYOUT_PATH];
    const char *why;
    int rc = tile_head_look(dir->archive, tile, file->fd, size, &file->payload, &why);

    if (rc && rc != -EBADMSG)
        return dir_file_complain(dir, "open", tile, rc);
    /* Writing into it would make zeros of what is missing. */
    if (!rc && (dir->layout->short_tiles || size >= file->payload + dir_file_len(dir, tile)))
        return 0;
    dir->layout->tile_path(tile, path);
    log_error("cannot open tile '%s': %s", path, rc ? why : "it has been cut short");
    return -EIO;
}

int dir_file_open(void *arg, struct fdcache_file *file)
{
    const struct dir *dir = arg;
    uint32_t tile = file->tile;
    char path[LAYOUT_PATH];
    struct stat st;
    int rc;

    dir->layout->tile_path(tile, path);
    /* Opening a device may already do something. */
    if (fstatat(dir->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
        return dir_file_not_regular(dir, tile);
    rc = open_as(dir, path, file);
    if (rc == -ENOENT)
        return dir_file_absent(dir, tile);
    if (rc)
        return dir_file_complain(dir, "open", tile, rc);
    if (fstat(file->fd, &st))
        rc = dir_file_complain(dir, "open", tile, -errno);
    if (!rc && !S_ISREG(st.st_mode))
        rc = dir_file_not_regular(dir, tile);
    if (!rc)
        rc = look_inside(dir, tile, (uint64_t)st.st_size, file);
    if (rc) {
        close(file->fd);
        return rc;
    }
    file->mappable = is_mappable(dir, path, file, &st);
    dir_replaced_met(dir, tile, &st);
    /* The other name may be outside of the archive, or belong to a copy that is to stay. */
    if (st.st_nlink > 1 && file->writing)
        file->write_error = -EMLINK;
    return 0;
}

bool dir_file_named(const struct dir *dir, const struct fdcache_file *file)
{
    char path[LAYOUT_PATH];
    struct stat named, st;

    dir->layout->tile_path(file->tile, path);
    return fstatat(dir->dirfd, path, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(file->fd, &st) == 0 && named.st_dev == st.st_dev && named.st_ino == st.st_ino;
}

int dir_file_sync(void *arg, struct fdcache_file *file)
{
    const struct dir *dir = arg;
    int rc = io_fdatasync(file->fd);
    unsigned links;

    if (!rc)
        rc = io_links(file->fd, &links);
    if (rc)
        return dir_file_tell(dir, "sync", file->tile, rc);
    /* Without names? Some file systems count them wrong, once one of two is gone. */
    if (links == 0 && !dir_file_named(dir, file) && !atomic_load(&file->leaving)) {
        log_error("cannot sync tile %" PRIu32 ": another program has removed its file", file->tile);
        return -EIO;
    }
    return 0;
}

int dir_file_replace(struct dir *dir, struct fdcache_file *file, const void *head, size_t head_len,
                     uint64_t off)
{
    uint32_t tile = file->tile;
    char path[LAYOUT_PATH];
    const char *name;
    struct stat st;
    int folder;
    int rc = fstat(file->fd, &st) ? -errno : 0;

    if (!rc)
        rc = dir_file_folder(dir, tile, path, &name, &folder);
    if (rc)
        return rc;
    fdcache_leaving(dir->cache, tile, true);
    dir_replaced_forget(dir, tile);
    do
        rc = tilefile_replace(folder, name, head, head_len, file->fd, off, &st, false);
    while (dir_file_again(dir, rc));
    close(folder);
    folders_touch(&dir->folders, tile);
    if (rc)
        fdcache_leaving(dir->cache, tile, false);
    else
        fdcache_forget(dir->cache, tile);
    return rc;
}

/* Whether the file may be written. */
static int check_writable(struct dir *dir, struct fdcache_file *file)
{
    int rc = atomic_load(&file->write_error);

    if (rc == -EMLINK)
        rc = dir_snapshot_free(dir, file);
    else if (rc)
        rc = dir_file_complain(dir, "write", file->tile, rc);
    /* Each time: what we know of its size is not what somebody else has made of it. */
    return rc ? rc : dir_file_whole(dir, file);
}

/* Whatever stood in the way of writing may be gone by now. */
static bool is_out_of_date(const struct dir *dir, const struct fdcache_file *file)
{
    int error = atomic_load(&file->write_error);

    return error && (error != -EMLINK || !dir_file_named(dir, file));
}

int dir_file_writable(struct dir *dir, uint32_t tile, struct fdcache_file **file)
{
    int rc = fdcache_get(dir->cache, tile, true, file);

    if (!rc && is_out_of_date(dir, *file)) {
        fdcache_drop(dir->cache, *file);
        rc = fdcache_get(dir->cache, tile, true, file);
    }
    if (rc == -ESTALE)
        return dir_file_replaced(dir, tile);
    if (!rc) {
        rc = check_writable(dir, *file);
        if (rc)
            fdcache_put(dir->cache, *file);
    }
    return rc;
}

struct making {
    int folder;
    const char *name;
    uint64_t len; /* of the tile's bytes behind the head */
    int *fd;
    uint64_t *payload;
};

static int make_behind(void *arg, const void *head, size_t head_len)
{
    const struct making *m = arg;

    *m->payload = head_len;
    return tilefile_create_whole(m->folder, m->name, head, head_len, head_len + m->len, m->fd);
}

int dir_file_make(const struct dir *dir, uint32_t tile, int folder, const char *name, int *fd,
                  uint64_t *payload)
{
    uint64_t len = dir->layout->short_tiles ? 0 : dir_file_len(dir, tile);
    struct making making = {folder, name, len, fd, payload};

    *payload = 0;
    if (dir->layout->head != LAYOUT_BARE)
        return covers_make(dir->covers, tile, make_behind, &making);
    return len ? tilefile_create_whole(folder, name, NULL, 0, len, fd)
               : tilefile_create(folder, name, fd);
}
