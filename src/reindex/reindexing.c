/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looks, decides, does. Looking takes no more than the archive's flock and changes nothing.
 * Doing: tiles are put in their places, the index is written, and the archive can be mounted
 * again; then, if that is wanted, all tiles get new pictures. The order of writes in the first
 * part stands in reindex/reindex.c, that of the second in reindex/newcovers.c.
 */
#include "reindex/reindexing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "base/log.h"
#include "format/format.h"
#include "owner/owner.h"
#include "reindex/newcovers.h"
#include "reindex/reindex.h"

/* --- looking ---------------------------------------------------------------------------------- */

int reindexing_find(struct reindexing *re, char *const *paths, unsigned n)
{
    int rc = owner_exclude(&re->archive);

    re->strays.archive = &re->archive;
    re->strays.tell = re->looked;
    re->strays.arg = re->arg;
    if (!rc)
        rc = strays_find(&re->strays);
    for (unsigned i = 0; !rc && i < n; i++)
        rc = strays_add(&re->strays, paths[i]);
    return rc;
}

/* Plain tiles carry nothing. */
static int refuse_layout(const struct archive *archive)
{
    log_error("cannot reindex archive '%s': tiles of layout %s do not identify themselves",
              archive->path, archive->index.layout->name);
    log_note(
        "restore them from a mirror or a backup; 'mosaicfs check' reports which names are wrong");
    return -ENOTSUP;
}

static int refuse_guess(const struct reindexing *re, const char *what)
{
    log_error("cannot make an index for '%s': %s", re->archive.path, what);
    log_note("if it contains tiles that are pictures, 'mosaicfs reindex NEW %s' copies them into "
             "the new directory NEW",
             re->archive.path);
    return -ENOTSUP;
}

/* A directory around it is an archive, so this may be a folder of that one. */
static bool is_within_archive(const struct archive *archive)
{
    char around[PATH_MAX];

    return archive_within(archive->path, around);
}

/* What stands in places of tiles says nothing of itself, and nothing else there does. */
static bool holds_other_tiles(const struct reindexing *re)
{
    bool others = false, ours = false;
    uint32_t tile;

    for (size_t i = 0; i < re->strays.n; i++) {
        const struct stray *stray = &re->strays.list[i];

        others =
            others || (stray->kind == STRAY_STRANGER && strays_place(stray, &layout_jpeg, &tile));
        ours = ours || (stray->inside && strays_is_tile(stray));
    }
    return others && !ours;
}

/* A file that may be a tile all the same: the first one does. */
static void note_overlooked(const struct strays *strays)
{
    for (size_t i = 0; i < strays->n; i++) {
        const struct stray *stray = &strays->list[i];

        if (stray->kind == STRAY_UNFINISHED)
            log_note("skipped '%s': its name is that of an unfinished transfer", stray->path);
        else if (stray->kind == STRAY_UNREADABLE)
            log_note("'%s' could not be read: %s", stray->path, strerror(stray->err));
        else
            continue;
        return;
    }
}

/* An archive without a good index: what its tiles tell. */
static int guess_index(struct reindexing *re)
{
    struct stat st;
    int rc;

    if (faccessat(re->archive.dirfd, FORMAT_BUNDLE_INDEX, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
        faccessat(re->archive.dirfd, FORMAT_BUNDLE_SPARE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return refuse_guess(re, "it is a sparse bundle, whose bands do not identify themselves");
    if (fstatat(re->archive.dirfd, FORMAT_INDEX_NAME, &st, AT_SYMLINK_NOFOLLOW) &&
        is_within_archive(&re->archive))
        return refuse_guess(re, "it is inside another archive");
    if (holds_other_tiles(re))
        return refuse_guess(
            re, "it contains files that have the names of tiles but do not identify themselves");
    re->make_index = true;
    rc = reindex_guess(&re->strays, re->uuid, &re->archive.index);
    if (rc == -ENODATA)
        note_overlooked(&re->strays);
    return rc;
}

/* The archive's index, or that which the tiles tell of. */
static int get_index(struct reindexing *re)
{
    const char *why;
    int rc = archive_index_read(&re->archive, FORMAT_INDEX_NAME, &re->archive.index, &why);

    if (!rc && re->archive.index.layout->head != LAYOUT_PICTURE)
        return refuse_layout(&re->archive);
    if (!rc && re->uuid && strcmp(re->uuid, re->archive.index.uuid) != 0) {
        log_error("archive '%s' is %s, not %s", re->archive.path, re->archive.index.uuid, re->uuid);
        return -EINVAL;
    }
    if (rc != -ENOENT && rc != -EBADMSG) {
        if (rc)
            log_error("cannot read '%s' of archive '%s': %s", FORMAT_INDEX_NAME, re->archive.path,
                      why ? why : strerror(-rc));
        return rc;
    }
    return guess_index(re);
}

int reindexing_decide(struct reindexing *re)
{
    int rc = get_index(re);

    if (!rc)
        strays_decide(&re->strays, &re->archive.index);
    return rc;
}

/* --- doing ------------------------------------------------------------------------------------ */

static bool has_fate(const struct strays *strays, enum stray_fate fate)
{
    for (size_t i = 0; i < strays->n; i++)
        if (strays->list[i].fate == fate)
            return true;
    return false;
}

/* A damaged index stands where the new one goes. */
static bool index_makes_room(const struct reindexing *re)
{
    return re->make_index &&
           faccessat(re->archive.dirfd, FORMAT_INDEX_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int put_all(struct reindexing *re)
{
    int left = 0, rc = 0;

    if (has_fate(&re->strays, STRAY_DISPLACED) || index_makes_room(re))
        rc = repair_open(&re->archive, &re->repair);
    if (re->repair.dirfd >= 0)
        re->room = re->repair.path;
    if (!rc && has_fate(&re->strays, STRAY_PUT))
        rc = reindex_put(&re->strays, &re->archive, &re->repair, re->put, re->arg);
    if (rc == -EEXIST) {
        left = rc;
        rc = 0;
    }
    if (!rc && re->make_index)
        rc = reindex_write(&re->archive, &re->repair);
    if (!rc)
        rc = reindex_done(&re->archive);
    return rc ? rc : left;
}

static int cover_all(struct reindexing *re)
{
    struct covers *covers;
    int rc = covers_open(&re->archive, re->covers, &covers);
    int first = 0;

    if (!rc) {
        first = newcovers_give(&re->archive, covers, re->painted, re->arg, &re->covered);
        rc = covers_source_remember(&re->archive, re->covers);
        covers_free(covers);
    }
    return first ? first : rc;
}

/* What we may not read may be as good as what would take its place. */
static int refuse_unreadable(const struct reindexing *re)
{
    for (size_t i = 0; i < re->strays.n; i++) {
        const struct stray *stray = &re->strays.list[i];

        if (stray->fate != STRAY_DISPLACED || (stray->err != EACCES && stray->err != EPERM))
            continue;
        log_error("cannot read '%s', which is in the place of another file: %s", stray->path,
                  strerror(stray->err));
        log_note("nothing was changed; run this as the owner of that file, or move the file out of "
                 "the archive and keep it");
        return -stray->err;
    }
    return 0;
}

int reindexing_act(struct reindexing *re, bool *acted)
{
    struct owner owner;
    int rc = refuse_unreadable(re), covered = 0;

    *acted = false;
    if (!rc)
        rc = owner_take(&owner, &re->archive, "", false);
    if (rc)
        return rc;
    rc = put_all(re);
    *acted = !rc || rc == -EEXIST;
    if (!*acted)
        log_note("fix the cause, and run the same command again with the same files");
    else if (re->covers)
        covered = cover_all(re);
    owner_drop(&owner);
    return rc ? rc : covered;
}

void reindexing_release(struct reindexing *re)
{
    repair_close(&re->repair);
    strays_release(&re->strays);
    archive_close(&re->archive);
}
