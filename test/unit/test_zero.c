/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/zero.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_LEN 600
#define SHIFTS 9

/* Exactly as long as needed, so that a sanitizer sees a read past either end. */
static char *zeros(size_t len)
{
    char *buf = calloc(1, len ? len : 1);

    assert_non_null(buf);
    return buf;
}

static void zeros_are_zeros(void **state)
{
    (void)state;
    for (size_t len = 0; len < MAX_LEN; len++) {
        char *buf = zeros(len);

        assert_true(zero_is(buf, len));
        assert_int_equal(zero_trimmed(buf, len), 0);
        free(buf);
    }
}

/* One byte that is not zero, at every place of every length and alignment. */
static void one_byte_is_found(void **state)
{
    (void)state;
    for (size_t len = 1; len < MAX_LEN; len += len < 70 ? 1 : 37) {
        for (size_t shift = 0; shift < SHIFTS; shift++) {
            char *buf = zeros(len + shift);

            for (size_t at = 0; at < len; at++) {
                buf[shift + at] = (char)0x80;
                assert_false(zero_is(buf + shift, len));
                assert_int_equal(zero_trimmed(buf + shift, len), at + 1);
                assert_true(zero_is(buf + shift, at));
                assert_true(zero_is(buf + shift + at + 1, len - at - 1));
                buf[shift + at] = 0;
            }
            free(buf);
        }
    }
}

static void repeated_bytes_are_not_zeros(void **state)
{
    (void)state;
    for (size_t len = 1; len < MAX_LEN; len++) {
        char *buf = zeros(len);

        memset(buf, 'x', len);
        assert_false(zero_is(buf, len));
        assert_int_equal(zero_trimmed(buf, len), len);
        free(buf);
    }
}

static void bytes_outside_do_not_count(void **state)
{
    char buf[66];

    (void)state;
    memset(buf, 0, sizeof(buf));
    buf[0] = buf[65] = 1;
    assert_true(zero_is(buf + 1, 64));
    assert_int_equal(zero_trimmed(buf + 1, 64), 0);
    assert_int_equal(zero_trimmed(buf, 65), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_are_zeros),
        cmocka_unit_test(one_byte_is_found),
        cmocka_unit_test(repeated_bytes_are_not_zeros),
        cmocka_unit_test(bytes_outside_do_not_count),
    };

    return cmocka_run_group_tests_name("zero", tests, NULL, NULL);
}
