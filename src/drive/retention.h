/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which of many snapshots are kept, as backup programs say it: "hourly=24,daily=7,weekly=4"
 * keeps the newest one of each of the last 24 hours that have one, and so on. What any of the
 * words keeps is kept. Hours and days are those of UTC, weeks begin on Monday.
 */
#ifndef DRIVE_RETENTION_H
#define DRIVE_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum retention_period {
    RETENTION_LAST, /* each snapshot is one of its own */
    RETENTION_HOURLY,
    RETENTION_DAILY,
    RETENTION_WEEKLY,
    RETENTION_MONTHLY,
    RETENTION_YEARLY,
    RETENTION_PERIODS
};

struct retention {
    uint64_t most[RETENTION_PERIODS];
};

/* 0, or -EINVAL: not of that form, a word twice, or nothing would be kept. */
MUST_CHECK int retention_parse(const char *text, struct retention *retention);

/* times, in seconds since 1970, the newest first; keep has a place for each. */
void retention_apply(const struct retention *retention, const int64_t *times, size_t n, bool *keep);

#endif
