/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snap.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/said.h"
#include "base/log.h"
#include "compare.h"
#include "drive/snapshot.h"
#include "format/format.h"
#include "model.h"
#include "store/dir.h"
#include "watch.h"

static char *path_of(const struct run *run, const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", run->path, name);
    return path;
}

static bool is_there(const struct run *run, unsigned stamp)
{
    char name[64], path[PATH_MAX];
    bool there;

    snprintf(name, sizeof(name), FORMAT_SNAPSHOTS "/s%u", stamp);
    sys_pause();
    there = access(path_of(run, name, path), F_OK) == 0;
    sys_resume();
    return there;
}

/* --- what an archive holds -------------------------------------------------------------------- */

/* NULL, or what is wrong with the bytes at off. */
typedef const char *judge_bytes(uint64_t off, size_t len, const void *buf, unsigned stamp);

static const char *as_live(uint64_t off, size_t len, const void *buf, unsigned stamp)
{
    return model_read(off, len, buf);
}

static const char *read_image(struct image *img, judge_bytes *judge, unsigned stamp)
{
    static unsigned char bytes[MODEL_TILE];
    const char *wrong = NULL;

    for (uint64_t off = 0; !wrong && off < image_size(img); off += MODEL_TILE) {
        uint64_t left = image_size(img) - off;
        size_t len = left < MODEL_TILE ? left : MODEL_TILE;

        if (!compare_is_used((uint32_t)(off / MODEL_TILE)))
            continue;
        wrong =
            image_read(img, off, bytes, len) ? "it cannot be read" : judge(off, len, bytes, stamp);
    }
    return wrong;
}

/* Where nothing fails. NULL, or what is wrong. */
static const char *read_archive(const char *path, judge_bytes *judge, unsigned stamp)
{
    const struct dir_config config = {.read_only = true, .max_open = DIR_OPEN_MIN};
    struct archive archive;
    struct image *img = NULL;
    struct store *store;
    const char *wrong;

    if (archive_open(path, &archive))
        return "it cannot be opened";
    wrong = dir_open(&archive, &config, &store) || image_open(store, true, &img)
                ? "its image cannot be opened"
                : read_image(img, judge, stamp);
    if (img)
        (void)!image_close(img);
    archive_close(&archive);
    return wrong;
}

static bool is_rolling(const struct run *run)
{
    char path[PATH_MAX];

    return access(path_of(run, FORMAT_ROLLBACK_NAME, path), F_OK) == 0;
}

/* What the snapshot has to hold is what the archive holds: nobody writes. */
static void keep(struct run *run, unsigned stamp)
{
    const char *wrong;

    sys_pause();
    wrong = run->img ? read_image(run->img, as_live, 0) : read_archive(run->path, as_live, 0);
    sys_resume();
    if (wrong)
        run_problem(run, "beside snapshot s%u: %s", stamp, wrong);
    model_keep(stamp);
}

static void check_one(struct run *run, const char *name)
{
    char below[300], path[PATH_MAX], digit = name[1];
    const char *wrong;

    if (strcmp(name, FORMAT_SNAPSHOT_NEW) == 0 || strcmp(name, FORMAT_SNAPSHOT_GONE) == 0)
        return;
    if (strlen(name) != 2 || digit < '1' || digit > '0' + MODEL_KEPT) {
        run_problem(run, "a strange snapshot '%s'", name);
        return;
    }
    snprintf(below, sizeof(below), FORMAT_SNAPSHOTS "/%s", name);
    wrong = read_archive(path_of(run, below, path), model_kept, (unsigned)(digit - '0'));
    if (wrong)
        run_problem(run, "snapshot %s: %s", name, wrong);
}

/* Each that bears its name, also after a command that failed. */
static void check_all(struct run *run)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *dir;

    sys_pause();
    dir = opendir(path_of(run, FORMAT_SNAPSHOTS, path));
    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            check_one(run, entry->d_name);
    if (dir)
        closedir(dir);
    sys_resume();
}

/* --- a step ----------------------------------------------------------------------------------- */

/* What cannot be done is said of something. */
static bool said_object(const struct run *run)
{
    return said("snapshot 's") || said(run->path) || said("tile '") || said("folder '") ||
           said(FORMAT_JOURNAL_NAME) || said("cannot write to disk");
}

/* An image tells what its guest can act upon, a store what the kernel said. */
static bool fits(const struct run *run, int rc)
{
    int error = run->spoil.error;

    return error != SPOIL_SHORT &&
           (rc == -error || rc == -EIO || (rc == -EBUSY && error == EWOULDBLOCK));
}

/* Nobody uses it, and the next one is told that the command could not write all of it. */
static void check_lock(struct run *run, int rc)
{
    bool before = run->left_behind;
    char path[PATH_MAX];

    sys_pause();
    run->left_behind = access(path_of(run, FORMAT_LOCK_NAME, path), F_OK) == 0;
    sys_resume();
    if (run->left_behind && !before && !rc && !said(FORMAT_LOCK_NAME))
        run_problem(run, "nobody was told that the lock is still there");
}

/* hits: calls that had been spoilt before it. */
static int end(struct run *run, int rc, unsigned hits)
{
    const char *hasty = watch_hasty();

    if (hasty)
        run_problem(run, "tile '%s' changed before it was noted", hasty);
    check_all(run);
    if (!run->taken)
        check_lock(run, rc);
    if (!rc)
        return 0;
    if (!said_object(run))
        run_problem(run, "it failed (%s) and named nothing", strerror(-rc));
    if (spoil_hits() == hits || !fits(run, rc))
        return rc;
    return -run->spoil.error;
}

static int do_step(void *arg, enum snapshot_step what, uint64_t *stalled)
{
    struct run *run = arg;
    int rc = 0;

    switch (what) {
    case SNAPSHOT_BEGIN:
        rc = image_snapshot_begin(run->img);
        break;
    case SNAPSHOT_TAKE:
        rc = image_snapshot_take(run->img, stalled);
        break;
    case SNAPSHOT_LINKS_BEGIN:
        image_snapshot_links_begin(run->img);
        break;
    case SNAPSHOT_LINKS_END:
        image_snapshot_links_end(run->img);
        break;
    }
    if (rc)
        log_error("cannot take snapshot 's': %s", strerror(-rc)); /* as whoever asks a mount */
    return rc;
}

/* The archive as the command has it: of an image in use that of the use. 0 or -errno. */
static int open_archive(const struct run *run, struct archive *archive)
{
    int rc = archive_open_dir(run->path, archive);

    if (!rc)
        rc = archive_read_between(archive);
    if (rc)
        archive_close(archive);
    return rc;
}

static void progress(void *arg, uint32_t tile, uint32_t ntiles)
{
}

static void name_of(const struct step *step, char name[16])
{
    snprintf(name, 16, "s%u", step->stamp);
}

int snap_make(struct run *run, const struct step *step)
{
    const struct snapshot_writer writer = {do_step, run};
    unsigned hits = spoil_hits();
    struct snapshot_made made;
    struct archive archive;
    char name[16];
    int rc = is_there(run, step->stamp) ? 0 : open_archive(run, &archive);

    name_of(step, name);
    if (!rc && !is_there(run, step->stamp)) {
        rc = snapshot_create(&archive, name, run->img ? &writer : NULL, progress, NULL, &made);
        archive_close(&archive);
        if (!rc && !is_there(run, step->stamp))
            run_problem(run, "snapshot %s was made and is not there", name);
        if (!rc && watch_unsynced_below(FORMAT_SNAPSHOTS))
            run_problem(run, "snapshot %s was made, but '%s' is not on disk", name,
                        watch_unsynced_below(FORMAT_SNAPSHOTS));
        if (is_there(run, step->stamp))
            keep(run, step->stamp);
    }
    return end(run, rc, hits);
}

int snap_delete(struct run *run, const struct step *step)
{
    const struct snapshot_writer writer = {do_step, run};
    unsigned hits = spoil_hits();
    struct archive archive;
    char name[16];
    bool there = is_there(run, step->stamp);
    int rc = there ? open_archive(run, &archive) : 0;

    name_of(step, name);
    if (!rc && there) {
        rc = snapshot_delete(&archive, name, run->img ? &writer : NULL);
        archive_close(&archive);
        if (!rc && is_there(run, step->stamp))
            run_problem(run, "snapshot %s was deleted and is there", name);
    }
    return end(run, rc, hits);
}

/* What is listed of all snapshots. */
struct listed {
    unsigned snapshots, tiles;
    uint64_t blocks;
};

static void count_info(void *arg, const struct snapshot_info *info)
{
    struct listed *listed = arg;

    listed->snapshots += info->created > 0;
    listed->tiles += info->tiles;
    listed->blocks += info->blocks;
}

static void count_files(struct run *run, unsigned stamp, struct listed *there)
{
    const struct layout *layout = run->setting->layout;

    there->snapshots++;
    for (uint32_t tile = 0; tile < MODEL_TILES; tile++) {
        char below[2 * LAYOUT_PATH], path[PATH_MAX];
        struct stat st;
        int n = snprintf(below, sizeof(below), FORMAT_SNAPSHOTS "/s%u/", stamp);

        layout->tile_path(tile, below + n);
        if (!compare_is_used(tile) || lstat(path_of(run, below, path), &st))
            continue;
        there->tiles++;
        there->blocks += (uint64_t)st.st_blocks;
    }
}

static bool same(const struct listed *a, const struct listed *b)
{
    return a->snapshots == b->snapshots && a->tiles == b->tiles && a->blocks == b->blocks;
}

int snap_list(struct run *run, const struct step *step)
{
    struct listed listed = {0}, there = {0};
    unsigned hits = spoil_hits();
    struct archive archive;
    int rc = open_archive(run, &archive);

    if (!rc) {
        rc = snapshot_list(&archive, count_info, &listed);
        archive_close(&archive);
    }
    for (unsigned stamp = 1; stamp <= MODEL_KEPT; stamp++)
        if (is_there(run, stamp))
            count_files(run, stamp, &there);
    if (!rc && !same(&listed, &there))
        run_problem(run, "%u snapshots with %u tiles are listed, %u with %u are there",
                    listed.snapshots, listed.tiles, there.snapshots, there.tiles);
    return end(run, rc, hits);
}

static void count_tile(void *arg, uint32_t tile, bool absent)
{
    unsigned *n = arg;

    *n += !absent;
}

int snap_diff(struct run *run, const struct step *step)
{
    unsigned hits = spoil_hits(), n = 0;
    struct archive archive;
    char name[16];
    int rc = is_there(run, step->stamp) ? open_archive(run, &archive) : 0;

    name_of(step, name);
    if (!rc && is_there(run, step->stamp)) {
        rc = snapshot_diff(&archive, name, NULL, count_tile, &n);
        archive_close(&archive);
        if (!rc && n < model_differs(step->stamp))
            run_problem(run, "%u tiles differ from snapshot %s, %u are listed",
                        model_differs(step->stamp), name, n);
    }
    return end(run, rc, hits);
}

/*
 * Before and after a rollback, and between if it does not keep others away. before: an earlier
 * one does already.
 */
static void check_rolled(struct run *run, unsigned stamp, int rc, bool before)
{
    const char *wrong = NULL;
    bool rolling;

    sys_pause();
    rolling = is_rolling(run);
    if (!rolling)
        wrong = read_archive(run->path, model_kept, stamp);
    if (wrong && rc)
        wrong = read_archive(run->path, as_live, 0);
    sys_resume();
    if (rolling && !rc)
        run_problem(run, "it is rolled back, and nobody may use it");
    if (rolling && rc && !before &&
        !strstr(said_lines(), "'mosaicfs snapshot rollback' has been run again"))
        run_problem(run, "nobody was told that the archive is refused now");
    if (wrong)
        run_problem(run, "rolled back to s%u: %s", stamp, wrong);
}

int snap_rollback(struct run *run, const struct step *step)
{
    unsigned hits = spoil_hits();
    struct snapshot_rolled rolled;
    struct archive archive;
    bool before;
    char name[16];
    int rc = is_there(run, step->stamp) ? open_archive(run, &archive) : 0;

    name_of(step, name);
    if (!rc && is_there(run, step->stamp)) {
        sys_pause();
        before = is_rolling(run);
        sys_resume();
        rc = snapshot_rollback(&archive, name, &rolled);
        archive_close(&archive);
        check_rolled(run, step->stamp, rc, before);
        if (!rc)
            model_go_back(step->stamp, run->epoch);
        if (!rc && watch_unsynced())
            run_problem(run, "rolled back, but '%s' is not on disk", watch_unsynced());
    }
    return end(run, rc, hits);
}
