/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file .mosaicfs/lock. It is written atomically and is durable then, also on a
 * disk that is full: see write_without_space().
 */
#include "owner/owner_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "format/format.h"

#define LOCK "lock"   /* in the private directory */
#define SPARE "spare" /* what a record can be written into when the disk is full */

/*
 * On a disk that is full to the last block or inode: a file that has its block is
 * written in place, the lock itself or, where there is none, the one that the last
 * writer left under the name of SPARE. That gets its name when it is whole and on disk; a
 * lock that is torn by a power cut is refused as damaged. full: the error to return where there
 * is no such file.
 */
static int write_without_space(int dirfd, const char *text, size_t len, enum io_replace_mode mode,
                               int full)
{
    unsigned links;
    int fd;
    int rc = io_open_file(dirfd, mode == IO_NEW ? SPARE : LOCK, O_WRONLY, &fd);

    if (rc)
        return rc == -ENOENT ? full : rc;
    rc = io_links(fd, &links);
    if (!rc && links != 1)
        rc = full; /* it may be that of a copy, too */
    if (!rc)
        rc = io_pwrite(fd, text, len, 0);
    if (!rc)
        rc = io_truncate(fd, len);
    if (!rc)
        rc = io_fdatasync(fd);
    close(fd);
    if (!rc && mode == IO_NEW)
        rc = io_rename_new(dirfd, SPARE, LOCK);
    return rc ? rc : io_sync_dir(dirfd, ".");
}

/* The lock has this text already, and may lack the sync of its name alone. */
static bool is_written(int dirfd, const char *text, size_t len)
{
    char there[RECORD_MAX];
    size_t n;

    return io_read_file(dirfd, LOCK, there, sizeof(there), &n) == 0 && n == len &&
           memcmp(there, text, len) == 0;
}

int owner_record_write(const struct archive *archive, const struct record *record,
                       enum io_replace_mode mode)
{
    char text[RECORD_MAX];
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (!rc) {
        size_t len = record_print(record, text);

        rc = io_replace(fd, LOCK, text, len, mode);
        if (io_is_full(rc))
            rc = is_written(fd, text, len) ? io_sync_dir(fd, ".")
                                           : write_without_space(fd, text, len, mode, rc);
        close(fd);
    }
    if (rc == -EEXIST)
        return rc;
    if (rc)
        log_error("cannot write the lock '%s/%s': %s", archive->path, FORMAT_LOCK_NAME,
                  strerror(-rc));
    if (rc == -EROFS || rc == -EACCES)
        log_note("to mount without writing, use 'mosaicfs mount --read-only'");
    if (io_is_full(rc))
        log_note("free some space on that file system, a few KiB are enough; once it is mounted, "
                 "deleting files in the drive and trimming it (fstrim) frees more");
    return rc;
}

int owner_record_read(const struct archive *archive, struct record *record)
{
    char text[RECORD_MAX];
    size_t len;
    int fd;
    int rc = archive_private(archive, false, &fd);

    if (rc)
        return rc;
    rc = io_read_file(fd, LOCK, text, sizeof(text), &len);
    close(fd);
    if (!rc && len == 0)
        rc = -ENOENT;
    return rc ? rc : record_parse(text, len, record);
}

int owner_record_complain(const struct archive *archive, int rc)
{
    log_error("cannot read the lock '%s/%s': %s", archive->path, FORMAT_LOCK_NAME,
              rc == -EBADMSG ? "it is damaged" : io_why(rc));
    return rc;
}

/* For a new lock, when this one is gone. */
static bool has_room(const struct archive *archive)
{
    struct statvfs vfs;

    return fstatvfs(archive->dirfd, &vfs) == 0 && vfs.f_bavail > 0 && vfs.f_favail > 0;
}

void owner_record_remove(const struct archive *archive, bool mounted)
{
    bool keep = mounted || !has_room(archive);
    int fd;
    int rc = archive_private(archive, false, &fd);

    if (!rc) {
        rc = keep && renameat(fd, LOCK, fd, SPARE) == 0 ? 0 : -ENOENT;
        if (rc)
            rc = unlinkat(fd, LOCK, 0) ? -errno : 0;
        close(fd);
    }
    if (rc)
        log_warn("cannot remove the lock '%s/%s': %s", archive->path, FORMAT_LOCK_NAME,
                 strerror(-rc));
}
