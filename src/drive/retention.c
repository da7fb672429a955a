/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A period has a number that grows with time; a snapshot is the newest of its period when the one
 * before it in the list is of another.
 */
#include "drive/retention.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"

#define WORD_MAX 32

static const char *const words[RETENTION_PERIODS] = {
    [RETENTION_LAST] = "last",     [RETENTION_HOURLY] = "hourly",   [RETENTION_DAILY] = "daily",
    [RETENTION_WEEKLY] = "weekly", [RETENTION_MONTHLY] = "monthly", [RETENTION_YEARLY] = "yearly",
};

/* One "WORD=NUMBER" of len bytes. */
static int parse_one(const char *text, size_t len, struct retention *retention)
{
    char word[WORD_MAX], *number;
    uint64_t n;

    if (len >= sizeof(word))
        return -EINVAL;
    memcpy(word, text, len);
    word[len] = '\0';
    number = strchr(word, '=');
    if (!number)
        return -EINVAL;
    *number++ = '\0';
    for (int i = 0; i < RETENTION_PERIODS; i++) {
        if (strcmp(word, words[i]) != 0)
            continue;
        if (retention->most[i] || parse_u64(number, &n) || n == 0)
            return -EINVAL;
        retention->most[i] = n;
        return 0;
    }
    return -EINVAL;
}

int retention_parse(const char *text, struct retention *retention)
{
    int rc;

    *retention = (struct retention){0};
    do {
        size_t len = strcspn(text, ",");

        rc = parse_one(text, len, retention);
        text += len;
    } while (!rc && *text++ == ',');
    return rc;
}

/* Rounded down, before 1970 too. */
static int64_t divided(int64_t n, int64_t by)
{
    return n / by - (n % by < 0);
}

static int64_t period_of(enum retention_period period, int64_t seconds, size_t nth)
{
    const int64_t day = 86400;
    time_t t = (time_t)seconds;
    struct tm tm = {0};

    switch (period) {
    case RETENTION_HOURLY:
        return divided(seconds, 3600);
    case RETENTION_DAILY:
        return divided(seconds, day);
    case RETENTION_WEEKLY:
        return divided(divided(seconds, day) + 3, 7); /* the first day of 1970 was a Thursday */
    case RETENTION_MONTHLY:
        (void)gmtime_r(&t, &tm);
        return (int64_t)tm.tm_year * 12 + tm.tm_mon;
    case RETENTION_YEARLY:
        (void)gmtime_r(&t, &tm);
        return tm.tm_year;
    default:
        return -(int64_t)nth;
    }
}

void retention_apply(const struct retention *retention, const int64_t *times, size_t n, bool *keep)
{
    memset(keep, 0, n * sizeof(*keep));
    for (int period = 0; period < RETENTION_PERIODS; period++) {
        uint64_t left = retention->most[period];
        int64_t last = 0;

        for (size_t i = 0; i < n && left > 0; i++) {
            int64_t now = period_of((enum retention_period)period, times[i], i);

            if (i > 0 && now == last)
                continue;
            keep[i] = true;
            last = now;
            left--;
        }
    }
}
