/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order:
 *
 *   1 The journal, for all tiles and places that will change.
 *   2 What lies outside of the archive is copied, in full and synced, as PATH.put
 *     beside its place. Until here nothing has changed, and an error takes the
 *     copies away.
 *   3 The mark, durably: while it stands, nobody mounts the archive. Without it a
 *     place that is empty for a moment would be zeros, and be written to.
 *   4 Renames only: files that stand where another belongs step aside, as PATH.put;
 *     others in a place of a tile go to lost+found; that is brought to disk, for not
 *     every file system keeps renames in order; each tile goes to its place.
 *   5 The index is made, if there was none; all of it is brought to disk; the mark
 *     goes.
 *
 * After a crash or an error in 4 or 5 every file is under its old name, its .put or
 * its new one, none has been written to, and so the same command decides the same
 * and ends the work.
 */
#include "reindex/reindex.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "archive/folders.h"
#include "archive/tilefile.h"
#include "base/io.h"
#include "base/log.h"
#include "format/format.h"
#include "format/layout.h"
#include "journal/changes_bulk.h"

#define SPARE_NAMES 100

/* --- the index ------------------------------------------------------------- */

static bool newer(const struct stray *a, const struct stray *b)
{
    return a->mtime.tv_sec != b->mtime.tv_sec ? a->mtime.tv_sec > b->mtime.tv_sec
                                              : a->mtime.tv_nsec > b->mtime.tv_nsec;
}

/* Of the archives that are met, the first two. */
static void note_archives(const struct strays *strays)
{
    const struct stray *first = NULL;

    for (size_t i = 0; i < strays->n; i++) {
        const struct stray *stray = &strays->list[i];
        bool other = first && strcmp(first->tag.uuid, stray->tag.uuid) != 0;

        if (!strays_is_tile(stray) || (first && !other))
            continue;
        log_note("'%s' belongs to archive %s", stray->path, stray->tag.uuid);
        if (other)
            return;
        first = stray;
    }
}

/*
 * A picture tells the size that the image had when the picture was made, and when the image grows
 * one at least is made anew. So the largest size that the tiles tell is that of the image, or after
 * it shrank a larger one, which hides nothing.
 */
static void take_largest(const struct strays *strays, struct index *index)
{
    for (size_t i = 0; i < strays->n; i++) {
        const struct stray *stray = &strays->list[i];

        if (strays_is_tile(stray) && strcmp(stray->tag.uuid, index->uuid) == 0 &&
            stray->tag.geometry.tile_size == index->geometry.tile_size &&
            stray->tag.geometry.size > index->geometry.size)
            index->geometry = stray->tag.geometry;
    }
}

int reindex_guess(const struct strays *strays, const char *uuid, struct index *index)
{
    const struct stray *best = NULL;
    bool several = false;

    for (size_t i = 0; i < strays->n; i++) {
        const struct stray *stray = &strays->list[i];

        if (!strays_is_tile(stray) || (uuid && strcmp(stray->tag.uuid, uuid) != 0))
            continue;
        several = several || (best && strcmp(best->tag.uuid, stray->tag.uuid) != 0);
        if (!best || newer(stray, best))
            best = stray;
    }
    if (several) {
        log_error("the tiles belong to more than one archive; select one with --uuid");
        note_archives(strays);
        return -EEXIST;
    }
    if (!best) {
        log_error(uuid ? "no file says that it is a tile of archive %s"
                       : "no file says that it is a tile",
                  uuid);
        return -ENODATA;
    }
    *index = (struct index){FORMAT_CURRENT, best->tag.geometry, &layout_jpeg, "", false};
    strcpy(index->uuid, best->tag.uuid);
    take_largest(strays, index);
    return 0;
}

int reindex_write(const struct archive *archive, struct repair *repair)
{
    struct scan_finding there = {.path = (char *)FORMAT_INDEX_NAME};
    int rc = 0;

    if (faccessat(archive->dirfd, FORMAT_INDEX_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        rc = repair_move(repair, &there);
    free(there.moved);
    return rc ? rc : archive_index_write(archive);
}

/* --- the journal ----------------------------------------------------------- */

/* The tile that it is, and the one whose place it leaves. */
static int note_stray(struct changes_bulk *notes, const struct stray *stray,
                      const struct index *index)
{
    uint32_t tile;
    int rc = 0;

    if (stray->fate == STRAY_PUT)
        rc = changes_bulk_add(notes, stray->tag.tile);
    if (!rc && (stray->fate == STRAY_PUT || stray->fate == STRAY_DISPLACED) &&
        strays_place(stray, index->layout, &tile) && tile < index->geometry.ntiles)
        rc = changes_bulk_add(notes, tile);
    return rc;
}

static int note_strays(const struct strays *strays, const struct archive *archive)
{
    struct changes_bulk *notes;
    int rc = changes_bulk_open(archive, &notes);

    for (size_t i = 0; !rc && i < strays->n; i++)
        rc = note_stray(notes, &strays->list[i], &archive->index);
    return changes_bulk_close(notes, rc);
}

/* --- the mark -------------------------------------------------------------- */

#define MARK "reindex" /* in the private directory */

static_assert(sizeof(FORMAT_PRIVATE_DIR "/" MARK) == sizeof(FORMAT_REINDEX_NAME), "one name");

static int complain_mark(const struct archive *archive, int rc)
{
    if (rc)
        log_error("cannot make or remove '%s/%s': %s", archive->path, FORMAT_REINDEX_NAME,
                  strerror(-rc));
    return rc;
}

static int set_mark(const struct archive *archive)
{
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (!rc) {
        rc = io_replace(fd, MARK, "", 0, IO_OVER);
        close(fd);
    }
    if (!rc) /* the directory may be new */
        rc = io_fsync(archive->dirfd);
    return complain_mark(archive, rc);
}

int reindex_done(const struct archive *archive)
{
    int fd;
    int rc = archive_private(archive, false, &fd);

    if (rc == -ENOENT)
        return 0;
    if (!rc) {
        /* Also what an earlier run has renamed. */
        if (syncfs(archive->dirfd) || (unlinkat(fd, MARK, 0) && errno != ENOENT))
            rc = -errno;
        else
            rc = io_fsync(fd);
        close(fd);
    }
    return complain_mark(archive, rc);
}

/* --- putting --------------------------------------------------------------- */

/* What the work needs all the time. */
struct work {
    const struct archive *archive;
    struct repair *repair;
    struct folders folders;
};

static int complain_stray(const struct stray *stray, const char *verb, int rc)
{
    if (rc)
        log_error("cannot %s '%s': %s", verb, stray->path, strerror(-rc));
    return rc;
}

/* Opens the directory that a path of the archive lies in; *name is the rest. */
static int open_parent(const struct archive *archive, const char *path, const char **name, int *fd)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
    int rc = folder ? io_open(archive->dirfd, folder, O_RDONLY | O_DIRECTORY, 0, fd) : -ENOMEM;

    *name = slash ? slash + 1 : path;
    free(folder);
    return rc;
}

/* A name beside path, below the archive, that nobody has: path.put, path.put2 ... NULL: none. */
static char *spare_path(const struct archive *archive, const char *path)
{
    struct stat st;
    char *spare;

    for (int i = 1; i <= SPARE_NAMES; i++) {
        if (asprintf(&spare, i == 1 ? "%s.put" : "%s.put%d", path, i) < 0)
            return NULL;
        if (fstatat(archive->dirfd, spare, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
            return spare;
        free(spare);
    }
    return NULL;
}

/* It is the file that was looked at, and nobody writes to it. */
static bool is_same(int fd, const struct stray *stray)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_dev == stray->dev && st.st_ino == stray->ino &&
           (uint64_t)st.st_size == stray->size && st.st_mtim.tv_sec == stray->mtime.tv_sec &&
           st.st_mtim.tv_nsec == stray->mtime.tv_nsec;
}

static int copy_from(const struct work *work, const struct stray *stray, int folder,
                     const char *name)
{
    int fd = open(stray->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat like;
    int rc = fd < 0 || fstat(work->archive->dirfd, &like) ? -errno : 0;

    if (!rc && !is_same(fd, stray))
        rc = -ESTALE;
    if (!rc)
        rc = tilefile_replace(folder, name, NULL, 0, fd, 0, &like, true);
    if (!rc && !is_same(fd, stray)) {
        (void)!unlinkat(folder, name, 0);
        rc = -ESTALE;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Takes path over. */
static void now_called(struct stray *stray, char *path)
{
    if (stray->found)
        free(stray->path);
    else
        stray->found = stray->path;
    stray->path = path;
}

/* A stray from outside has a copy beside its place, in the open folder, and is that from now on. */
static int bring_in(struct work *work, struct stray *stray, int folder)
{
    char path[LAYOUT_PATH], *spare;
    int rc;

    work->archive->index.layout->tile_path(stray->tag.tile, path);
    spare = spare_path(work->archive, path);
    rc = spare ? copy_from(work, stray, folder, strrchr(spare, '/') + 1) : -ENOMEM;
    if (rc) {
        free(spare);
        if (rc == -ESTALE)
            log_error("cannot copy '%s': it has changed since it was looked at", stray->path);
        return rc == -ESTALE ? rc : complain_stray(stray, "copy", rc);
    }
    now_called(stray, spare);
    stray->inside = stray->copied = true;
    return 0;
}

static void take_copies_away(const struct work *work, const struct strays *strays)
{
    for (size_t i = 0; i < strays->n; i++)
        if (strays->list[i].copied)
            (void)!unlinkat(work->archive->dirfd, strays->list[i].path, 0);
}

/* Whether there is a folder for its place, or can be, is known before anything moves. */
static int make_room_and_copy(struct work *work, struct stray *stray, size_t *left)
{
    char path[LAYOUT_PATH];
    const char *name;
    int folder;
    int rc = folders_make(&work->folders, stray->tag.tile, path, &name, &folder);

    if (rc) {
        (void)!complain_stray(stray, "make a folder for", rc);
        stray->fate = STRAY_LEFT;
        ++*left;
        return 0;
    }
    if (!stray->inside)
        rc = bring_in(work, stray, folder);
    close(folder);
    return rc;
}

/* One that cannot be put stays, and keeps no other from it. */
static int make_copies(struct work *work, struct strays *strays, size_t *left)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < strays->n; i++)
        if (strays->list[i].fate == STRAY_PUT)
            rc = make_room_and_copy(work, &strays->list[i], left);
    if (rc)
        take_copies_away(work, strays);
    return rc;
}

/* A file that stands where another belongs is called PATH.put from now on. */
static int step_aside(const struct archive *archive, struct stray *stray)
{
    char *spare = spare_path(archive, stray->path);
    const char *name;
    int fd;
    int rc = spare ? open_parent(archive, stray->path, &name, &fd) : -ENOMEM;

    if (!rc) {
        rc = io_rename_new(fd, name, strrchr(spare, '/') + 1);
        close(fd);
    }
    if (rc) {
        free(spare);
        return complain_stray(stray, "rename", rc);
    }
    now_called(stray, spare);
    return 0;
}

/* What stands in the place of tiles that are to come goes to lost+found. */
static int make_room(const struct work *work, struct stray *stray)
{
    struct scan_finding there = {.path = stray->path};
    int rc = repair_move(work->repair, &there);

    free(there.moved);
    return rc;
}

static int put(struct work *work, const struct stray *stray)
{
    char path[LAYOUT_PATH];
    const char *name, *from_name;
    int folder, from;
    int rc = open_parent(work->archive, stray->path, &from_name, &from);

    if (rc)
        return complain_stray(stray, "find", rc);
    rc = folders_make(&work->folders, stray->tag.tile, path, &name, &folder);
    if (!rc) {
        rc = io_move_new(from, from_name, folder, name);
        close(folder);
    }
    close(from);
    return complain_stray(stray, "put in its place", rc);
}

/* A rename that were on disk before the one that makes way for it would have replaced a file. */
static int make_way(struct work *work, struct strays *strays)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < strays->n; i++) {
        if (strays->list[i].in_the_way)
            rc = step_aside(work->archive, &strays->list[i]);
        else if (strays->list[i].fate == STRAY_DISPLACED)
            rc = make_room(work, &strays->list[i]);
    }
    return rc ? rc : archive_sync_all(work->archive);
}

static int rename_all(struct work *work, struct strays *strays,
                      void (*tell)(const struct stray *, void *arg), void *arg)
{
    int rc = make_way(work, strays);

    for (size_t i = 0; !rc && i < strays->n; i++) {
        if (strays->list[i].fate != STRAY_PUT)
            continue;
        rc = put(work, &strays->list[i]);
        if (!rc)
            tell(&strays->list[i], arg);
    }
    return rc;
}

int reindex_put(struct strays *strays, const struct archive *archive, struct repair *repair,
                void (*tell)(const struct stray *, void *arg), void *arg)
{
    struct work work = {archive, repair, {0}};
    size_t left = 0;
    int rc = folders_init(&work.folders, archive->dirfd, archive->index.layout,
                          archive->index.geometry.ntiles);

    if (!rc)
        rc = note_strays(strays, archive);
    if (!rc)
        rc = make_copies(&work, strays, &left);
    if (!rc)
        rc = set_mark(archive);
    if (!rc) {
        rc = rename_all(&work, strays, tell, arg);
        if (rc)
            log_note("'%s' cannot be mounted until 'mosaicfs reindex' has finished; run it again",
                     archive->path);
    }
    folders_release(&work.folders);
    return !rc && left ? -EEXIST : rc;
}
