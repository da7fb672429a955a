/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "drive/retention.h"

#define HOUR 3600
#define DAY 86400
#define NOW INT64_C(1795990400) /* 2026-11-29 22:13:20 UTC, a Sunday */
#define MOST 2000

static void words_are_read(void **state)
{
    struct retention r;

    assert_int_equal(retention_parse("hourly=24,daily=7,weekly=4", &r), 0);
    assert_int_equal(r.most[RETENTION_HOURLY], 24);
    assert_int_equal(r.most[RETENTION_DAILY], 7);
    assert_int_equal(r.most[RETENTION_WEEKLY], 4);
    assert_int_equal(r.most[RETENTION_LAST], 0);
    assert_int_equal(retention_parse("last=1", &r), 0);
    assert_int_equal(retention_parse("monthly=12,yearly=3", &r), 0);
}

static void other_words_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ",",
        "daily",
        "daily=",
        "daily=0",
        "daily=-1",
        "daily=x",
        "daily=7,",
        ",daily=7",
        "daily=7,daily=8",
        "Daily=7",
        "daily =7",
        "minutely=3",
        "daily=7;weekly=4",
        "daily=99999999999999999999",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1",
    };
    struct retention r;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(retention_parse(bad[i], &r), -EINVAL);
}

/* How many of n snapshots, one in so many seconds until NOW, that keeps. */
static size_t kept(const char *text, int64_t step, size_t n, bool keep[MOST])
{
    static int64_t times[MOST];
    struct retention r;
    size_t count = 0;

    assert_int_equal(retention_parse(text, &r), 0);
    for (size_t i = 0; i < n; i++)
        times[i] = NOW - (int64_t)i * step;
    retention_apply(&r, times, n, keep);
    for (size_t i = 0; i < n; i++)
        count += keep[i];
    return count;
}

static void the_newest_of_each_period_stays(void **state)
{
    bool keep[MOST];

    assert_int_equal(kept("last=3", 1, 10, keep), 3);
    assert_true(keep[0] && keep[1] && keep[2] && !keep[3]);
    /* Ten minutes apart: 22:13, 22:03, then 21:53 is the newest of its hour. */
    assert_int_equal(kept("hourly=3", 600, 100, keep), 3);
    assert_true(keep[0] && !keep[1] && keep[2] && !keep[3] && keep[8]);
    assert_int_equal(kept("daily=7", HOUR, 1000, keep), 7);
    assert_true(keep[0] && keep[23] && keep[23 + 24]);
    /* The Sunday itself, and the one before. */
    assert_int_equal(kept("weekly=2", DAY, 100, keep), 2);
    assert_true(keep[0] && keep[7]);
    /* 2026-11-29, 10-31, 09-30. */
    assert_int_equal(kept("monthly=3", DAY, 100, keep), 3);
    assert_true(keep[0] && keep[29] && keep[60]);
    assert_int_equal(kept("yearly=9", DAY, 1000, keep), 3);
    /* Any of the words will do. */
    assert_int_equal(kept("hourly=24,daily=7,weekly=4", HOUR, 1500, keep), 24 + 5 + 3);
}

static void few_all_stay_and_none_is_fine(void **state)
{
    bool keep[MOST];

    assert_int_equal(kept("daily=7", DAY, 5, keep), 5);
    assert_int_equal(kept("daily=7", DAY, 0, keep), 0);
    /* Hours without a snapshot do not count. */
    assert_int_equal(kept("hourly=24", 30 * HOUR, 30, keep), 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read),
        cmocka_unit_test(other_words_are_refused),
        cmocka_unit_test(the_newest_of_each_period_stays),
        cmocka_unit_test(few_all_stay_and_none_is_fine),
    };

    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
