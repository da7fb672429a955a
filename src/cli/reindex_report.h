/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What reindex says about each file, to people and to scripts.
 */
#ifndef CLI_REINDEX_REPORT_H
#define CLI_REINDEX_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "reindex/reindexing.h"

struct reindex_report {
    /* what was asked for */
    bool dry_run, verbose;
    /* set by reindex_report_count() */
    const struct reindexing *work;
    size_t here, put, displaced, duplicates, strangers, damaged, unreadable;
};

/* After reindexing_decide(). work must outlive the report. */
void reindex_report_count(struct reindex_report *report, const struct reindexing *work);

void reindex_report_print(const struct reindex_report *report);

/* 0 or -errno, logged. */
MUST_CHECK int reindex_report_json(const struct reindex_report *report);

#endif
