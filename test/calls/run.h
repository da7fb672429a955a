/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One run of the script: an archive of its own in a new directory, and what is
 * known about it.
 */
#ifndef TEST_CALLS_RUN_H
#define TEST_CALLS_RUN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/layout.h"
#include "image/image.h"
#include "owner/owner.h"
#include "spoil.h"

struct script;

/* Under which circumstances. */
struct setting {
    const char *name;
    const struct layout *layout;
    bool old_kernel;             /* no openat2, no RENAME_NOREPLACE, no holes to punch */
    const char *own;             /* steps that are others than in all settings before */
    const struct script *script; /* NULL: that of all layouts, which has no snapshots */
};

struct run {
    const struct setting *setting;
    struct spoil spoil;
    char base[PATH_MAX / 4]; /* all is in it */
    char path[PATH_MAX / 2]; /* of the archive */
    char cover[PATH_MAX / 2];
    struct covers *covers;
    const char *step;
    unsigned problems; /* found in it */
    /* the archive in use */
    struct archive archive;
    struct owner owner;
    struct image *img; /* NULL: not open */
    bool open, taken;
    bool read_only;
    /* what came of earlier steps */
    bool owed;            /* a call failed since the last flush, which may tell of it */
    bool sick;            /* a flush has failed: no more writes */
    bool without;         /* there was no room for a journal */
    bool journal_broken;  /* the script has deleted it */
    bool journal_damaged; /* or spoilt a sector: more may be listed than changed */
    bool abandoned;       /* this use ends without owner_drop() */
    bool left_behind;     /* one has ended so */
    uint32_t id;          /* of the journal, with the epoch that was told last */
    uint32_t epoch;
    uint32_t replaced; /* stamp of the file that is replaced */
};

/* Before and after all runs, in the process that outlives the others. */
void run_make_room(void);
void run_remove_room(void);

/* Prints a problem, with the call that failed and what the program said. */
void run_problem(struct run *run, const char *fmt, ...) PRINTF(2, 3);

/* All problems of all runs of this process. */
unsigned run_problems(void);
/* Tells more of each run. */
void run_verbose(void);

/*
 * Plays the script with this call spoilt (NULL: none, and the calls are
 * recorded) and looks at what is left. The number of problems found.
 */
unsigned run_play(const struct setting *setting, const struct spoil *spoil);

#endif
