/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A step that failed is tried again as long as a fault may have been the
 * reason, as whoever uses the image would; then it must succeed. After a flush
 * that failed the archive is left and taken anew. Where calls fail for ever,
 * the steps of an image fail as they may, those without which nothing goes on
 * are tried again without faults.
 */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../sys/said.h"
#include "../tree.h"
#include "compare.h"
#include "format/layout.h"
#include "judge.h"
#include "left.h"
#include "model.h"
#include "steps.h"
#include "watch.h"

#define TRIES 5          /* of a step; at most three calls fail before it must succeed */
#define PROBLEMS_TOLD 60 /* of one process, one of each run; all are counted */

static unsigned problems, told;
static bool verbose;
static char room[PATH_MAX / 8]; /* for the files of all runs */

unsigned run_problems(void)
{
    return problems;
}

void run_verbose(void)
{
    verbose = true;
}

static void print_spoil(const struct run *run)
{
    unsigned n;
    const struct spoil_call *calls = spoil_record(&n);
    const struct spoil *spoil = &run->spoil;

    printf("# %s", run->setting->name);
    if (spoil->call)
        printf(":%u:%d:%s (%s in '%s' %s, %s)", spoil->call, spoil->error,
               spoil_mode_name(spoil->mode), calls[spoil->call - 1].name,
               calls[spoil->call - 1].step,
               spoil->error == SPOIL_SHORT ? "is cut short" : strerrorname_np(spoil->error),
               spoil_mode_name(spoil->mode));
}

void run_problem(struct run *run, const char *fmt, ...)
{
    va_list args;

    problems++;
    if (run->problems++ > 0 || told++ >= PROBLEMS_TOLD)
        return; /* what follows from the first is of no interest */
    print_spoil(run);
    printf(": step '%s': ", run->step);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n%s", said_lines());
    fflush(stdout);
}

void run_make_room(void)
{
    const char *tmp = getenv("TMPDIR");

    if (!tmp)
        tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm"; /* a disk that syncs would be slow */
    snprintf(room, sizeof(room), "%s/mosaicfs-calls-XXXXXX", tmp);
    if (!mkdtemp(room)) {
        perror(room);
        exit(1);
    }
}

void run_remove_room(void)
{
    tree_remove(room);
}

/* --- steps ------------------------------------------------------------------------------------ */

static int before(void *arg, struct sys_call *call)
{
    const struct run *run = arg;
    int err = 0;

    if (run->setting->old_kernel && strcmp(call->name, "openat2") == 0)
        return ENOSYS;
    if (run->setting->old_kernel && strcmp(call->name, "renameat2") == 0)
        return EINVAL;
    if (run->setting->old_kernel && call->op == CALL_FALLOCATE)
        return EOPNOTSUPP;
    err = spoil_before(call);
    if (!err)
        watch_before(call);
    return err;
}

static void after(void *arg, const struct sys_call *call, long result, int err)
{
    watch_after(call, result, err);
}

static int try_step(struct run *run, const struct step *step)
{
    unsigned hits = spoil_hits();
    int rc;

    run->step = step->name;
    spoil_step(step->name);
    said_clear();
    rc = step->run(run, step);
    if (run->img && image_failed(run->img))
        run->sick = true;
    if (verbose && spoil_hits() > hits)
        printf("# '%s' at %" PRIu64 ": %s\n%s", step->name, step->off, strerror(-rc), said_lines());
    judge(run, step, rc, spoil_hits() > hits);
    if (rc && step->rules == RULES_ARCHIVE)
        watch_told();
    if (spoil_hits() > hits)
        run->owed = true;
    else if (!rc && (step->run == step_close.run || strcmp(step->name, "flush") == 0))
        run->owed = false;
    return rc == step->expect ? 0 : rc;
}

/* A step without which nothing goes on. */
static bool must_do(struct run *run, const struct step *step)
{
    int rc = try_step(run, step);

    for (int i = 1; rc && i < TRIES; i++) {
        if (run->spoil.mode == SPOIL_EVER)
            spoil_heal();
        rc = try_step(run, step);
    }
    if (rc)
        run_problem(run, "it does not succeed any more: %s", strerror(-rc));
    return rc == 0;
}

/* Ends the use of the archive. After a failed flush the lock is not dropped: the next use is told.
 */
static bool leave(struct run *run)
{
    if (run->img)
        (void)!try_step(run, &step_close);
    if (run->sick || run->abandoned)
        run->left_behind = true;
    else if (run->taken)
        (void)!try_step(run, &step_drop);
    run->abandoned = false;
    left_check_private(run);
    return must_do(run, &step_leave);
}

static bool enter(struct run *run)
{
    return must_do(run, &step_open) && must_do(run, &step_take) && must_do(run, &step_covers) &&
           must_do(run, &step_image);
}

/* A failed flush is final, and reads go on. */
static void check_sick(struct run *run)
{
    char byte;

    if (image_flush(run->img) != -EIO)
        run_problem(run, "the flush after a failed one says something else");
    if (image_write(run->img, 0, "x", 1) != -EROFS || image_zero(run->img, 0, 1) != -EROFS)
        run_problem(run, "writes are taken after a failed flush");
    if (image_read(run->img, 0, &byte, 1))
        run_problem(run, "nothing is read after a failed flush");
}

/* Where no call fails. */
static void overlook(struct run *run, void (*fn)(struct run *run))
{
    spoil_overlook(true);
    fn(run);
    spoil_overlook(false);
}

static void look(struct run *run)
{
    int rc = compare_read_all(run);

    if (rc)
        run_problem(run, "the image cannot be read: %s", strerror(-rc));
}

/* An image step failed. True when it is to be tried again. */
static bool recover(struct run *run)
{
    if (run->img && run->spoil.call % 2)
        overlook(run, look);
    if (run->sick && run->img)
        overlook(run, check_sick);
    if (run->spoil.mode == SPOIL_EVER)
        return false;
    return !run->sick || (leave(run) && enter(run));
}

/*
 * Without RENAME_NOREPLACE a tile has two names for a moment. When neither can
 * be removed, it is not written to until somebody does it.
 */
static void remove_second_names(struct run *run)
{
    sys_pause();
    for (uint32_t tile = 0; tile < MODEL_TILES; tile++) {
        char path[LAYOUT_PATH], name[LAYOUT_PATH + 4];

        run->setting->layout->tile_path(tile, path);
        snprintf(name, sizeof(name), "%s.tmp", path);
        unlinkat(run->archive.dirfd, name, 0);
    }
    sys_resume();
}

static void do_step(struct run *run, const struct step *step)
{
    for (int i = 0; i < TRIES; i++) {
        if (!try_step(run, step) || !recover(run))
            return;
        if (said("it is a hard link"))
            remove_second_names(run);
        if (judge_gave_up(run) && !(leave(run) && enter(run)))
            return;
    }
    run_problem(run, "it does not succeed any more");
}

/* --- the script ------------------------------------------------------------------------------- */

static bool is_use(const struct step *step)
{
    return step->run == step_open.run || step->run == step_take.run ||
           step->run == step_covers.run || step->run == step_image.run ||
           strcmp(step->name, "shuffle") == 0 || strcmp(step->name, "reindex") == 0 ||
           strcmp(step->name, "create") == 0 || strncmp(step->name, "closed", 6) == 0 ||
           strcmp(step->name, "new") == 0 || strcmp(step->name, "over") == 0;
}

/* False: the run cannot go on. */
static bool play_step(struct run *run, const struct step *step)
{
    if (is_use(step))
        return must_do(run, step);
    if (step->run == step_close.run)
        return leave(run);
    if (step->run == step_drop.run || step->run == step_leave.run)
        return true; /* done by the one above */
    do_step(run, step);
    return run->open || strcmp(step->name, "read_only") == 0;
}

/* --- what is left ----------------------------------------------------------------------------- */

/* Uses the archive once more, without faults: all that was promised is there. */
static void check_archive(struct run *run)
{
    struct image_usage usage;

    run->read_only = false;
    if (!enter(run))
        return;
    if (run->setting->old_kernel)
        remove_second_names(run);
    look(run);
    if (image_count(run->img) || image_usage(run->img, 0, &usage))
        run_problem(run, "the tiles cannot be counted");
    else
        compare_count(run, &usage);
    if (image_write(run->img, 0, "again", 5) || image_flush(run->img))
        run_problem(run, "the archive cannot be written to");
    leave(run);
}

static void make_base(struct run *run)
{
    snprintf(run->base, sizeof(run->base), "%s/run-XXXXXX", room);
    if (!mkdtemp(run->base)) {
        perror(run->base);
        exit(1);
    }
    snprintf(run->path, sizeof(run->path), "%s/drive.img", run->base);
    snprintf(run->cover, sizeof(run->cover), "%s/cover.jpg", run->base);
}

static void check_spoilt(struct run *run)
{
    if (run->spoil.call && !spoil_hits())
        run_problem(run, "the call was never made");
    if (spoil_strayed())
        run_problem(run, "two runs made different calls before it");
}

static void play(struct run *run)
{
    const struct script *script = run->setting->script ? run->setting->script : &steps_all;
    const struct sys_hooks hooks = {run, before, after};
    bool on = true;

    sys_hook(&hooks);
    for (unsigned i = 0; on && i < script->n; i++)
        on = play_step(run, &script->steps[i]);
    check_spoilt(run);
    spoil_overlook(true);
    run->step = "the end";
    if (!run->problems) {
        left_check(run);
        check_archive(run);
    }
    sys_hook(NULL);
}

unsigned run_play(const struct setting *setting, const struct spoil *spoil)
{
    static struct run run; /* large */
    unsigned files = left_open();

    memset(&run, 0, sizeof(run));
    run.setting = setting;
    run.spoil = spoil ? *spoil : (struct spoil){0};
    make_base(&run);
    spoil_begin(spoil);
    model_init();
    watch_begin(setting->layout);
    play(&run);
    if (left_open() != files)
        run_problem(&run, "%d descriptors stay open", (int)left_open() - (int)files);
    tree_remove(run.base);
    return run.problems;
}
