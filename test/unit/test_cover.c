/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/cover.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "format/format.h"

#define NEEDED "machine m\npath /p\nmax 1\n"

/* Written down once; the parser of every later version must read it. */
static const char golden[] = "machine 0123456789abcdef0123456789abcdef\n"
                             "path /home/me/My\\040Pictures\nmax 1048576\n"
                             "skip damaged.jpg\nskip IMG\\0407.jpeg\n";

static struct cover golden_cover(void)
{
    return (struct cover){
        .machine = "0123456789abcdef0123456789abcdef",
        .path = "/home/me/My Pictures",
        .max = 1048576,
        .skip = "damaged.jpg\0IMG 7.jpeg\0",
    };
}

/* Parses a copy of exactly len bytes, so that a sanitizer sees a read past the end. */
static int parse(const char *text, size_t len, struct cover *cover)
{
    char *copy = malloc(len ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, text, len);
    rc = cover_parse(copy, len, cover);
    free(copy);
    return rc;
}

static void reads_and_writes_the_golden_text(void **state)
{
    struct cover cover, expected = golden_cover();
    char text[COVER_TEXT];
    size_t len;

    assert_int_equal(parse(golden, strlen(golden), &cover), 0);
    assert_memory_equal(&cover, &expected, sizeof(cover));
    len = cover_print(&cover, text);
    assert_int_equal(len, strlen(golden));
    assert_memory_equal(text, golden, len);
}

/* Every byte needs its escape, every string is as long as can be, names are as many. */
static void the_longest_text_fits(void **state)
{
    static const char *const names[] = {"\n", "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct cover cover = golden_cover(), again;
        char *text = malloc(COVER_TEXT);
        size_t len;

        assert_non_null(text);
        memset(cover.machine, '\\', sizeof(cover.machine) - 1);
        memset(cover.path + 1, '\x7f', sizeof(cover.path) - 2);
        cover.max = FORMAT_COVER_LIMIT;
        memset(cover.skip, 0, sizeof(cover.skip));
        while (cover_skip(cover.skip, names[i]))
            ;
        len = cover_print(&cover, text);
        assert_in_range(len, 4 * PATH_MAX, COVER_TEXT);
        assert_int_equal(parse(text, len, &again), 0);
        assert_memory_equal(&again, &cover, sizeof(cover));
        free(text);
    }
}

static void skips_what_a_later_version_adds(void **state)
{
    static const char text[] = "colour blue\nflag\n\n" NEEDED "maximum 9\n";
    struct cover cover;

    assert_int_equal(parse(text, strlen(text), &cover), 0);
    assert_string_equal(cover.path, "/p");
    assert_int_equal(cover.max, 1);
}

static void refuses_what_does_not_say_it_all(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "machine m\npath /p\n",
        "path /p\nmax 1\n",
        "machine m\nmax 1\n",
        "machine m\npath /p\nmax 1", /* cut */
        "machine \npath /p\nmax 1\n",
        "machine m\npath p\nmax 1\n",
        "machine m\npath ../p\nmax 1\n",
        "machine m\npath \\000/p\nmax 1\n",
        "machine m\npath /p\nmax 0\n",
        "machine m\npath /p\nmax -1\n",
        "machine m\npath /p\nmax 67108865\n",
        "machine m\npath /p\nmax 18446744073709551617\n",
        "machine m\npath /p\nmax 1M\n",
        "machine 0123456789012345678901234567890123456789\npath /p\nmax 1\n", /* one too long */
        NEEDED "max 1\n",
        NEEDED "path /q\n",
        NEEDED "machine m\n",
        NEEDED "skip \n",
        NEEDED "skip ../p.jpg\n",
        NEEDED "skip a\\057b.jpg\n",
    };
    struct cover cover;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (parse(texts[i], strlen(texts[i]), &cover) != -EBADMSG)
            fail_msg("taken: '%s'", texts[i]);
    assert_int_equal(parse(NEEDED "\0\n", sizeof(NEEDED) + 1, &cover), -EBADMSG);
}

static void refuses_what_is_too_long(void **state)
{
    static char text[COVER_TEXT + 1], path[2 * PATH_MAX];
    size_t len = sizeof(text);
    struct cover cover;

    memset(text, '\n', len);
    memcpy(text, NEEDED, strlen(NEEDED));
    assert_int_equal(parse(text, len - 1, &cover), 0);
    assert_int_equal(parse(text, len, &cover), -EBADMSG);

    memset(path, 'p', sizeof(path) - 1);
    for (unsigned over = 0; over < 2; over++) {
        int n = snprintf(text, sizeof(text), "machine m\npath /%.*s\nmax 1\n",
                         (int)(PATH_MAX - 2 + over), path);

        assert_int_equal(parse(text, (size_t)n, &cover), over ? -EBADMSG : 0);
    }
    for (unsigned over = 0; over < 2; over++) {
        int n =
            snprintf(text, sizeof(text), NEEDED "skip %.*s\n", (int)(COVER_SKIP - 2 + over), path);

        assert_int_equal(parse(text, (size_t)n, &cover), over ? -EBADMSG : 0);
    }
}

static void knows_what_to_skip(void **state)
{
    char skip[COVER_SKIP] = "";

    assert_false(cover_skips(skip, "a"));
    assert_true(cover_skip(skip, "ab"));
    assert_true(cover_skip(skip, "c"));
    assert_true(cover_skips(skip, "ab"));
    assert_true(cover_skips(skip, "c"));
    assert_false(cover_skips(skip, "a"));
    assert_false(cover_skips(skip, "b"));
    assert_false(cover_skips(skip, "abc"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_golden_text),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(skips_what_a_later_version_adds),
        cmocka_unit_test(refuses_what_does_not_say_it_all),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(knows_what_to_skip),
    };

    return cmocka_run_group_tests_name("cover", tests, NULL, NULL) ? 1 : 0;
}
