/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CLI_CHECK_REPORT_H
#define CLI_CHECK_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "check/scan.h"

struct check_report {
    const struct scan *scan;
    bool repair, deep; /* what was asked for */
    size_t left;       /* findings that have not been repaired */
    size_t moved;
};

/* All findings, with advice. Flushed: steps of a repair follow, and their errors. */
void check_report_findings(const struct check_report *report);

/* One step of a repair: f was moved, or could not be. */
void check_report_step(const struct scan_finding *f);

/* How many, and what was not checked. */
void check_report_sum(const struct check_report *report);

/* All of it. 0 or -errno, logged. */
MUST_CHECK int check_report_json(const struct check_report *report);

#endif
