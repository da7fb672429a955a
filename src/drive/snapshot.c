/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order of making one:
 *
 *   1 the lock on the directory of all snapshots; what a crash has left there goes
 *   2 .new, empty; the writer is told that a snapshot begins
 *   3 a second name for each tile, in .new, while the writer goes on
 *   4 the writer takes the instant (image/image_snapshot.c): the tiles in .new are frozen, and
 *     on disk
 *   5 the index, whose time is that of the snapshot; then all that is in .new is durable
 *   6 .new gets its name
 *
 * Before 6 there is no snapshot, after it there is a whole one. Of one that is deleted the name
 * goes first: what is left is .gone, which is no snapshot. Its tiles stay frozen until they go, and
 * go only when the directory is synced: until then a power cut may bring back the name.
 */
#include "drive/snapshot_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "base/fs.h"
#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "drive/drive.h"

/* --- the directory of all snapshots ----------------------------------------------------------- */

static int complain_name(const char *name)
{
    log_error("'%s' cannot be the name of a snapshot", name);
    log_note("a name has up to %d bytes, no '/' and no control characters, does not begin with "
             "'.' or '-', and is not '" FORMAT_SNAPSHOT_LIVE "'",
             FORMAT_SNAPSHOT_NAME);
    return -EINVAL;
}

int snapshot_complain(const char *what, const char *name, int rc)
{
    log_error("cannot %s snapshot '%s': %s", what, name, strerror(-rc));
    return rc;
}

int snapshot_make_all(const struct archive *archive)
{
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (rc)
        return rc;
    rc = inherit_mkdir(fd, strrchr(FORMAT_SNAPSHOTS, '/') + 1);
    if (!rc || rc == -EEXIST) /* who made it may not have come to the sync */
        rc = io_fsync(fd);
    close(fd);
    return rc;
}

static bool is_there(int fd, const char *name)
{
    return faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int sweep(int fd, const char *name)
{
    int rc = snapshots_remove(fd, name);

    return rc == -ENOENT ? 0 : rc;
}

/* Who left it may not have come to the sync: its name is gone for good before its tiles are. */
static int sweep_gone(int fd)
{
    int rc = is_there(fd, FORMAT_SNAPSHOT_GONE) ? io_fsync(fd) : 0;

    return rc ? rc : sweep(fd, FORMAT_SNAPSHOT_GONE);
}

/* Opens and locks it: one snapshot is made or deleted at a time. */
int snapshot_lock(const struct archive *archive, int *fd)
{
    int rc = snapshots_open(archive->dirfd, fd);

    if (rc)
        return rc;
    rc = io_flock(*fd, LOCK_EX | LOCK_NB);
    if (rc == -EWOULDBLOCK)
        rc = -EBUSY;
    if (!rc)
        rc = sweep(*fd, FORMAT_SNAPSHOT_NEW);
    if (!rc)
        rc = sweep_gone(*fd);
    if (rc)
        close(*fd);
    return rc;
}

int snapshot_complain_lock(const struct archive *archive, const char *what, const char *name,
                           int rc)
{
    if (rc == -EBUSY)
        log_error("cannot %s snapshot '%s': another snapshot of '%s' is being made or deleted",
                  what, name, archive->path);
    else
        (void)snapshot_complain(what, name, rc);
    return rc;
}

int snapshot_path(const struct archive *archive, const char *name, char path[PATH_MAX])
{
    const char *below = path + strlen(archive->path) + 1;
    struct stat st;

    if (!snapshots_is_name(name))
        return complain_name(name);
    if (snprintf(path, PATH_MAX, "%s/" FORMAT_SNAPSHOTS "/%s", archive->path, name) >= PATH_MAX)
        return snapshot_complain("use", name, -ENAMETOOLONG);
    if (fstatat(archive->dirfd, below, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno != ENOENT)
        return snapshot_complain("use", name, -errno);
    log_error("archive '%s' has no snapshot '%s'", archive->path, name);
    log_note("'mosaicfs snapshot list %s' lists those it has", archive->path);
    return -ENOENT;
}

int snapshot_open(const struct archive *archive, const char *name, struct archive *snapshot)
{
    char path[PATH_MAX];
    int rc = snapshot_path(archive, name, path);

    *snapshot = (struct archive){.dirfd = -1};
    return rc ? rc : archive_open(path, snapshot);
}

/* --- an archive that nobody has in use -------------------------------------------------------- */

struct alone {
    struct drive drive;
    struct snapshot_writer writer;
    const char *name;
};

static int step_alone(void *arg, enum snapshot_step step, uint64_t *stalled)
{
    struct alone *alone = arg;
    struct image *img = alone->drive.img;
    int rc = 0;

    switch (step) {
    case SNAPSHOT_BEGIN:
        rc = image_snapshot_begin(img);
        break;
    case SNAPSHOT_TAKE:
        rc = image_snapshot_take(img, stalled);
        break;
    case SNAPSHOT_LINKS_BEGIN:
        image_snapshot_links_begin(img);
        break;
    case SNAPSHOT_LINKS_END:
        image_snapshot_links_end(img);
        break;
    }
    return rc ? snapshot_complain("make", alone->name, rc) : 0;
}

static int open_alone(struct alone *alone, const struct archive *archive, const char *name)
{
    struct drive_config config = {
        .path = archive->path,
        .mountpoint = "",
        .reach = DRIVE_IMAGE,
        .max_open = DIR_OPEN_MIN,
    };

    *alone = (struct alone){.writer = {step_alone, alone}, .name = name};
    return drive_open(&alone->drive, &config);
}

/* --- making one ------------------------------------------------------------------------------- */

/* One that is being made. */
struct making {
    const struct archive *archive;
    const char *name;
    int all; /* the directory of all snapshots, locked */
    int fd;  /* .new */
    struct folders from, to;
    struct snapshots_way way;
    snapshot_progress *progress;
    void *arg;
    struct snapshot_made *made;
};

static int link_tile(void *arg, uint32_t tile, int folder)
{
    struct making *making = arg;

    making->made->tiles++;
    making->progress(making->arg, tile, making->from.ntiles);
    return snapshots_carry(&making->way, tile);
}

static int copy_file(const struct making *making, const char *name)
{
    static char bytes[FORMAT_INDEX_MAX];
    size_t len;
    int rc =
        name ? io_read_file(making->archive->dirfd, name, bytes, sizeof(bytes), &len) : -ENOENT;

    if (!rc)
        rc = io_replace(making->fd, name, bytes, len, IO_OVER);
    return rc == -ENOENT ? 0 : rc;
}

static int copy_index(const struct making *making)
{
    const struct layout *layout = making->archive->index.layout;
    int rc = copy_file(making, layout->index);

    if (!rc)
        rc = copy_file(making, layout->spare_index);
    if (!rc && layout == &layout_bundle)
        rc = copy_file(making, FORMAT_BUNDLE_TOKEN);
    return rc;
}

/* The writer has made entries, too: all folders count. */
static int sync_folders(struct making *making)
{
    uint32_t *found = calloc(making->to.n, sizeof(*found));
    uint32_t n = 0;
    int rc = found ? folders_present(&making->to, found, &n) : -ENOMEM;

    for (uint32_t i = 0; !rc && i < n; i++) {
        char path[LAYOUT_PATH];

        making->to.layout->folder_path(found[i], path);
        rc = io_sync_dir(making->fd, path);
    }
    free(found);
    return rc ? rc : io_fsync(making->fd);
}

static int name_it(const struct making *making)
{
    int rc = io_rename_new(making->all, FORMAT_SNAPSHOT_NEW, making->name);

    if (rc)
        return snapshot_complain("make", making->name, rc);
    rc = io_fsync(making->all);
    if (rc) {
        (void)snapshot_complain("make", making->name, rc);
        log_note("it is there and complete, but may be gone after a power failure");
    }
    return rc;
}

/* It is there though no tile is. */
static int make_bands(const struct making *making)
{
    char path[LAYOUT_PATH];
    int rc;

    if (making->archive->index.layout != &layout_bundle)
        return 0;
    layout_bundle.folder_path(0, path);
    rc = inherit_mkdir(making->fd, path);
    return rc == -EEXIST ? 0 : rc;
}

static int fill(struct making *making, const struct snapshot_writer *writer)
{
    const struct archive *archive = making->archive;
    uint32_t ntiles = archive->index.geometry.ntiles;
    int rc = folders_init(&making->from, archive->dirfd, archive->index.layout, ntiles);

    if (!rc)
        rc = folders_init(&making->to, making->fd, archive->index.layout, ntiles);
    if (!rc)
        rc = make_bands(making);
    if (rc)
        return snapshot_complain("make", making->name, rc);
    rc = writer->step(writer->arg, SNAPSHOT_BEGIN, NULL); /* logged, as the next two */
    snapshots_way_init(&making->way, &making->from, &making->to, "link");
    if (!rc)
        rc = folders_each(&making->from, 0, ntiles, link_tile, making);
    snapshots_way_release(&making->way);
    if (!rc)
        rc = writer->step(writer->arg, SNAPSHOT_TAKE, &making->made->stalled);
    if (rc)
        return rc;
    rc = copy_index(making);
    if (!rc)
        rc = sync_folders(making);
    return rc ? snapshot_complain("make", making->name, rc) : name_it(making);
}

static int make(struct making *making, const struct snapshot_writer *writer)
{
    int rc = inherit_mkdir(making->all, FORMAT_SNAPSHOT_NEW);

    if (!rc)
        rc = io_open(making->all, FORMAT_SNAPSHOT_NEW, O_RDONLY | O_DIRECTORY, 0, &making->fd);
    if (rc)
        return snapshot_complain("make", making->name, rc);
    rc = fill(making, writer);
    folders_release(&making->from);
    folders_release(&making->to);
    close(making->fd);
    if (rc)
        (void)!snapshots_remove(making->all, FORMAT_SNAPSHOT_NEW);
    return rc;
}

/*
 * It may have grown since its index was read; while we have the lock it does not. Of the rest, what
 * was read then counts: what only the tiles tell may not be told now.
 */
static int make_live(struct making *making, const struct snapshot_writer *writer)
{
    const struct archive *given = making->archive;
    struct archive archive = *given, now = *given;
    int rc = archive_index_load(&now);

    archive.index.geometry = now.index.geometry;
    making->archive = &archive;
    rc = rc ? rc : make(making, writer);
    making->archive = given;
    return rc;
}

static int make_alone(struct making *making)
{
    struct alone alone;
    int rc = open_alone(&alone, making->archive, making->name);
    int closed;

    if (rc)
        return rc;
    making->archive = &alone.drive.archive;
    rc = make(making, &alone.writer);
    closed = drive_close(&alone.drive);
    return rc ? rc : closed;
}

static int complain_fs(const struct archive *archive)
{
    log_error("cannot make a snapshot of '%s': its file system is not known to keep hard links",
              archive->path);
    log_note("snapshots need ext4, XFS, Btrfs, F2FS or tmpfs below the archive");
    return -EOPNOTSUPP;
}

static int complain_exists(const struct archive *archive, const char *name)
{
    log_error("cannot make snapshot '%s': there is one of that name", name);
    log_note("'mosaicfs snapshot delete %s NAME' deletes it", archive->path);
    return -EEXIST;
}

int snapshot_create(const struct archive *archive, const char *name,
                    const struct snapshot_writer *writer, snapshot_progress *progress, void *arg,
                    struct snapshot_made *made)
{
    struct making making = {
        .archive = archive, .name = name, .progress = progress, .arg = arg, .made = made};
    int rc;

    *made = (struct snapshot_made){0};
    if (!snapshots_is_name(name))
        return complain_name(name);
    if (snapshots_is_one(archive)) {
        log_error("cannot make a snapshot of '%s': it is one", archive->path);
        return -EROFS;
    }
    if (!fs_known(archive->dirfd))
        return complain_fs(archive);
    rc = snapshot_make_all(archive);
    if (!rc)
        rc = snapshot_lock(archive, &making.all);
    if (rc)
        return snapshot_complain_lock(archive, "make", name, rc);
    if (is_there(making.all, name))
        rc = complain_exists(archive, name);
    else
        rc = writer ? make_live(&making, writer) : make_alone(&making);
    close(making.all);
    return rc;
}

/* --- deleting one ----------------------------------------------------------------------------- */

/* Whoever mounts it holds the lock of an archive. */
static int check_unused(int all, const char *name)
{
    int fd;
    int rc = io_open(all, name, O_RDONLY | O_DIRECTORY, 0, &fd);

    if (rc)
        return rc;
    rc = io_flock(fd, LOCK_EX | LOCK_NB);
    close(fd);
    return rc == -EWOULDBLOCK ? -EBUSY : 0;
}

static int delete_one(int all, const char *name, const struct snapshot_writer *writer)
{
    int rc = check_unused(all, name);

    if (rc == -EBUSY) {
        log_error("cannot delete snapshot '%s': it is mounted, or in use otherwise", name);
        return rc;
    }
    if (!rc)
        rc = io_rename_new(all, name, FORMAT_SNAPSHOT_GONE);
    if (!rc)
        rc = io_fsync(all);
    if (rc)
        return snapshot_complain("delete", name, rc);
    rc = writer->step(writer->arg, SNAPSHOT_LINKS_BEGIN, NULL); /* logged, as below */
    if (rc)
        return rc;
    rc = snapshots_remove(all, FORMAT_SNAPSHOT_GONE);
    if (rc)
        (void)snapshot_complain("delete", name, rc);
    return writer->step(writer->arg, SNAPSHOT_LINKS_END, NULL) ? -EIO : rc;
}

static int delete_alone(const struct archive *archive, int all, const char *name)
{
    struct alone alone;
    int rc = open_alone(&alone, archive, name);
    int closed;

    if (rc)
        return rc;
    rc = delete_one(all, name, &alone.writer);
    closed = drive_close(&alone.drive);
    return rc ? rc : closed;
}

int snapshot_delete(const struct archive *archive, const char *name,
                    const struct snapshot_writer *writer)
{
    char path[PATH_MAX];
    int all;
    int rc = snapshot_path(archive, name, path);

    if (rc)
        return rc;
    rc = snapshot_lock(archive, &all);
    if (rc)
        return snapshot_complain_lock(archive, "delete", name, rc);
    rc = writer ? delete_one(all, name, writer) : delete_alone(archive, all, name);
    close(all);
    return rc;
}
