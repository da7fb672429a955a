/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "judge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../sys/said.h"
#include "base/io.h"
#include "format/format.h"
#include "format/layout.h"
#include "model.h"

/* What the guest of an image is told of an error: the mapping that dir.c promises. */
static int told(int error)
{
    static const int kept[] = {EACCES, EPERM,  EROFS,  ENOSPC, EDQUOT,
                               EFBIG,  ENOMEM, EMFILE, ENFILE, EOPNOTSUPP};

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (kept[i] == error)
            return -error;
    return -EIO;
}

/* Listing a folder knows two errors only. */
static bool lists(const struct step *step)
{
    static const char *const names[] = {"zero", "compact", "seek", "count", "take", "resize"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(step->name, names[i]) == 0)
            return true;
    return false;
}

static bool is(const struct step *step, const char *name)
{
    return strcmp(step->name, name) == 0;
}

/* The error is one that this fault may lead to. */
static bool fits(const struct run *run, const struct step *step, int rc)
{
    int error = run->spoil.error;

    if (error == SPOIL_SHORT)
        return false;
    if (lists(step) && rc == -EIO)
        return true;
    /* How large files may be is asked with lseek(2), and no answer is a no. */
    if (is(step, "resize") && rc == -EFBIG)
        return true;
    switch (step->rules) {
    case RULES_IMAGE:
        return rc == told(error);
    case RULES_ARCHIVE:
        return rc == -error || (error == EWOULDBLOCK && rc == -EBUSY);
    }
    return false;
}

static bool syncs(const struct step *step)
{
    return is(step, "flush") || is(step, "close") || is(step, "mark") || is(step, "resize");
}

bool judge_gave_up(const struct run *run)
{
    char text[sizeof(run->path) + LAYOUT_PATH + 32];

    if (!run->setting->layout->maps || !spoil_hit_op(CALL_FSYNC))
        return false;
    snprintf(text, sizeof(text), "cannot sync '%s/%s'", run->path, run->setting->layout->maps);
    return said(text);
}

static bool snaps(const struct step *step)
{
    return strncmp(step->name, "snap ", 5) == 0;
}

/* What an earlier fault excuses, although no call of this step failed. */
static bool excused(const struct run *run, const struct step *step, int rc)
{
    if (run->sick && rc == -EROFS)
        return snaps(step) || is(step, "write") || is(step, "zero") || is(step, "allocate") ||
               is(step, "mark") || is(step, "compact") || is(step, "resize");
    if (run->sick && rc == -EIO)
        return syncs(step) || snaps(step);
    if (rc == -EIO && run->setting->old_kernel && spoil_hit_op(CALL_UNLINK))
        return said("it is a hard link"); /* a name that could not be removed, see do_step() */
    if (rc == -EIO && judge_gave_up(run))
        return true;
    return run->owed && (syncs(step) || snaps(step)) && rc == told(run->spoil.error);
}

static bool said_folder(const struct run *run)
{
    for (uint32_t folder = 0; folder * run->setting->layout->tiles_per_folder < MODEL_TILES;
         folder++) {
        char text[LAYOUT_PATH + 16] = "folder '";

        run->setting->layout->folder_path(folder, text + strlen(text));
        if (said(text))
            return true;
    }
    return said("folder '.'");
}

static bool said_tile(const struct run *run, const struct step *step)
{
    uint64_t first = step->off / MODEL_TILE;
    uint64_t end = step->len ? (step->off + step->len - 1) / MODEL_TILE + 1 : MODEL_TILES;

    for (uint64_t tile = first; tile < end; tile++) {
        char text[LAYOUT_PATH + 16], path[LAYOUT_PATH];

        run->archive.index.layout->tile_path((uint32_t)tile, path);
        snprintf(text, sizeof(text), "tile '%s", path);
        if (said(text))
            return true;
        snprintf(text, sizeof(text), "tile %u ", (unsigned)tile);
        if (said(text))
            return true;
    }
    return said_folder(run);
}

static bool said_maps(const struct run *run)
{
    char text[LAYOUT_PATH];

    if (!run->setting->layout->maps)
        return false;
    snprintf(text, sizeof(text), "/%s", run->setting->layout->maps);
    return said(text);
}

/* The object that could not be used has been named. For want of space front/ does it. */
static bool said_object(const struct run *run, const struct step *step, int rc)
{
    if (io_is_full(rc) && step->rules == RULES_IMAGE && (!syncs(step) || is(step, "resize")))
        return true;
    if (step->rules == RULES_ARCHIVE)
        return said(run->path);
    return said(FORMAT_JOURNAL_NAME) || said_tile(run, step) || said_maps(run) ||
           (is(step, "resize") && said(run->path)) || (syncs(step) && said("cannot write to disk"));
}

void judge(struct run *run, const struct step *step, int rc, bool hit)
{
    if (rc == step->expect || (rc && excused(run, step, rc)))
        return;
    if (rc == 0)
        run_problem(run, "it returned 0 instead of '%s'", strerror(-step->expect));
    else if (!hit)
        run_problem(run, "it failed, though no call did: %s", strerror(-rc));
    else if (!fits(run, step, rc))
        run_problem(run, "it returned '%s'", strerror(-rc));
    else if (!step->quiet && !said_object(run, step, rc))
        run_problem(run, "it returned '%s' and named nothing", strerror(-rc));
}
