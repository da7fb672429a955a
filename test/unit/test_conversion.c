/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/conversion.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define LOOKS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define REST "looks " LOOKS "\nsize 4096\ndone 512\n"

/* Written down once; the parser of every later version must read it. */
static const char golden[] =
    "source archive\ninode 4711\nlooks " LOOKS "\nsize 1073741824\ndone 00000000000268435456\n";

static int parse(const char *text, size_t len, struct conversion *conversion)
{
    char *copy = malloc(len ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, text, len);
    rc = conversion_parse(copy, len, conversion);
    free(copy);
    return rc;
}

static void reads_and_writes_the_golden_text(void **state)
{
    struct conversion conversion;
    char text[CONVERSION_MAX];
    size_t len;

    assert_int_equal(parse(golden, strlen(golden), &conversion), 0);
    assert_int_equal(conversion.source, CONVERSION_ARCHIVE);
    assert_int_equal(conversion.inode, 4711);
    assert_string_equal(conversion.looks, LOOKS);
    assert_int_equal(conversion.size, 1073741824);
    assert_int_equal(conversion.done, 268435456);
    len = conversion_print(&conversion, text);
    assert_int_equal(len, strlen(golden));
    assert_memory_equal(text, golden, len);
}

/* It is written over in place. */
static void its_length_does_not_change_with_what_is_done(void **state)
{
    struct conversion conversion = {
        .source = CONVERSION_ONCE, .inode = UINT64_MAX, .size = UINT64_MAX, .looks = LOOKS};
    char text[CONVERSION_MAX];
    size_t len = conversion_print(&conversion, text);

    conversion.done = UINT64_MAX;
    assert_int_equal(conversion_print(&conversion, text), len);
    assert_int_equal(parse(text, len, &conversion), 0);
    assert_int_equal(conversion.done, UINT64_MAX);
}

static void refuses_what_is_no_mark(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "source archive\n" REST,                                   /* no inode */
        "inode 1\n" REST,                                          /* no source */
        "source archive\ninode 1\nlooks " LOOKS "\nsize 4096\n",   /* not how far */
        "source tape\ninode 1\n" REST,                             /* an unknown one */
        "source file\nsource file\ninode 1\n" REST,                /* twice */
        "source file\ninode -1\n" REST,                            /* no number */
        "source file\ninode 18446744073709551616\n" REST,          /* too large */
        "source file\ninode 1\nlooks 12\nsize 4096\ndone 512\n",   /* no digest */
        "source file\ninode 1\nlooks " LOOKS "\nsize 1\ndone 2\n", /* too far */
        "source file\ninode 1\nlooks " LOOKS "\nsize 4096\ndone 512",
    };
    struct conversion conversion;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (parse(texts[i], strlen(texts[i]), &conversion) != -EBADMSG)
            fail_msg("taken: '%s'", texts[i]);
    assert_int_equal(parse("later x\nsource file\ninode 1\n" REST,
                           strlen("later x\nsource file\ninode 1\n" REST), &conversion),
                     0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_golden_text),
        cmocka_unit_test(its_length_does_not_change_with_what_is_done),
        cmocka_unit_test(refuses_what_is_no_mark),
    };

    return cmocka_run_group_tests_name("conversion", tests, NULL, NULL) ? 1 : 0;
}
