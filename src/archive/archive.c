/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The handle of an archive: its directory, its private directory. How one comes to be
 * stands in archive_create.c, what its index is in archive_index.c.
 */
#include "archive/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "archive/detect.h"
#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "format/format.h"

/* Info.plist alone is what many directories of a Mac have. */
static bool is_archive(int dirfd)
{
    struct stat st;

    return !fstatat(dirfd, FORMAT_INDEX_NAME, &st, AT_SYMLINK_NOFOLLOW) ||
           (archive_index_exists(dirfd) &&
            !fstatat(dirfd, FORMAT_BUNDLE_BANDS, &st, AT_SYMLINK_NOFOLLOW));
}

bool archive_within(const char *path, char around[PATH_MAX])
{
    bool within = false;
    char *slash;

    snprintf(around, PATH_MAX, "%s", path);
    while (!within && (slash = strrchr(around, '/')) != NULL) {
        int fd;

        *slash = '\0';
        fd = open(around[0] ? around : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        within = fd >= 0 && is_archive(fd);
        if (fd >= 0)
            close(fd);
    }
    return within;
}

int archive_open_dir(const char *path, struct archive *archive)
{
    int rc = 0;

    *archive = (struct archive){.dirfd = -1};
    if (!realpath(path, archive->path))
        rc = -errno;
    if (!rc) {
        archive->dirfd = open(archive->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = archive->dirfd < 0 ? -errno : inherit_from(archive->dirfd);
    }
    if (rc == -ENOTDIR)
        log_error("'%s' is not an archive: it is not a directory", path);
    else if (rc)
        log_error("cannot open archive '%s': %s", path, strerror(-rc));
    archive_index_note_gone(rc);
    return rc;
}

static bool is_marked(const struct archive *archive, const char *mark)
{
    struct stat st;

    return fstatat(archive->dirfd, mark, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Places of tiles may be empty for the moment, and would be zeros. */
static int refuse_reindexed(const struct archive *archive)
{
    if (!is_marked(archive, FORMAT_REINDEX_NAME))
        return 0;
    log_error("cannot use archive '%s': 'mosaicfs reindex' is putting its tiles back in their "
              "places, or was interrupted",
              archive->path);
    log_note("unless it is still running, run 'mosaicfs reindex' again, with the same files");
    return -EBUSY;
}

int archive_refuse_converted(const struct archive *archive)
{
    if (!is_marked(archive, FORMAT_CONVERT_NAME))
        return 0;
    log_error("cannot use archive '%s': 'mosaicfs convert' is making it, or was interrupted",
              archive->path);
    log_note("unless it is still running, run the same command again, which goes on where it "
             "stopped, or delete the archive");
    return -EBUSY;
}

/* Some tiles may be those of the snapshot, and others not yet. */
static int refuse_rolled_back(const struct archive *archive)
{
    if (!is_marked(archive, FORMAT_ROLLBACK_NAME))
        return 0;
    log_error(
        "cannot use archive '%s': 'mosaicfs snapshot rollback' is running, or was interrupted",
        archive->path);
    log_note("unless it is still running, run it again: '%s' names the snapshot",
             FORMAT_ROLLBACK_NAME);
    return -EBUSY;
}

int archive_read_unfinished(struct archive *archive)
{
    int rc = archive_index_load(archive);

    if (!rc)
        rc = refuse_reindexed(archive);
    return rc ? rc : detect_archive(archive);
}

int archive_read_between(struct archive *archive)
{
    int rc = archive_refuse_converted(archive);

    return rc ? rc : archive_read_unfinished(archive);
}

int archive_read(struct archive *archive)
{
    int rc = refuse_rolled_back(archive);

    return rc ? rc : archive_read_between(archive);
}

int archive_open(const char *path, struct archive *archive)
{
    int rc = archive_open_dir(path, archive);

    if (!rc)
        rc = archive_read(archive);
    if (rc)
        archive_close(archive);
    return rc;
}

int archive_private(const struct archive *archive, bool create, int *fd)
{
    int rc = io_open(archive->dirfd, FORMAT_PRIVATE_DIR, O_RDONLY | O_DIRECTORY, 0, fd);

    if (rc != -ENOENT || !create)
        return rc;
    rc = inherit_mkdir(archive->dirfd, FORMAT_PRIVATE_DIR);
    if (rc && rc != -EEXIST)
        return rc;
    return io_open(archive->dirfd, FORMAT_PRIVATE_DIR, O_RDONLY | O_DIRECTORY, 0, fd);
}

int archive_sync_all(const struct archive *archive)
{
    int rc = syncfs(archive->dirfd) ? -errno : 0;

    if (rc)
        log_error("cannot write all data of '%s' to disk: %s", archive->path, strerror(-rc));
    return rc;
}

void archive_close(struct archive *archive)
{
    if (archive->dirfd >= 0)
        close(archive->dirfd);
    archive->dirfd = -1;
}
