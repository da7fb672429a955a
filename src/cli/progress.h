/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How far long work has come: a line on the terminal, or lines of JSON for other programs, both on
 * stderr. Nothing is printed where stderr is no terminal and nobody asked.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "cli/opt.h"

enum progress_how { PROGRESS_TERMINAL, PROGRESS_JSON, PROGRESS_NONE };

enum progress_unit { PROGRESS_BYTES, PROGRESS_TILES };

struct progress {
    enum progress_how how;
    enum progress_unit unit;
    const char *task;     /* the word of the command */
    int64_t began, shown; /* ms of CLOCK_MONOTONIC */
    uint64_t last;        /* amount of the last line of JSON */
    pthread_mutex_t busy; /* somebody prints */
};

/* The option, for the table of a command that works long. */
#define PROGRESS_OPT                                                 \
    {                                                                \
        "progress", 0, "HOW",                                        \
            "how to show progress: 'auto' (a line on a terminal),\n" \
            "'json' (lines of JSON on stderr) or 'none'"             \
    }

/* What the option says. 0, or CLI_USAGE, told. */
MUST_CHECK int progress_option(const struct args *args, enum progress_how *how);

void progress_begin(struct progress *progress, enum progress_how how, const char *task,
                    enum progress_unit unit);
/* done of total units, of which there is at least what is done. */
void progress_at(struct progress *progress, uint64_t done, uint64_t total);
/* The same from one of many threads: a line that another one is just printing is left out. */
void progress_at_any(struct progress *progress, uint64_t done, uint64_t total);
/* Work of which the end is not known: words of its own, on a terminal only. */
void progress_show(struct progress *progress, const char *fmt, ...) PRINTF(2, 3);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
