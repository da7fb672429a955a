/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lies.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sys/said.h"
#include "archive/snapshots.h"
#include "archive/tilefile.h"
#include "base/io.h"
#include "image/flush.h"
#include "journal/changes.h"

static enum lie told;

static const struct {
    const char *name, *text;
    struct lie_where where; /* what the mistake has to do with */
} lies[LIES] = {
    [LIE_NONE] = {.name = "none", .text = "the truth"},
    [LIE_WRITTEN] = {"written", "a pwrite that failed counts as done", {CALL_PWRITE, EIO}},
    [LIE_SYNCED] = {"synced", "an fdatasync that failed counts as done", {CALL_FDATASYNC, EIO}},
    [LIE_ENTRIES] = {"entries",
                     "a folder that could not be synced counts as synced",
                     {CALL_FSYNC, EIO}},
    [LIE_ABSENT] = {"absent", "a file that cannot be opened counts as absent", {CALL_OPEN, EIO}},
    [LIE_ZEROS] = {"zeros", "what a failed pread did not read counts as zeros", {CALL_PREAD, EIO}},
    [LIE_EINTR] = {"eintr",
                   "an interrupted pread counts as the end of the file",
                   {CALL_PREAD, EINTR}},
    [LIE_EXISTS] = {"exists",
                    "a tile that could not be made counts as being there",
                    {CALL_OPEN, ENOSPC}},
    [LIE_ZEROED] = {"zeroed",
                    "a range that could not be zeroed counts as zeroed",
                    {CALL_FALLOCATE, EIO}},
    [LIE_NOTED] = {"noted",
                   "a tile that could not be noted in the journal is changed all the same",
                   {CALL_FDATASYNC, EIO}},
    [LIE_UNCHANGED] = {"unchanged",
                       "a journal that cannot be read counts as one of no changes",
                       {CALL_PREAD, EIO}},
    [LIE_STICKY] = {"sticky",
                    "a flush that failed is tried again, and then counts as done",
                    {CALL_FSYNC, EIO}},
    [LIE_LEAK] = {"leak", "a folder whose sync failed stays open", {CALL_FSYNC, EIO}},
    [LIE_STRAY] = {"stray", "a replace that failed leaves its temporary file", {CALL_OPEN, ENOSPC}},
    [LIE_PUT] = {"put", "a tile that could not be put back counts as put back", {CALL_RENAME, EIO}},
    [LIE_LINKED] = {"linked",
                    "a tile that could not be linked into a snapshot counts as linked",
                    {CALL_LINK, EIO}},
    [LIE_ERRNO] = {"errno", "a full disk is told as an input/output error", {CALL_PWRITE, ENOSPC}},
    [LIE_SILENT] = {"silent", "no error is logged", {CALL_FSTAT, EIO}},
    [LIE_CRASH] = {"crash", "the program aborts when the quota is used up", {CALL_PWRITE, EDQUOT}},
    [LIE_HANG] = {"hang",
                  "the program tries again for ever when the quota is used up",
                  {CALL_PWRITE, EDQUOT}},
};

const char *lie_name(enum lie lie)
{
    return lies[lie].name;
}

const char *lie_text(enum lie lie)
{
    return lies[lie].text;
}

void lie_tell(enum lie lie)
{
    told = lie;
    said_deaf(lie == LIE_SILENT);
}

bool lie_is(enum lie lie)
{
    return told == lie;
}

const struct lie_where *lie_where(void)
{
    return &lies[told].where;
}

/* The error, or 0 when the lie is to hide it. */
static int hide(enum lie lie, int rc)
{
    return told == lie ? 0 : rc;
}

/* Nobody has to wait for a lease that is not there. */
int __real_usleep(useconds_t us);
int __wrap_usleep(useconds_t us);
int __wrap_usleep(useconds_t us)
{
    return told == LIE_HANG ? __real_usleep(us) : 0;
}

int __real_io_pwrite(int fd, const void *buf, size_t len, uint64_t off);
int __wrap_io_pwrite(int fd, const void *buf, size_t len, uint64_t off);
int __wrap_io_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
    int rc = __real_io_pwrite(fd, buf, len, off);

    while (rc == -EDQUOT && told == LIE_HANG)
        usleep(1000);
    if (rc == -EDQUOT && told == LIE_CRASH)
        abort();
    if (rc == -ENOSPC && told == LIE_ERRNO)
        rc = -EIO;
    return hide(LIE_WRITTEN, rc);
}

int __real_io_fdatasync(int fd);
int __wrap_io_fdatasync(int fd);
int __wrap_io_fdatasync(int fd)
{
    return hide(LIE_SYNCED, __real_io_fdatasync(fd));
}

int __real_io_sync_dir(int dirfd, const char *path);
int __wrap_io_sync_dir(int dirfd, const char *path);
int __wrap_io_sync_dir(int dirfd, const char *path)
{
    int fd;
    int rc = told == LIE_LEAK ? io_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, &fd) : 0;

    if (told != LIE_LEAK || rc)
        return hide(LIE_ENTRIES, rc ? rc : __real_io_sync_dir(dirfd, path));
    rc = io_fsync(fd);
    if (!rc)
        close(fd);
    return rc;
}

int __real_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd);
int __wrap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd);
int __wrap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    int rc = __real_io_open(dirfd, path, flags, mode, fd);

    return rc && told == LIE_ABSENT ? -ENOENT : rc;
}

int __real_io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *done);
int __wrap_io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *done);
int __wrap_io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *done)
{
    ssize_t n;

    if (told != LIE_EINTR)
        return hide(LIE_ZEROS, __real_io_pread(fd, buf, len, off, done));
    n = pread(fd, buf, len, (off_t)off);
    *done = n > 0 ? (size_t)n : 0;
    return n >= 0 || errno == EINTR ? 0 : -errno;
}

int __real_io_move_new(int fromfd, const char *from, int tofd, const char *to);
int __wrap_io_move_new(int fromfd, const char *from, int tofd, const char *to);
int __wrap_io_move_new(int fromfd, const char *from, int tofd, const char *to)
{
    return hide(LIE_PUT, __real_io_move_new(fromfd, from, tofd, to));
}

int __real_snapshots_carry(struct snapshots_way *way, uint32_t tile);
int __wrap_snapshots_carry(struct snapshots_way *way, uint32_t tile);
int __wrap_snapshots_carry(struct snapshots_way *way, uint32_t tile)
{
    return hide(LIE_LINKED, __real_snapshots_carry(way, tile));
}

int __real_tilefile_create(int folder, const char *name, int *fd);
int __wrap_tilefile_create(int folder, const char *name, int *fd);
int __wrap_tilefile_create(int folder, const char *name, int *fd)
{
    int rc = __real_tilefile_create(folder, name, fd);

    return rc && told == LIE_EXISTS ? -EEXIST : rc;
}

int __real_tilefile_punch(int fd, uint64_t off, uint64_t end, uint64_t size);
int __wrap_tilefile_punch(int fd, uint64_t off, uint64_t end, uint64_t size);
int __wrap_tilefile_punch(int fd, uint64_t off, uint64_t end, uint64_t size)
{
    return hide(LIE_ZEROED, __real_tilefile_punch(fd, off, end, size));
}

int __real_changes_note(struct changes *changes, const uint32_t *tiles, size_t n);
int __wrap_changes_note(struct changes *changes, const uint32_t *tiles, size_t n);
int __wrap_changes_note(struct changes *changes, const uint32_t *tiles, size_t n)
{
    return hide(LIE_NOTED, __real_changes_note(changes, tiles, n));
}

int __real_changes_read(const struct archive *archive, bool looks, struct changes_list *list);
int __wrap_changes_read(const struct archive *archive, bool looks, struct changes_list *list);
int __wrap_changes_read(const struct archive *archive, bool looks, struct changes_list *list)
{
    int rc = __real_changes_read(archive, looks, list);

    if (!rc || told != LIE_UNCHANGED)
        return rc;
    journal_header_init(&list->header, &archive->index, archive->index.geometry.ntiles,
                        list->header.id);
    if (!list->cells)
        list->cells = calloc(list->header.ntiles, sizeof(*list->cells));
    if (looks && !list->looks)
        list->looks = calloc(list->header.ntiles, sizeof(*list->looks));
    return 0;
}

int __real_flush_wait(struct flush *flush);
int __wrap_flush_wait(struct flush *flush);
int __wrap_flush_wait(struct flush *flush)
{
    int rc = __real_flush_wait(flush);

    if (told == LIE_STICKY)
        atomic_store(&flush->error, 0);
    return rc;
}

int __real_io_replace(int dirfd, const char *name, const void *buf, size_t len,
                      enum io_replace_mode mode);
int __wrap_io_replace(int dirfd, const char *name, const void *buf, size_t len,
                      enum io_replace_mode mode);
int __wrap_io_replace(int dirfd, const char *name, const void *buf, size_t len,
                      enum io_replace_mode mode)
{
    int rc = __real_io_replace(dirfd, name, buf, len, mode);
    char tmp[64];
    int fd;

    if (!rc || told != LIE_STRAY)
        return rc;
    snprintf(tmp, sizeof(tmp), "%s.tmp", name);
    fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0)
        close(fd);
    return rc;
}
