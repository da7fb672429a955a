/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What reindex says about each file, to people and to scripts.
 */
#ifndef CLI_REINDEX_REPORT_H
#define CLI_REINDEX_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "reindex/strays.h"

struct reindex_report {
    /* what was asked for */
    bool dry_run, verbose;
    bool covering; /* tiles get new pictures */
    /* what came of it */
    bool make_index;  /* there was no good one */
    const char *room; /* the directory, below the archive, of what made room, or NULL */
    size_t covered;
    /* set by reindex_report_count() */
    const struct strays *strays;
    const struct index *index;
    size_t here, put, displaced, duplicates, strangers, damaged, unreadable;
};

/* After strays_decide(). strays and index must outlive the report. */
void reindex_report_count(struct reindex_report *report, const struct strays *strays,
                          const struct index *index);

void reindex_report_print(const struct reindex_report *report);

/* 0 or -errno, logged. */
MUST_CHECK int reindex_report_json(const struct reindex_report *report, const char *archive);

#endif
