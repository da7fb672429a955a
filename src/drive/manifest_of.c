/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "drive/manifest_of.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "drive/changed.h"
#include "drive/drive.h"
#include "format/format.h"

int manifest_of_idle(const struct archive *archive, manifest_progress *progress, void *arg,
                     struct manifest_made *made)
{
    const struct drive_config config = {
        .path = archive->path,
        .mountpoint = "",
        .reach = DRIVE_STORE,
        .read_only = true,
        .max_open = DIR_OPEN_MIN,
    };
    char epoch[STORE_EPOCH];
    struct journal_word word;
    struct drive drive;
    int rc = changed_begin(archive->path, epoch), closed;

    if (!rc)
        rc = journal_parse_epoch(epoch, &word);
    if (!rc)
        rc = drive_open(&drive, &config);
    if (rc)
        return rc;
    rc = manifesting_archive(&drive.archive, &drive.archive, &word, progress, arg, made);
    closed = drive_close(&drive);
    return rc ? rc : closed;
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

int manifest_of_used(const struct archive *archive, const struct journal_word *word,
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
        rc = manifesting_archive(archive, &state, word, progress, arg, made);
    archive_close(&state);
    gone = snapshot_delete(archive, FORMAT_SNAPSHOT_MANIFEST, writer);
    return rc ? rc : gone;
}
