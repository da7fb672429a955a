/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/parallel.h"

#define MOST 1000

static atomic_uint seen[MOST];
static atomic_uint calls;

static int count(void *arg, unsigned thread, uint64_t n)
{
    const int *fail_at = arg;

    atomic_fetch_add(&calls, 1);
    if (thread >= parallel_threads() || n >= MOST)
        return -EINVAL;
    atomic_fetch_add(&seen[n], 1);
    return (int)n == *fail_at ? -EIO : 0;
}

static void each_is_done_once(void **state)
{
    static const uint64_t counts[] = {0, 1, 2, MOST};
    int never = -1;

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (unsigned n = 0; n < MOST; n++)
            atomic_store(&seen[n], 0);
        assert_int_equal(parallel_each(counts[i], count, &never), 0);
        for (unsigned n = 0; n < MOST; n++)
            assert_int_equal(atomic_load(&seen[n]), n < counts[i]);
    }
}

static void a_failure_ends_it(void **state)
{
    int fail_at = 3;

    atomic_store(&calls, 0);
    assert_int_equal(parallel_each(UINT64_MAX - PARALLEL_MOST, count, &fail_at), -EIO);
    assert_in_range(atomic_load(&calls), 4, MOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_done_once),
        cmocka_unit_test(a_failure_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
