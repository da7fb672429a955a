/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A line on the terminal that tells how far long work has come. Nothing is
 * printed where stderr is no terminal.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct progress {
    bool shown_at_all;    /* there is a terminal to show it on */
    int64_t began, shown; /* ms of CLOCK_MONOTONIC */
};

void progress_begin(struct progress *progress);
/* ms since progress_begin(), at least 1. */
uint64_t progress_took(const struct progress *progress);
/* Not more than four times a second. */
void progress_show(struct progress *progress, const char *fmt, ...) PRINTF(2, 3);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
