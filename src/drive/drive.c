/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order:
 *
 *   1 the directory
 *   2 the locks: flock, the records of others (owner/owner.c), a Mac's lock
 *   3 what the archive is: index, mark of an unfinished reindex, kind of tiles
 *   4 our record, and a Mac's lock where that has to be made
 *   5 covers, store; the manifest that the tiles descend from, if it came from elsewhere; image
 *
 * What is read before the locks are held may be wrong when they are: whoever held
 * them meanwhile may have put tiles elsewhere, written another index, or been killed
 * half-way. So nothing read in 3 is older than 2. The record comes after 3, for
 * an archive that is refused gets no trace of us. But where flock does not reach all
 * who use the archive, only the record keeps others away: there 3 is done once more
 * after 4. So it is when a Mac's lock had to be made.
 *
 * Back in reverse. After a flush that failed the record stays: what is missing is
 * missing for the next writer, too.
 */
#include "drive/drive.h"

#include <errno.h>
#include <string.h>

#include "archive/archive_index.h"
#include "base/io.h"
#include "base/log.h"
#include "format/layout.h"
#include "journal/changes.h"
#include "journal/descent.h"
#include "store/dir.h"

/*
 * Of a sparse bundle, which is known by its index. That is read again when the lock
 * is held. One that cannot be read is told then. Who changes no tile does without.
 */
static int lock_mac(struct drive *drive, const struct drive_config *config)
{
    const char *name, *why;
    int rc;

    if (drive->read_only || config->reach < DRIVE_IMAGE)
        return 0;
    rc = archive_index_find(&drive->archive, &drive->archive.index, &name, &why);
    return rc ? 0 : maclock_take(&drive->maclock, &drive->archive);
}

static int complain_mac(const struct drive *drive)
{
    log_error("archive '%s' is in use by another program, such as a Mac", drive->archive.path);
    return -EBUSY;
}

static int take_locks(struct drive *drive, const struct drive_config *config)
{
    int rc = owner_lock(&drive->owner, &drive->archive, config->mountpoint, drive->read_only);

    if (rc)
        return rc;
    rc = lock_mac(drive, config);
    if (rc != -EBUSY)
        return rc;
    if (!config->yield)
        return complain_mac(drive);
    log_warn("'%s' is in use by another program, such as a Mac: it is mounted read-only, and may "
             "change meanwhile",
             drive->archive.path);
    owner_drop(&drive->owner);
    drive->read_only = true;
    return owner_lock(&drive->owner, &drive->archive, config->mountpoint, true);
}

static bool covers_given(const struct drive_config *config)
{
    return config->covers && config->covers->path[0];
}

static int refuse_covers(const struct archive *archive)
{
    log_error("cannot use covers for archive '%s': %s", archive->path,
              archive->index.layout->head == LAYOUT_BARE
                  ? "its tiles are no pictures"
                  : "all of its tiles show the same picture, and new ones have to show it, too");
    log_note("mount it without --cover; 'mosaicfs create --cover' makes an archive of pictures");
    return -EINVAL;
}

static int read_archive(struct drive *drive, const struct drive_config *config)
{
    int rc = config->unfinished ? archive_read_unfinished(&drive->archive)
             : config->between  ? archive_read_between(&drive->archive)
                                : archive_read(&drive->archive);

    if (!rc && covers_given(config) && drive->archive.index.layout->head != LAYOUT_PICTURE)
        rc = refuse_covers(&drive->archive);
    return rc;
}

/*
 * A copy that is not complete is not written to. Else a manifest that came from elsewhere is
 * remembered in the end, when there is a journal that tells what changes after it.
 */
static int look_at_manifest(struct drive *drive, const struct drive_config *config)
{
    struct belongs *belongs = &drive->belongs;
    bool refused;
    int rc = belongs_look(&drive->archive, belongs);

    if (rc || !belongs->why)
        return rc;
    refused = !drive->read_only && !config->accept;
    belongs_tell(&drive->archive, belongs, refused);
    return refused ? -ESTALE : 0;
}

static int remember_manifest(struct drive *drive)
{
    const struct belongs *belongs = &drive->belongs;
    struct changes_list list;
    struct journal_word word;
    int rc;

    if (drive->read_only || !belongs->manifest || belongs->known)
        return 0;
    rc = changes_read(&drive->archive, false, &list);
    /* Without a journal nobody knows what changes from now on, but that it is ours. */
    word = (struct journal_word){0, {1, 0}, false};
    if (!rc && !list.unusable)
        word = (struct journal_word){list.header.id, {list.header.epoch, 0}, false};
    if (!rc)
        rc = descent_write(&drive->archive, belongs->root, &word, NULL);
    if (rc && !io_is_full(rc))
        log_error("cannot write to archive '%s': %s", drive->archive.path, strerror(-rc));
    else if (rc)
        log_warn("cannot remember the manifest of '%s': %s", drive->archive.path, strerror(-rc));
    rc = io_is_full(rc) ? 0 : rc; /* it is compared again at the next mount */
    changes_read_release(&list);
    return rc;
}

/* What shows that we are here; whoever was quicker is seen, or what he has left. */
static int enter(struct drive *drive, const struct drive_config *config)
{
    bool made = false;
    int rc = owner_enter(&drive->owner);

    if (rc || drive->read_only)
        return rc;
    if (config->reach == DRIVE_IMAGE)
        rc = maclock_make(&drive->maclock, &drive->archive, &made);
    if (rc)
        return rc == -EBUSY ? complain_mac(drive) : rc;
    return drive->owner.exclusive && !made ? 0 : read_archive(drive, config);
}

/* For new tiles that are pictures. */
static int open_covers(struct drive *drive, const struct drive_config *config)
{
    struct archive *archive = &drive->archive;
    struct covers_source source;
    int rc;

    if (drive->read_only || archive->index.layout->head == LAYOUT_BARE)
        return 0;
    if (covers_given(config)) {
        source = *config->covers;
        rc = covers_source_remember(archive, &source);
    } else {
        rc = covers_source_recall(archive, &source);
    }
    return rc ? rc : covers_open(archive, &source, &drive->covers);
}

static int open_store(struct drive *drive, const struct drive_config *config)
{
    struct dir_config dir = {.read_only = drive->read_only,
                             .unlisted = config->unfinished,
                             .max_open = config->max_open};
    int rc = open_covers(drive, config);

    dir.covers = drive->covers;
    if (!rc)
        rc = dir_open(&drive->archive, &dir, &drive->store);
    return rc ? rc : remember_manifest(drive);
}

static int open_image(struct drive *drive, const struct drive_config *config)
{
    struct store *store = drive->store;
    int rc;

    if (config->reach < DRIVE_IMAGE)
        return 0;
    drive->store = NULL; /* the image's from here on */
    rc = image_open(store, drive->read_only, &drive->img);
    if (rc)
        log_error("cannot open archive '%s': %s", drive->archive.path, strerror(-rc));
    return rc;
}

int drive_open(struct drive *drive, const struct drive_config *config)
{
    int rc;

    *drive = (struct drive){.maclock = MACLOCK_NONE, .read_only = config->read_only};
    rc = archive_open_dir(config->path, &drive->archive);
    if (!rc)
        rc = take_locks(drive, config);
    if (!rc)
        rc = read_archive(drive, config);
    if (!rc)
        rc = look_at_manifest(drive, config);
    if (!rc)
        rc = enter(drive, config);
    if (!rc)
        rc = open_store(drive, config);
    if (!rc)
        rc = open_image(drive, config);
    if (rc)
        (void)drive_close(drive);
    return rc;
}

int drive_finish(struct drive *drive)
{
    int rc = drive->img ? image_close(drive->img) : 0;

    store_close(drive->store);
    covers_free(drive->covers);
    drive->img = NULL;
    drive->store = NULL;
    drive->covers = NULL;
    drive->keep_record = drive->keep_record || rc;
    return rc;
}

int drive_close(struct drive *drive)
{
    int rc = drive_finish(drive);

    maclock_drop(&drive->maclock);
    if (!drive->keep_record)
        owner_drop(&drive->owner);
    archive_close(&drive->archive);
    return rc;
}
