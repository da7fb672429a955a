/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "drive/manifest_of.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "drive/changed.h"
#include "drive/drive.h"
#include "format/format.h"

/* One manifest of an archive is written at a time, by who holds this. 0 or -errno, logged. */
static int lock(const struct archive *archive, int *fd)
{
    int rc = archive_private(archive, true, fd);

    if (!rc) {
        rc = io_flock(*fd, LOCK_EX | LOCK_NB);
        if (rc)
            close(*fd);
    }
    if (rc == -EWOULDBLOCK)
        log_error("another manifest of '%s' is being written", archive->path);
    else if (rc)
        log_error("cannot write the manifest of '%s': %s", archive->path, strerror(-rc));
    return rc;
}

static int make_idle(const struct archive *archive, const struct journal_word *word,
                     manifest_progress *progress, void *arg, struct manifest_made *made)
{
    const struct drive_config config = {
        .path = archive->path,
        .mountpoint = "",
        .reach = DRIVE_STORE,
        .read_only = true,
        .max_open = DIR_OPEN_MIN,
    };
    struct drive drive;
    int rc = drive_open(&drive, &config), closed;

    if (rc)
        return rc;
    rc = manifesting_archive(&drive.archive, &drive.archive, word, progress, arg, made);
    closed = drive_close(&drive);
    return rc ? rc : closed;
}

int manifest_of_idle(const struct archive *archive, manifest_progress *progress, void *arg,
                     struct manifest_made *made)
{
    char epoch[STORE_EPOCH];
    struct journal_word word;
    int fd;
    int rc = changed_begin(archive->path, epoch); /* an archive that is refused is left alone */

    if (!rc)
        rc = journal_parse_epoch(epoch, &word);
    if (!rc)
        rc = lock(archive, &fd);
    if (rc)
        return rc;
    rc = make_idle(archive, &word, progress, arg, made);
    close(fd);
    return rc;
}

/* Of a run that was killed. */
static int sweep(const struct archive *archive, const struct snapshot_writer *writer)
{
    struct stat st;

    if (fstatat(archive->dirfd, FORMAT_SNAPSHOTS "/" FORMAT_SNAPSHOT_MANIFEST, &st,
                AT_SYMLINK_NOFOLLOW))
        return 0;
    return snapshot_delete(archive, FORMAT_SNAPSHOT_MANIFEST, writer);
}

static void ignore(void *arg, uint32_t tile, uint32_t ntiles)
{
}

static int make_used(const struct archive *archive, const struct journal_word *word,
                     const struct snapshot_writer *writer, manifest_progress *progress, void *arg,
                     struct manifest_made *made)
{
    struct snapshot_made snapshot;
    struct archive state = {.dirfd = -1};
    char path[PATH_MAX];
    int rc = sweep(archive, writer), gone;

    if (!rc)
        rc = snapshot_create(archive, FORMAT_SNAPSHOT_MANIFEST, writer, ignore, NULL, &snapshot);
    if (rc)
        return rc;
    rc = snapshot_path(archive, FORMAT_SNAPSHOT_MANIFEST, path);
    if (!rc)
        rc = archive_open(path, &state);
    if (!rc)
        rc = io_flock(state.dirfd, LOCK_SH | LOCK_NB); /* nobody deletes it */
    if (!rc)
        rc = manifesting_archive(archive, &state, word, progress, arg, made);
    archive_close(&state);
    gone = snapshot_delete(archive, FORMAT_SNAPSHOT_MANIFEST, writer);
    return rc ? rc : gone;
}

int manifest_of_used(const struct archive *archive, const struct journal_word *word,
                     const struct snapshot_writer *writer, manifest_progress *progress, void *arg,
                     struct manifest_made *made)
{
    int fd;
    int rc = lock(archive, &fd);

    if (rc)
        return rc;
    rc = make_used(archive, word, writer, progress, arg, made);
    close(fd);
    return rc;
}
