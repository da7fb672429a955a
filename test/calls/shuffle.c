/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "shuffle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../reindex.h"
#include "../sys/said.h"
#include "format/format.h"
#include "model.h"
#include "watch.h"

#define BESIDE 1
#define MOVED 4

static bool is_done(const struct run *run)
{
    return run->setting->layout->head != LAYOUT_PICTURE;
}

/* The paths of the first tiles that are there. How many. */
static unsigned some_tiles(const struct run *run, int fd, char paths[MOVED][LAYOUT_PATH])
{
    unsigned n = 0;

    for (uint32_t tile = 0; n < MOVED && tile < MODEL_TILES; tile++) {
        run->setting->layout->tile_path(tile, paths[n]);
        n += faccessat(fd, paths[n], F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    }
    return n;
}

static void must(struct run *run, bool ok, const char *what)
{
    if (!ok)
        run_problem(run, "tiles cannot be moved about: %s: %s", what, strerror(errno));
}

static void plant(struct run *run, int fd, const char *path)
{
    int file = openat(fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    must(run, file >= 0 && write(file, "photograph", 10) == 10, path);
    if (file >= 0)
        close(file);
}

static void move_about(struct run *run, int fd, char paths[MOVED][LAYOUT_PATH], unsigned how)
{
    must(run, renameat2(fd, paths[0], fd, paths[1], RENAME_EXCHANGE) == 0, paths[0]);
    must(run, renameat(fd, paths[2], fd, "holiday.jpg") == 0, paths[2]);
    if (how == BESIDE) {
        must(run, mkdirat(fd, "../beside", 0755) == 0, "beside");
        must(run, renameat(fd, paths[3], fd, "../beside/one.jpg") == 0, paths[3]);
        plant(run, fd, paths[3]);
    } else {
        must(run, unlinkat(fd, FORMAT_INDEX_NAME, 0) == 0, FORMAT_INDEX_NAME);
    }
}

/* Where no tile could be made, all stays as it is. */
int shuffle_tiles(struct run *run, const struct step *step)
{
    char paths[MOVED][LAYOUT_PATH];
    int fd;

    if (is_done(run))
        return 0;
    sys_pause();
    fd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (some_tiles(run, fd, paths) == MOVED)
        move_about(run, fd, paths, step->stamp);
    else
        must(run, spoil_hits(), "there are too few");
    close(fd);
    sys_resume();
    return 0;
}

static bool is_there(const char *path)
{
    bool there;

    sys_pause();
    there = access(path, F_OK) == 0;
    sys_resume();
    return there;
}

/* What is left of the lock must have been told, now or before. */
static void check_lock(struct run *run)
{
    bool before = run->left_behind;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", run->path, FORMAT_LOCK_NAME);
    run->left_behind = is_there(path);
    if (run->left_behind && !before && !said(FORMAT_LOCK_NAME))
        run_problem(run, "nobody was told that the lock is still there");
}

/* What it did not look into before may hold a file that could not be read then. */
static int reindex(const struct run *run, const struct step *step)
{
    char beside[PATH_MAX], lost[PATH_MAX];
    bool from, also;

    snprintf(beside, sizeof(beside), "%s/beside", run->base);
    snprintf(lost, sizeof(lost), "%s/" FORMAT_PRIVATE_DIR "/lost+found", run->path);
    from = step->stamp == BESIDE && is_there(beside);
    also = spoil_hits() && is_there(lost);
    return reindex_run(run->path, from ? beside : also ? lost : NULL, from && also ? lost : NULL);
}

/* A file that could not be read is left, or makes room, which is told by the status. */
int shuffle_undo(struct run *run, const struct step *step)
{
    unsigned hits = spoil_hits();
    const char *tile;
    int status;

    if (is_done(run))
        return 0;
    status = reindex(run, step);
    check_lock(run);
    tile = watch_hasty();
    if (tile)
        run_problem(run, "tile '%s' changed before it was noted", tile);
    if (status == CLI_DONE && watch_unsynced())
        run_problem(run, "put back, but '%s' is not on disk", watch_unsynced());
    if (status == CLI_FAILED && !said(" "))
        run_problem(run, "it failed and did not say why");
    if (status == CLI_DONE)
        return 0;
    return spoil_hits() > hits && run->spoil.error ? -run->spoil.error : -EIO;
}
