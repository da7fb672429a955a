/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../layouts.h"
#include "../sys/said.h"
#include "../tree.h"
#include "base/io.h"
#include "compare.h"
#include "journal/changes.h"
#include "model.h"
#include "replace.h"
#include "shuffle.h"
#include "snap.h"
#include "store/dir.h"
#include "watch.h"

#define MAX_OPEN 8 /* descriptors of tiles: few, so that some are closed to open others */

static unsigned char buffer[COMPARE_MAX];

/* --- the use of an archive -------------------------------------------------------------------- */

/* What a try could not remove is removed by hand. */
static void remove_all(struct run *run)
{
    sys_pause();
    tree_remove(run->path);
    watch_begin(run->setting->layout);
    sys_resume();
}

/* Format 1 is not made by this program: a directory is, and then gets an index of that format. */
static int make_original(struct run *run, const struct geometry *geo)
{
    int rc;

    sys_pause();
    tree_remove(run->path);
    rc = layouts_make_original(run->path, run->setting->layout, geo, 0, 0);
    sys_resume();
    return rc;
}

static int do_create(struct run *run, const struct step *step)
{
    const struct layout *layout = run->setting->layout;
    bool original = layouts_original(layout);
    struct geometry geo;
    struct index index;
    int rc = geometry_init(&geo, MODEL_TILES * MODEL_TILE - (original ? 0 : 8192), MODEL_TILE);

    if (spoil_hit_op(CALL_UNLINK))
        remove_all(run);
    if (!rc)
        rc = layouts_index(original ? &layout_plain : layout, &geo, &index);
    if (!rc)
        rc = archive_create(run->path, &index);
    if (rc)
        return rc;
    if (watch_unsynced())
        run_problem(run, "created, but '%s' is not on disk", watch_unsynced());
    if (original)
        return make_original(run, &geo);
    sys_pause();
    rc = layout == &layout_bundle ? layouts_plant_maps(run->path, MODEL_TILES) : 0;
    sys_resume();
    return rc;
}

static int do_open(struct run *run, const struct step *step)
{
    int rc = archive_open(run->path, &run->archive);

    run->open = rc == 0;
    return rc;
}

/* Nobody else gets the lock. A file system without locks is none of our business. */
static void check_lock(struct run *run)
{
    bool without = spoil_hit_op(CALL_FLOCK) && run->spoil.error == ENOLCK;
    int fd;

    sys_pause();
    fd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!without && (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0))
        run_problem(run, "the archive is not locked");
    if (fd >= 0)
        close(fd);
    sys_resume();
}

static int do_take(struct run *run, const struct step *step)
{
    int rc = owner_take(&run->owner, &run->archive, "/nowhere", run->read_only);

    run->taken = rc == 0;
    if (!rc)
        check_lock(run);
    if (!run->read_only)
        run->left_behind = run->left_behind && rc;
    return rc;
}

static int take_head(void *arg, const void *head, size_t len)
{
    return 0;
}

/*
 * Mount warns when there is no picture for a new tile, and goes on. Whoever uses
 * it unmounts and tries again, until there is one.
 */
static int do_covers(struct run *run, const struct step *step)
{
    unsigned hits = spoil_hits();
    int rc = run->read_only ? 0 : layouts_covers(&run->archive, run->cover, &run->covers);

    if (rc || !run->covers)
        return rc;
    sys_pause();
    rc = covers_make(run->covers, 0, take_head, NULL);
    sys_resume();
    if (!rc)
        return 0;
    covers_free(run->covers);
    run->covers = NULL;
    return spoil_hits() > hits ? -run->spoil.error : rc;
}

/* The journal of a new use is asked for its name at once, unseen. */
static void learn_journal(struct run *run)
{
    unsigned char bytes[16384];
    size_t len = 0;

    sys_pause();
    if (io_read_file(run->archive.dirfd, FORMAT_JOURNAL_NAME, bytes, sizeof(bytes), &len))
        len = 0;
    watch_journal(bytes, len);
    run->without = run->without || said("cannot begin the journal");
    if (compare_journal(run))
        run_problem(run, "the journal cannot be read");
    sys_resume();
}

static int do_image(struct run *run, const struct step *step)
{
    const struct dir_config config = {
        .read_only = run->read_only, .max_open = MAX_OPEN, .covers = run->covers};
    struct store *st;
    int rc = dir_open(&run->archive, &config, &st);

    run->sick = false;
    run->without = false;
    if (!rc)
        rc = image_open(st, run->read_only, &run->img);
    if (!rc && !run->read_only)
        learn_journal(run);
    return rc;
}

static int do_made(struct run *run, const struct step *step)
{
    return owner_made_mountpoint(&run->owner);
}

static int do_record(struct run *run, const struct step *step)
{
    struct record record;
    int rc = owner_read(&run->archive, &record);

    if (!rc && record.pid != getpid())
        run_problem(run, "the lock names process %d", (int)record.pid);
    return rc;
}

static int do_close(struct run *run, const struct step *step)
{
    int rc = image_close(run->img);

    run->img = NULL;
    run->sick = run->sick || rc;
    if (!rc && !run->read_only && watch_unsynced())
        run_problem(run, "closed, but '%s' is not on disk", watch_unsynced());
    watch_told();
    return rc;
}

/* What is left of the lock must have been told. */
static int do_drop(struct run *run, const struct step *step)
{
    struct stat st;

    owner_drop(&run->owner);
    sys_pause();
    if (!run->read_only && fstatat(run->archive.dirfd, FORMAT_LOCK_NAME, &st, 0) == 0) {
        run->left_behind = true;
        if (!said(FORMAT_LOCK_NAME))
            run_problem(run, "nobody was told that the lock is still there");
    }
    sys_resume();
    run->taken = false;
    return 0;
}

static int do_leave(struct run *run, const struct step *step)
{
    covers_free(run->covers);
    run->covers = NULL;
    archive_close(&run->archive);
    run->open = run->taken = false;
    return 0;
}

/* The use ends as if the process were killed. */
static int do_abandon(struct run *run, const struct step *step)
{
    run->abandoned = true;
    return 0;
}

/* From now on uses are read-only. */
static int do_read_only(struct run *run, const struct step *step)
{
    run->read_only = true;
    return 0;
}

/* --- the image -------------------------------------------------------------------------------- */

static void check_order(struct run *run)
{
    const char *tile = watch_hasty();

    if (tile)
        run_problem(run, "tile '%s' changed before it was noted", tile);
}

/* No byte can have changed. */
static bool refuses(const struct run *run)
{
    return run->sick || run->read_only;
}

static int do_write(struct run *run, const struct step *step)
{
    bool refused = refuses(run);
    int rc;

    model_fill(buffer, step->off, step->len, step->stamp);
    rc = image_write(run->img, step->off, buffer, step->len);
    if (!refused)
        model_write(step->off, step->len, step->stamp, rc == 0, run->epoch);
    check_order(run);
    return rc;
}

static int do_read(struct run *run, const struct step *step)
{
    return compare_read(run, step->off, step->len);
}

static int do_zero(struct run *run, const struct step *step)
{
    bool refused = refuses(run);
    int rc = image_zero(run->img, step->off, step->len);

    if (!refused)
        model_write(step->off, step->len, 0, rc == 0, run->epoch);
    check_order(run);
    return rc;
}

/* All of it; of what cannot be done in one tile the others know nothing. Not a byte changes. */
static int do_compact(struct run *run, const struct step *step)
{
    struct image_compact at = {.tile = 0};
    int rc = 0, first = 0;

    while (!rc && at.tile < image_geometry(run->img)->ntiles) {
        rc = image_compact(run->img, &at);
        first = first ? first : at.error;
    }
    check_order(run);
    return rc ? rc : first;
}

static int do_allocate(struct run *run, const struct step *step)
{
    int rc = image_allocate(run->img, step->off, step->len);

    check_order(run);
    /* Where the file system cannot, nobody minds. */
    return rc == -EOPNOTSUPP && run->setting->old_kernel ? 0 : rc;
}

/* From one end to the other: what is skipped as a hole holds nothing. */
static int do_seek(struct run *run, const struct step *step)
{
    uint64_t size = image_size(run->img);
    uint64_t off = 0, data, hole;
    int rc;

    while ((rc = image_seek(run->img, off, STORE_DATA, &data)) == 0) {
        if (!model_is_zero(off, data - off))
            run_problem(run, "data is said to begin at %" PRIu64, data);
        rc = image_seek(run->img, data, STORE_HOLE, &hole);
        if (rc)
            return rc;
        if (hole <= data || hole > size)
            run_problem(run, "from %" PRIu64 " on, a hole is said to begin at %" PRIu64, data,
                        hole);
        off = hole;
    }
    if (rc == -ENXIO && !model_is_zero(off, size - off))
        run_problem(run, "no data is said to follow %" PRIu64, off);
    return rc == -ENXIO ? 0 : rc;
}

static int do_count(struct run *run, const struct step *step)
{
    return image_count(run->img);
}

static int do_usage(struct run *run, const struct step *step)
{
    struct image_usage usage;
    int rc = image_usage(run->img, 0, &usage);

    if (!rc)
        compare_count(run, &usage);
    return rc;
}

static int do_space(struct run *run, const struct step *step)
{
    struct statvfs space;
    int rc = image_space(run->img, &space);

    if (!rc && !space.f_bsize)
        run_problem(run, "a file system without blocks");
    return rc;
}

static int do_flush(struct run *run, const struct step *step)
{
    int rc = image_flush(run->img);

    if (!rc && watch_unsynced())
        run_problem(run, "flushed, but '%s' is not on disk", watch_unsynced());
    return rc;
}

static int do_mark(struct run *run, const struct step *step)
{
    char text[STORE_EPOCH];
    struct journal_word word;
    int rc = image_mark(run->img, text);

    if (rc)
        return rc;
    if (journal_parse_epoch(text, &word)) {
        run_problem(run, "'%s' is no epoch", text);
    } else if (word.id != run->id) {
        if (!run->journal_broken && !run->without)
            run_problem(run, "the epochs have a new name");
        model_forget_changes();
        run->id = word.id;
    }
    run->epoch = word.mark.epoch;
    run->journal_broken = run->without = false;
    learn_journal(run);
    if (watch_unsynced())
        run_problem(run, "marked, but '%s' is not on disk", watch_unsynced());
    return 0;
}

/* More tiles than the model knows of; a longer journal says the same of those that it does. */
static int do_resize(struct run *run, const struct step *step)
{
    uint64_t before = image_size(run->img), size = MODEL_MORE * MODEL_TILE;
    bool refused = refuses(run);
    int rc = image_resize(run->img, size);

    if (image_size(run->img) != (rc ? before : size))
        run_problem(run, "it has %" PRIu64 " bytes now", image_size(run->img));
    if (!refused)
        learn_journal(run);
    if (rc)
        watch_either();
    check_order(run);
    return rc;
}

static int do_changed(struct run *run, const struct step *step)
{
    return compare_journal(run);
}

/* --- what others do --------------------------------------------------------------------------- */

static int open_journal(struct run *run)
{
    return openat(run->archive.dirfd, FORMAT_JOURNAL_NAME, O_RDWR | O_CLOEXEC);
}

/* One byte of the journal's first sector of cells. */
static int do_damage(struct run *run, const struct step *step)
{
    unsigned char byte;
    int fd;

    sys_pause();
    fd = open_journal(run);
    if (fd >= 0) {
        if (pread(fd, &byte, 1, FORMAT_JOURNAL_SECTOR + 9) == 1) {
            byte ^= 1;
            if (pwrite(fd, &byte, 1, FORMAT_JOURNAL_SECTOR + 9) != 1)
                perror("journal");
        }
        close(fd);
    }
    sys_resume();
    run->journal_damaged = true;
    return 0;
}

static int do_lose(struct run *run, const struct step *step)
{
    sys_pause();
    unlinkat(run->archive.dirfd, FORMAT_JOURNAL_NAME, 0);
    sys_resume();
    watch_journal(NULL, 0);
    run->journal_broken = true;
    return 0;
}

/* --- the script ------------------------------------------------------------------------------- */

#define do_shuffle shuffle_tiles
#define do_reindex shuffle_undo
#define T MODEL_TILE
#define STEP(name_, fn, rules_, ...)                                   \
    {                                                                  \
        .name = name_, .run = fn, .rules = RULES_##rules_, __VA_ARGS__ \
    }
#define WRITE(off_, len_, stamp_) \
    STEP("write", do_write, IMAGE, .off = off_, .len = len_, .stamp = stamp_)
#define RANGE(what, off_, len_) STEP(#what, do_##what, IMAGE, .off = off_, .len = len_)
#define ASK(what, rules_) STEP(#what, do_##what, rules_, .stamp = 0)
#define QUIET(what, stamp_) STEP(#what, do_##what, ARCHIVE, .quiet = true, .stamp = stamp_)
#define OPEN_ALL ASK(open, ARCHIVE), ASK(take, ARCHIVE), ASK(covers, ARCHIVE), ASK(image, ARCHIVE)
#define CLOSE_ALL ASK(close, IMAGE), ASK(drop, ARCHIVE), ASK(leave, ARCHIVE)

const struct step step_open = ASK(open, ARCHIVE);
const struct step step_take = ASK(take, ARCHIVE);
const struct step step_covers = ASK(covers, ARCHIVE);
const struct step step_image = ASK(image, ARCHIVE);
const struct step step_close = ASK(close, IMAGE);
const struct step step_drop = ASK(drop, ARCHIVE);
const struct step step_leave = ASK(leave, ARCHIVE);

static const struct step all[] = {
    ASK(create, ARCHIVE),
    OPEN_ALL,
    QUIET(record, 0),
    /* New tiles, one request over three of them, in place, sectors of their own. */
    WRITE(0, 8192, 1),
    WRITE(12 * 1024, 24 * 1024, 2),
    RANGE(read, 8 * 1024, 32 * 1024),
    ASK(flush, IMAGE),
    WRITE(3 * 512, 512, 3),
    WRITE(T + 512, 4096, 4),
    RANGE(read, 0, 2 * T),
    ASK(mark, IMAGE),
    /* More tiles than may be open. */
    WRITE(3 * T, 4096, 5),
    WRITE(4 * T, T, 6),
    WRITE(5 * T, T, 7),
    WRITE(6 * T, T, 8),
    WRITE(7 * T, T, 9),
    WRITE(8 * T, 3 * T, 10),
    WRITE(11 * T, 4096, 11),
    WRITE(12 * T, 512, 12),
    RANGE(read, 0, T),
    /* Zeros: where nothing is, over data, as a punch, a cut, a removal. */
    WRITE(20 * T, 4096, 0),
    WRITE(3 * T, 4096, 0),
    RANGE(zero, 4 * T + 4096, 4096),
    RANGE(zero, 5 * T + 8192, 8192),
    RANGE(zero, 6 * T, T),
    RANGE(zero, 7 * T + 8192, 3 * T),
    RANGE(zero, 11 * T, 4096),
    RANGE(zero, 30 * T, 1000 * T - 8192),
    RANGE(read, 4 * T, 3 * T),
    RANGE(allocate, 13 * T, 4096),
    RANGE(allocate, 0, T),
    /* The second folder, and the end. */
    WRITE(1024 * T, 4096, 13),
    WRITE(1029 * T + 4096, 4096, 14),
    RANGE(read, 1028 * T, T + 8192),
    ASK(flush, IMAGE),
    ASK(seek, IMAGE),
    ASK(count, IMAGE),
    WRITE(14 * T, 4096, 15),
    ASK(usage, IMAGE),
    QUIET(space, 0),
    ASK(changed, ARCHIVE),
    ASK(made, ARCHIVE),
    ASK(mark, IMAGE),
    WRITE(2 * T + 4096, 8192, 16),
    RANGE(zero, 9 * T, 2 * T),
    /* Zeros that are stored: a hole, an end, a whole tile. */
    WRITE(4 * T, 4096, 0),
    WRITE(12 * T, 512, 0),
    ASK(compact, IMAGE),
    RANGE(read, 4 * T, 2 * T),
    CLOSE_ALL,
    QUIET(shuffle, 1),
    QUIET(reindex, 1),
    /* Again, with a journal that is taken over. */
    OPEN_ALL,
    RANGE(read, 0, 3 * T),
    WRITE(4 * T, 8192, 17),
    WRITE(6 * T + 4096, 4096, 18),
    ASK(resize, IMAGE),
    WRITE(1029 * T + 4096, 4096, 23),
    ASK(usage, IMAGE),
    ASK(lose, ARCHIVE),
    ASK(mark, IMAGE),
    WRITE(7 * T, 4096, 19),
    ASK(changed, ARCHIVE),
    ASK(flush, IMAGE),
    ASK(damage, ARCHIVE),
    CLOSE_ALL,
    /* With a damaged one. */
    OPEN_ALL,
    WRITE(15 * T, 512, 20),
    ASK(lose, ARCHIVE),
    CLOSE_ALL,
    /* With none. */
    OPEN_ALL,
    WRITE(15 * T + 512, 512, 21),
    ASK(abandon, ARCHIVE),
    CLOSE_ALL,
    /* After a writer that died. */
    OPEN_ALL,
    RANGE(read, 15 * T, T),
    CLOSE_ALL,
    QUIET(shuffle, 2),
    QUIET(reindex, 2),
    ASK(read_only, ARCHIVE),
    OPEN_ALL,
    ASK(count, IMAGE),
    RANGE(read, 0, 3 * T),
    RANGE(read, 14 * T, T),
    STEP("refuse", do_write, IMAGE, .len = 512, .stamp = 22, .expect = -EROFS),
    ASK(changed, ARCHIVE),
    CLOSE_ALL,
    STEP("new", replace_new, ARCHIVE, .quiet = true, .stamp = 1),
    STEP("over", replace_over, ARCHIVE, .quiet = true, .stamp = 2),
};
const struct script steps_all = {all, ARRAY_LEN(all)};

#define SNAP(name_, what, stamp_) STEP(name_, snap_##what, ARCHIVE, .quiet = true, .stamp = stamp_)

static const struct step snapshots[] = {
    ASK(create, ARCHIVE),
    OPEN_ALL,
    WRITE(0, 8192, 1),
    WRITE(T, T, 2),
    WRITE(2 * T + 4096, 4096, 3),
    WRITE(1024 * T, 4096, 4),
    SNAP("snap make", make, 1),
    /* Tiles that it holds: written to, cut, removed. And new ones. */
    WRITE(4096, 8192, 5),
    RANGE(zero, T + 4096, 4096),
    RANGE(zero, 2 * T, T),
    WRITE(3 * T, 512, 6),
    RANGE(read, 0, 2 * T),
    SNAP("snap diff", diff, 1),
    ASK(mark, IMAGE),
    SNAP("snap make", make, 2),
    WRITE(T, 512, 7),
    ASK(flush, IMAGE),
    SNAP("snap list", list, 0),
    SNAP("snap delete", delete, 2),
    WRITE(1024 * T, 512, 8),
    CLOSE_ALL,
    /* Nobody uses it. */
    SNAP("closed make", make, 3),
    SNAP("closed rollback", rollback, 1),
    OPEN_ALL,
    RANGE(read, 0, 3 * T),
    WRITE(0, 512, 9),
    CLOSE_ALL,
    SNAP("closed rollback", rollback, 3),
    SNAP("closed delete", delete, 1),
    SNAP("closed list", list, 0),
};
const struct script steps_snapshots = {snapshots, ARRAY_LEN(snapshots)};
