/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Raw bytes, in a file or on a block device, as an end of a conversion.
 *
 * A file NAME is written as NAME.convert, beside NAME.convert.mark, which is there first, tells
 * the source and the position, and is locked by nobody: the lock is on NAME.convert. When all is
 * on disk it is renamed, which replaces nothing, and the mark goes. So after a crash there is
 *
 *   the mark alone            nothing was written yet: it begins
 *   both                      it goes on at the position; what lies behind it is cut off
 *   NAME and the mark         it is whole; the mark goes
 *   NAME.convert alone        it is none of ours, and refused
 *
 * A block device has no mark: begun again, all is written again. What the image has no data for
 * is zeroed there.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "base/copy.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "drive/convert_impl.h"
#include "format/format.h"

#define MODE 0600        /* as a new archive: what is on a drive is its owner's */
#define ZEROS (64 << 10) /* written at once where the kernel cannot zero */
#define TMP ".convert"
#define MARK TMP ".mark"

struct raw_end {
    struct convert_end end;
    int fd;
    uint64_t bytes; /* of a source: what it has; the image may be longer by part of a sector */
    bool holes;     /* what is told of holes is true */
    char base[NAME_MAX + 1]; /* of a file that is a target: its name, in end.mark.dirfd */
};

static struct raw_end *of(struct convert_end *end)
{
    return (struct raw_end *)end;
}

static int complain(const struct convert_end *end, const char *verb, int rc)
{
    if (rc && !io_is_full(rc))
        log_error("cannot %s '%s': %s", verb, end->name, strerror(-rc));
    return rc;
}

/* --- operations ---------------------------------------------------------------------------------
 */

static int raw_extent(struct convert_end *end, uint64_t off, uint64_t *data, uint64_t *stop)
{
    struct raw_end *raw = of(end);
    off_t at = (off_t)off, hole = -1;

    if (off >= raw->bytes)
        return -ENXIO;
    if (raw->holes) {
        at = lseek(raw->fd, (off_t)off, SEEK_DATA);
        if (at < 0 && errno == ENXIO)
            return -ENXIO;
        hole = at < 0 ? -1 : lseek(raw->fd, at, SEEK_HOLE);
        if (hole < 0)
            return complain(end, "look for data in", -errno);
    }
    *data = (uint64_t)at;
    *stop = hole < 0 || (uint64_t)hole > raw->bytes ? raw->bytes : (uint64_t)hole;
    return *data < *stop ? 0 : -ENXIO;
}

static int raw_read(struct convert_end *end, uint64_t off, void *buf, size_t len)
{
    struct raw_end *raw = of(end);
    size_t got;
    int rc = io_pread(raw->fd, buf, len, off, &got);

    if (!rc && got < len && off + got < raw->bytes) {
        log_error("cannot read '%s': it was cut short meanwhile", end->name);
        return -EIO;
    }
    if (!rc)
        memset((char *)buf + got, 0, len - got);
    return complain(end, "read", rc);
}

static int raw_lend_file(struct convert_end *end, uint64_t off, uint64_t len, store_use_file *use,
                         void *arg)
{
    return use(arg, of(end)->fd, off, len);
}

static int raw_write(struct convert_end *end, uint64_t off, const void *buf, size_t len)
{
    return complain(end, "write", io_pwrite(of(end)->fd, buf, len, off));
}

static int raw_clone(struct convert_end *end, uint64_t off, uint64_t len, int fd, uint64_t fd_off)
{
    int rc = copy_share(fd, fd_off, of(end)->fd, off, len);

    return rc == -EOPNOTSUPP ? rc : complain(end, "write", rc);
}

static int write_zeros(int fd, uint64_t off, uint64_t len)
{
    static const char zeros[ZEROS];
    int rc = 0;

    while (!rc && len > 0) {
        size_t n = len < ZEROS ? (size_t)len : ZEROS;

        rc = io_pwrite(fd, zeros, n, off);
        off += n;
        len -= n;
    }
    return rc;
}

/* Without blocks where the device can, by the kernel where it knows how, else by hand. */
static int device_zero(struct convert_end *end, uint64_t off, uint64_t len)
{
    int fd = of(end)->fd;
    int rc = io_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len);

    if (rc == -EOPNOTSUPP)
        rc = io_fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, off, len);
    if (rc == -EOPNOTSUPP || rc == -EINVAL)
        rc = write_zeros(fd, off, len);
    return complain(end, "zero part of", rc);
}

static int raw_sync(struct convert_end *end)
{
    return complain(end, "sync", io_fdatasync(of(end)->fd));
}

/* --- the life of a target -----------------------------------------------------------------------
 */

static int file_finish(struct convert_end *end, uint32_t *tiles)
{
    struct raw_end *raw = of(end);
    char tmp[NAME_MAX + 1];
    int rc = io_fsync(raw->fd);

    *tiles = 0;
    strcpy(stpcpy(tmp, raw->base), TMP);
    if (!rc)
        rc = io_rename_new(end->mark.dirfd, tmp, raw->base);
    if (!rc)
        rc = io_fsync(end->mark.dirfd);
    if (rc)
        return complain(end, "finish", rc);
    return convert_mark_remove(end);
}

static int device_finish(struct convert_end *end, uint32_t *tiles)
{
    *tiles = 0;
    return complain(end, "sync", io_fsync(of(end)->fd));
}

static int raw_close(struct convert_end *end)
{
    struct raw_end *raw = of(end);

    if (raw->fd >= 0)
        close(raw->fd);
    if (end->mark.dirfd >= 0)
        close(end->mark.dirfd);
    free(raw);
    return 0;
}

/* Name is for messages. NULL: no memory, logged. */
static struct raw_end *new_end(const struct convert_ops *ops, const char *name)
{
    struct raw_end *raw = calloc(1, sizeof(*raw));

    if (!raw) {
        log_error("cannot open '%s': %s", name, strerror(ENOMEM));
        return NULL;
    }
    raw->end.ops = ops;
    raw->end.mark.dirfd = raw->fd = -1;
    snprintf(raw->end.name, sizeof(raw->end.name), "%s", name);
    return raw;
}

/* --- a source -----------------------------------------------------------------------------------
 */

static int look(struct convert_end *end, struct conversion *conversion)
{
    unsigned char digest[HASH_RAW];
    struct stat st;
    int rc = fstat(of(end)->fd, &st) ? -errno : 0;

    if (!rc) {
        const uint64_t look[] = {(uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                                 (uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_ctim.tv_sec,
                                 (uint64_t)st.st_ctim.tv_nsec};

        conversion->source = S_ISREG(st.st_mode) ? CONVERSION_FILE : CONVERSION_ONCE;
        conversion->inode = st.st_ino;
        rc = hash_raw(look, sizeof(look), digest);
    }
    if (rc)
        return complain(end, "look at", rc);
    hash_hex(digest, conversion->looks);
    return 0;
}

static int raw_same(struct convert_end *end)
{
    struct conversion now;
    int rc = look(end, &now);

    if (rc || now.source == CONVERSION_ONCE || strcmp(now.looks, end->conversion.looks) == 0)
        return rc;
    log_error("'%s' has changed while it was read: another program writes to it", end->name);
    return -ESTALE;
}

static const struct convert_ops source_ops = {
    .extent = raw_extent,
    .read = raw_read,
    .lend_file = raw_lend_file,
    .same = raw_same,
    .close = raw_close,
};

/* A pipe would wait for somebody to open it, and a terminal or a tape may do anything. */
static int open_source(struct raw_end *raw, const char *path, int fd)
{
    struct stat st;

    if (fd < 0 && stat(path, &st))
        return complain(&raw->end, "open", -errno);
    if (fd < 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
        log_error("cannot convert '%s': it is neither an archive, nor a file, nor a block device",
                  path);
        log_note("standard input, '-', can be a pipe");
        return -EINVAL;
    }
    raw->fd = fd < 0 ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : dup(fd);
    return raw->fd < 0 ? complain(&raw->end, "open", -errno) : 0;
}

static int measure(struct raw_end *raw)
{
    off_t bytes = lseek(raw->fd, 0, SEEK_END);

    if (bytes < 0)
        return complain(&raw->end, "look at", -errno);
    if (bytes == 0) {
        log_error("cannot convert '%s': it is empty", raw->end.name);
        return -EINVAL;
    }
    raw->bytes = (uint64_t)bytes;
    raw->end.size = (raw->bytes + FORMAT_SECTOR - 1) / FORMAT_SECTOR * FORMAT_SECTOR;
    if (raw->end.size > FORMAT_SIZE_MAX) {
        log_error("cannot convert '%s': it is too large", raw->end.name);
        return -EFBIG;
    }
    if (raw->end.size != raw->bytes)
        log_warn("the size of '%s' is not a multiple of %d bytes: zeros are added", raw->end.name,
                 FORMAT_SECTOR);
    return 0;
}

int convert_raw_source(const char *path, int fd, struct convert_end **out)
{
    struct raw_end *raw = new_end(&source_ops, path);
    int rc = raw ? open_source(raw, path, fd) : -ENOMEM;

    if (!rc)
        rc = measure(raw);
    if (!rc)
        rc = look(&raw->end, &raw->end.conversion);
    if (rc) {
        (void)convert_close(raw ? &raw->end : NULL);
        return rc;
    }
    raw->end.conversion.size = raw->end.size;
    raw->holes = raw->end.conversion.source == CONVERSION_FILE && fs_known(raw->fd);
    *out = &raw->end;
    return 0;
}

/* --- a file as a target -------------------------------------------------------------------------
 */

static const struct convert_ops file_ops = {
    .read = raw_read,
    .lend_file = raw_lend_file,
    .write = raw_write,
    .clone = raw_clone,
    .sync = raw_sync,
    .finish = file_finish,
    .close = raw_close,
};

/* The directory, the name in it. */
static int find_place(struct raw_end *raw, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    char parent[PATH_MAX], real[PATH_MAX], around[PATH_MAX];
    int rc = 0;

    snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    if (!base[0] || strlen(base) + strlen(MARK) > NAME_MAX)
        rc = base[0] ? -ENAMETOOLONG : -EISDIR;
    if (!rc && !realpath(parent, real))
        rc = -errno;
    if (!rc) {
        raw->end.mark.dirfd = open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = raw->end.mark.dirfd < 0 ? -errno : inherit_from(raw->end.mark.dirfd);
    }
    if (rc)
        return complain(&raw->end, "create", rc);
    strcpy(raw->base, base);
    strcpy(stpcpy(raw->end.mark.name, base), MARK);
    if (strlen(real) + sizeof("/.") > sizeof(real))
        return complain(&raw->end, "create", -ENAMETOOLONG);
    strcat(real, "/."); /* the directory itself may be an archive */
    if (!archive_within(real, around))
        return 0;
    log_error("cannot create '%s': it lies in archive '%s', where nothing else belongs", path,
              around);
    return -EEXIST;
}

static int refuse(const struct raw_end *raw, const char *name)
{
    log_error("'%s' exists already; it was left as it is", name ? name : raw->end.name);
    return -EEXIST;
}

static bool exists(const struct raw_end *raw, const char *name)
{
    return faccessat(raw->end.mark.dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The last step of a run that was interrupted then. */
static int refuse_whole(struct raw_end *raw, const char *tmp)
{
    if (exists(raw, raw->end.mark.name) && !exists(raw, tmp))
        (void)!convert_mark_remove(&raw->end);
    return refuse(raw, NULL);
}

/* The mark first. */
static int begin(struct raw_end *raw, const char *tmp, const struct convert_end *source)
{
    int rc;

    raw->end.conversion = source->conversion;
    if (exists(raw, tmp))
        return refuse(raw, tmp);
    if (exists(raw, raw->end.mark.name))
        (void)!convert_mark_remove(&raw->end);
    rc = convert_mark_make(&raw->end);
    return rc && io_is_full(rc) ? complain(&raw->end, "create", -EIO) : rc;
}

/* The file of the mark, which it may not have come to. */
static int open_tmp(struct raw_end *raw, const char *tmp)
{
    int dirfd = raw->end.mark.dirfd;
    int rc = io_open_file(dirfd, tmp, O_RDWR, &raw->fd);

    if (rc == -ENOENT) {
        raw->end.start = raw->end.conversion.done = 0;
        rc = inherit_create_as(dirfd, tmp, O_RDWR, MODE, &raw->fd);
    }
    if (!rc)
        rc = io_flock(raw->fd, LOCK_EX | LOCK_NB);
    if (rc == -EWOULDBLOCK) {
        log_error("'%s' is in use by another process", tmp);
        return -EBUSY;
    }
    if (!rc)
        rc = io_truncate(raw->fd, raw->end.start);
    if (!rc)
        rc = io_truncate(raw->fd, raw->end.size);
    return complain(&raw->end, "write", rc);
}

static int open_file(struct raw_end *raw, const char *path, const struct convert_end *source)
{
    char tmp[NAME_MAX + 1];
    struct conversion mark;
    int rc = find_place(raw, path);

    if (rc)
        return rc;
    strcpy(stpcpy(tmp, raw->base), TMP);
    raw->bytes = raw->end.size = source->size;
    if (exists(raw, raw->base))
        return refuse_whole(raw, tmp);
    rc = convert_mark_read(&raw->end, &mark);
    if (rc == -ENOENT)
        rc = begin(raw, tmp, source);
    else if (!rc && exists(raw, tmp))
        rc = convert_mark_resume(&raw->end, &mark, source);
    else if (!rc)
        rc = begin(raw, tmp, source);
    return rc ? rc : open_tmp(raw, tmp);
}

int convert_raw_file(const char *path, const struct convert_end *source, struct convert_end **out)
{
    struct raw_end *raw = new_end(&file_ops, path);
    int rc = raw ? open_file(raw, path, source) : -ENOMEM;

    if (rc) {
        (void)convert_close(raw ? &raw->end : NULL);
        return rc;
    }
    *out = &raw->end;
    return 0;
}

/* --- a block device as a target -----------------------------------------------------------------
 */

static const struct convert_ops device_ops = {
    .read = raw_read,
    .lend_file = raw_lend_file,
    .write = raw_write,
    .zero = device_zero,
    .sync = raw_sync,
    .finish = device_finish,
    .close = raw_close,
};

static int open_device(struct raw_end *raw, const char *path, const struct convert_end *source)
{
    off_t size;

    /* O_EXCL: not while it is mounted, or part of something that is in use. */
    raw->fd = open(path, O_RDWR | O_EXCL | O_NONBLOCK | O_CLOEXEC);
    if (raw->fd < 0 && errno == EBUSY) {
        log_error("cannot write to '%s': it is in use", path);
        return -EBUSY;
    }
    size = raw->fd < 0 ? -1 : lseek(raw->fd, 0, SEEK_END);
    if (size < 0)
        return complain(&raw->end, "open", -errno);
    if ((uint64_t)size < source->size) {
        log_error("cannot write to '%s': it has %llu bytes, and the image %llu", path,
                  (unsigned long long)size, (unsigned long long)source->size);
        return -ENOSPC;
    }
    raw->bytes = raw->end.size = source->size;
    if ((uint64_t)size > source->size)
        log_note("'%s' is larger than the image: what lies behind it is left as it is", path);
    return 0;
}

int convert_raw_device(const char *path, const struct convert_end *source, struct convert_end **out)
{
    struct raw_end *raw = new_end(&device_ops, path);
    int rc = raw ? open_device(raw, path, source) : -ENOMEM;

    if (rc) {
        (void)convert_close(raw ? &raw->end : NULL);
        return rc;
    }
    *out = &raw->end;
    return 0;
}
