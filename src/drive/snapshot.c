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
 *
 * A rollback is done to an archive that nobody uses: the mark, which keeps others away; the
 * journal; then each tile that differs becomes that of the snapshot; their entries are synced,
 * and the mark goes. Done again after a crash, it finds less that differs.
 */
#include "drive/snapshot.h"

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

static int complain(const char *what, const char *name, int rc)
{
    log_error("cannot %s snapshot '%s': %s", what, name, strerror(-rc));
    return rc;
}

static int make_all(const struct archive *archive)
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
static int lock_all(const struct archive *archive, int *fd)
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

static int complain_lock(const struct archive *archive, const char *what, const char *name, int rc)
{
    if (rc == -EBUSY)
        log_error("cannot %s snapshot '%s': another snapshot of '%s' is being made or deleted",
                  what, name, archive->path);
    else
        (void)complain(what, name, rc);
    return rc;
}

int snapshot_path(const struct archive *archive, const char *name, char path[PATH_MAX])
{
    const char *below = path + strlen(archive->path) + 1;
    struct stat st;

    if (!snapshots_is_name(name))
        return complain_name(name);
    if (snprintf(path, PATH_MAX, "%s/" FORMAT_SNAPSHOTS "/%s", archive->path, name) >= PATH_MAX)
        return complain("use", name, -ENAMETOOLONG);
    if (fstatat(archive->dirfd, below, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    if (errno != ENOENT)
        return complain("use", name, -errno);
    log_error("archive '%s' has no snapshot '%s'", archive->path, name);
    log_note("'mosaicfs snapshot list %s' lists those it has", archive->path);
    return -ENOENT;
}

static int open_snapshot(const struct archive *archive, const char *name, struct archive *snapshot)
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
    return rc ? complain("make", alone->name, rc) : 0;
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
    snapshot_progress *progress;
    void *arg;
    struct snapshot_made *made;
};

static int link_tile(void *arg, uint32_t tile, int folder)
{
    struct making *making = arg;

    making->made->tiles++;
    making->progress(making->arg, tile, making->from.ntiles);
    return snapshots_tile(&making->from, &making->to, tile);
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

    return rc ? rc : io_fsync(making->all);
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
        return complain("make", making->name, rc);
    rc = writer->step(writer->arg, SNAPSHOT_BEGIN, NULL); /* logged, as the next two */
    if (!rc)
        rc = folders_each(&making->from, 0, ntiles, link_tile, making);
    if (!rc)
        rc = writer->step(writer->arg, SNAPSHOT_TAKE, &making->made->stalled);
    if (rc)
        return rc;
    rc = copy_index(making);
    if (!rc)
        rc = sync_folders(making);
    if (!rc)
        rc = name_it(making);
    return rc ? complain("make", making->name, rc) : 0;
}

static int make(struct making *making, const struct snapshot_writer *writer)
{
    int rc = inherit_mkdir(making->all, FORMAT_SNAPSHOT_NEW);

    if (!rc)
        rc = io_open(making->all, FORMAT_SNAPSHOT_NEW, O_RDONLY | O_DIRECTORY, 0, &making->fd);
    if (rc)
        return complain("make", making->name, rc);
    rc = fill(making, writer);
    folders_release(&making->from);
    folders_release(&making->to);
    close(making->fd);
    if (rc)
        (void)!snapshots_remove(making->all, FORMAT_SNAPSHOT_NEW);
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
    rc = make_all(archive);
    if (!rc)
        rc = lock_all(archive, &making.all);
    if (rc)
        return complain_lock(archive, "make", name, rc);
    if (is_there(making.all, name))
        rc = complain("make", name, -EEXIST);
    else
        rc = writer ? make(&making, writer) : make_alone(&making);
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
        return complain("delete", name, rc);
    rc = writer->step(writer->arg, SNAPSHOT_LINKS_BEGIN, NULL); /* logged, as below */
    if (rc)
        return rc;
    rc = snapshots_remove(all, FORMAT_SNAPSHOT_GONE);
    if (rc)
        (void)complain("delete", name, rc);
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
    rc = lock_all(archive, &all);
    if (rc)
        return complain_lock(archive, "delete", name, rc);
    rc = writer ? delete_one(all, name, writer) : delete_alone(archive, all, name);
    close(all);
    return rc;
}

/* --- listing them ----------------------------------------------------------------------------- */

struct names {
    char (*list)[FORMAT_SNAPSHOT_NAME + 1];
    size_t n;
};

static int add_name(void *arg, const char *name)
{
    struct names *names = arg;
    void *list = realloc(names->list, (names->n + 1) * sizeof(*names->list));

    if (!list)
        return -ENOMEM;
    names->list = list;
    strcpy(names->list[names->n++], name);
    return 0;
}

struct counting {
    const struct layout *layout;
    struct snapshot_info *info;
};

static int count_tile(void *arg, uint32_t tile, int folder)
{
    struct counting *counting = arg;
    char path[LAYOUT_PATH];
    struct stat st;

    counting->layout->tile_path(tile, path);
    if (fstatat(folder, strrchr(path, '/') + 1, &st, AT_SYMLINK_NOFOLLOW))
        return 0;
    counting->info->tiles++;
    counting->info->blocks += (uint64_t)st.st_blocks;
    counting->info->own += st.st_nlink == 1 ? (uint64_t)st.st_blocks : 0;
    return 0;
}

static int count(const struct archive *snapshot, struct snapshot_info *info)
{
    const struct index *index = &snapshot->index;
    struct counting counting = {index->layout, info};
    struct folders folders;
    struct stat st;
    int rc = folders_init(&folders, snapshot->dirfd, index->layout, index->geometry.ntiles);

    info->size = index->geometry.size;
    if (fstatat(snapshot->dirfd, index->layout->index, &st, AT_SYMLINK_NOFOLLOW) == 0)
        info->created = st.st_mtim.tv_sec;
    if (!rc)
        rc = folders_each(&folders, 0, folders.ntiles, count_tile, &counting);
    folders_release(&folders);
    return rc;
}

static int look_at(const struct archive *archive, const char *name, struct snapshot_info *info)
{
    struct archive snapshot;
    int rc = open_snapshot(archive, name, &snapshot);

    *info = (struct snapshot_info){0};
    strcpy(info->name, name);
    if (!rc)
        rc = count(&snapshot, info);
    archive_close(&snapshot);
    return rc;
}

static int compare_age(const void *a, const void *b)
{
    const struct snapshot_info *one = a, *other = b;

    if (one->created != other->created)
        return one->created < other->created ? -1 : 1;
    return strcmp(one->name, other->name);
}

int snapshot_list(const struct archive *archive,
                  void (*fn)(void *arg, const struct snapshot_info *info), void *arg)
{
    struct snapshot_info *infos = NULL;
    struct names names = {0};
    int all;
    int rc = snapshots_open(archive->dirfd, &all);

    if (rc == -ENOENT)
        return 0;
    if (!rc) {
        rc = snapshots_each(all, add_name, &names);
        close(all);
    }
    if (!rc && names.n > 0) {
        infos = calloc(names.n, sizeof(*infos));
        rc = infos ? 0 : -ENOMEM;
    }
    if (rc)
        log_error("cannot list the snapshots of '%s': %s", archive->path, strerror(-rc));
    for (size_t i = 0; !rc && i < names.n; i++)
        rc = look_at(archive, names.list[i], &infos[i]);
    if (!rc && names.n > 0)
        qsort(infos, names.n, sizeof(*infos), compare_age);
    for (size_t i = 0; !rc && i < names.n; i++)
        fn(arg, &infos[i]);
    free(names.list);
    free(infos);
    return rc;
}

/* --- comparing two ---------------------------------------------------------------------------- */

enum { SAME, CHANGED, DELETED };

struct comparing {
    const struct archive *one, *other;
    unsigned char *fates; /* of each tile */
    bool back;            /* what is in other alone is looked for */
};

static int compare_tile(void *arg, uint32_t tile, int folder)
{
    const struct comparing *comparing = arg;
    char path[LAYOUT_PATH];
    struct stat here, there;

    comparing->one->index.layout->tile_path(tile, path);
    if (fstatat(folder, strrchr(path, '/') + 1, &here, AT_SYMLINK_NOFOLLOW))
        return errno == ENOENT ? 0 : -errno;
    if (fstatat(comparing->other->dirfd, path, &there, AT_SYMLINK_NOFOLLOW)) {
        if (errno != ENOENT)
            return -errno;
        comparing->fates[tile] = comparing->back ? CHANGED : DELETED;
    } else if (here.st_ino != there.st_ino || here.st_dev != there.st_dev) {
        comparing->fates[tile] = CHANGED;
    }
    return 0;
}

static int walk(struct comparing *comparing)
{
    const struct index *index = &comparing->one->index;
    struct folders folders;
    int rc = folders_init(&folders, comparing->one->dirfd, index->layout, index->geometry.ntiles);

    if (!rc)
        rc = folders_each(&folders, 0, index->geometry.ntiles, compare_tile, comparing);
    folders_release(&folders);
    return rc;
}

static int compare(const struct archive *from, const struct archive *to,
                   void (*fn)(void *arg, uint32_t tile, bool absent), void *arg)
{
    uint32_t a = from->index.geometry.ntiles, b = to->index.geometry.ntiles;
    uint32_t ntiles = a > b ? a : b;
    struct comparing comparing = {.one = from, .other = to, .fates = calloc(ntiles, 1)};
    int rc = comparing.fates ? walk(&comparing) : -ENOMEM;

    comparing = (struct comparing){to, from, comparing.fates, true};
    if (!rc)
        rc = walk(&comparing);
    if (rc)
        log_error("cannot compare '%s' with '%s': %s", from->path, to->path, strerror(-rc));
    for (uint32_t tile = 0; !rc && tile < ntiles; tile++)
        if (comparing.fates[tile] != SAME)
            fn(arg, tile, comparing.fates[tile] == DELETED);
    free(comparing.fates);
    return rc;
}

int snapshot_diff(const struct archive *archive, const char *from, const char *to,
                  void (*fn)(void *arg, uint32_t tile, bool absent), void *arg)
{
    struct archive one, other = {.dirfd = -1};
    int rc = open_snapshot(archive, from, &one);

    if (!rc && to)
        rc = open_snapshot(archive, to, &other);
    if (!rc)
        rc = compare(&one, to ? &other : archive, fn, arg);
    archive_close(&one);
    archive_close(&other);
    return rc;
}

/* --- and back --------------------------------------------------------------------------------- */

#define AT_ONCE 256 /* tiles noted with one call */

/* A rollback. */
struct rolling {
    struct drive drive;
    struct archive snapshot;
    struct folders from, to;
    uint32_t *tiles; /* that differ */
    size_t n;
    struct snapshot_rolled *rolled;
};

static void add_tile(void *arg, uint32_t tile, bool absent)
{
    struct rolling *rolling = arg;

    rolling->tiles[rolling->n++] = tile;
    rolling->rolled->replaced += !absent;
    rolling->rolled->removed += absent;
}

static int find_tiles(struct rolling *rolling)
{
    const struct archive *archive = &rolling->drive.archive;
    const struct geometry *ours = &archive->index.geometry;
    const struct geometry *theirs = &rolling->snapshot.index.geometry;

    if (ours->size != theirs->size || ours->tile_size != theirs->tile_size ||
        archive->index.layout != rolling->snapshot.index.layout) {
        log_error("cannot roll back '%s': the snapshot has another size or layout", archive->path);
        return -EINVAL;
    }
    rolling->tiles = calloc(ours->ntiles, sizeof(*rolling->tiles));
    if (!rolling->tiles)
        return complain("roll back to", rolling->snapshot.path, -ENOMEM);
    return compare(archive, &rolling->snapshot, add_tile, rolling);
}

static int set_mark(const struct archive *archive, const char *name)
{
    char text[FORMAT_SNAPSHOT_NAME + 2];
    int len = snprintf(text, sizeof(text), "%s\n", name);
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (rc)
        return rc;
    rc = io_replace(fd, strrchr(FORMAT_ROLLBACK_NAME, '/') + 1, text, (size_t)len, IO_OVER);
    close(fd);
    return rc;
}

static int clear_mark(const struct archive *archive)
{
    int fd;
    int rc = archive_private(archive, false, &fd);

    if (rc)
        return rc;
    if (unlinkat(fd, strrchr(FORMAT_ROLLBACK_NAME, '/') + 1, 0) && errno != ENOENT)
        rc = -errno;
    if (!rc)
        rc = io_fsync(fd);
    close(fd);
    return rc;
}

static int note_tiles(const struct rolling *rolling)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < rolling->n; i += AT_ONCE) {
        size_t n = rolling->n - i < AT_ONCE ? rolling->n - i : AT_ONCE;

        rc = store_note(rolling->drive.store, rolling->tiles + i, n);
    }
    return rc;
}

static int restore_tiles(struct rolling *rolling)
{
    const struct index *index = &rolling->drive.archive.index;
    uint32_t ntiles = index->geometry.ntiles;
    int rc = folders_init(&rolling->from, rolling->snapshot.dirfd, index->layout, ntiles);

    if (!rc)
        rc = folders_init(&rolling->to, rolling->drive.archive.dirfd, index->layout, ntiles);
    for (size_t i = 0; !rc && i < rolling->n; i++)
        rc = snapshots_restore(&rolling->from, &rolling->to, rolling->tiles[i]);
    if (!rc)
        rc = folders_sync(&rolling->to);
    folders_release(&rolling->from);
    folders_release(&rolling->to);
    return rc;
}

/* The journal and the mark before the first tile, the mark goes after the last. */
static int roll(struct rolling *rolling, const char *name)
{
    const struct archive *archive = &rolling->drive.archive;
    int rc = find_tiles(rolling); /* logged, as where there is no complain() */

    if (rc)
        return rc;
    rc = set_mark(archive, name);
    if (rc)
        return complain("roll back to", name, rc);
    rc = note_tiles(rolling);
    if (!rc)
        rc = restore_tiles(rolling);
    if (!rc) {
        rc = clear_mark(archive);
        rc = rc ? complain("roll back to", name, rc) : 0;
    }
    if (rc)
        log_note("the archive is refused until 'mosaicfs snapshot rollback' has been run again");
    return rc;
}

static int roll_locked(const struct archive *archive, const char *name,
                       struct snapshot_rolled *rolled)
{
    struct rolling rolling = {.rolled = rolled};
    struct drive_config config = {
        .path = archive->path,
        .mountpoint = "",
        .reach = DRIVE_STORE,
        .max_open = DIR_OPEN_MIN,
        .between = true,
    };
    int closed;
    int rc = open_snapshot(archive, name, &rolling.snapshot);

    if (!rc) {
        rc = drive_open(&rolling.drive, &config);
        if (!rc) {
            rc = roll(&rolling, name);
            closed = drive_close(&rolling.drive);
            rc = rc ? rc : closed;
        }
    }
    archive_close(&rolling.snapshot);
    free(rolling.tiles);
    return rc;
}

int snapshot_rollback(const struct archive *archive, const char *name,
                      struct snapshot_rolled *rolled)
{
    char path[PATH_MAX];
    int all;
    int rc = snapshot_path(archive, name, path);

    *rolled = (struct snapshot_rolled){0};
    if (rc)
        return rc;
    rc = lock_all(archive, &all);
    if (rc)
        return complain_lock(archive, "roll back to", name, rc);
    rc = roll_locked(archive, name, rolled);
    close(all);
    return rc;
}
