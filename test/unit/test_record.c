/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

#define NEEDED "machine m\npid 7\n"

/* Written down once; the parser of every later version must read it. */
static const char golden[] = "host here\nmachine 0123456789abcdef0123456789abcdef\nboot "
                             "6f1e3c52-0a1b-4c2d-8e3f-0123456789ab\npid 4711\nstart 123456\n"
                             "since 1700000000\nmade-mountpoint 1\nmountpoint /mnt/my\\040drive\n";

static struct record golden_record(void)
{
    return (struct record){
        .host = "here",
        .machine = "0123456789abcdef0123456789abcdef",
        .boot = "6f1e3c52-0a1b-4c2d-8e3f-0123456789ab",
        .pid = 4711,
        .start = 123456,
        .since = 1700000000,
        .made_mountpoint = true,
        .mountpoint = "/mnt/my drive",
    };
}

/* Parses a copy of exactly len bytes, so that a sanitizer sees a read past the end. */
static int parse(const char *text, size_t len, struct record *record)
{
    char *copy = malloc(len ? len : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, text, len);
    rc = record_parse(copy, len, record);
    free(copy);
    return rc;
}

static void reads_and_writes_the_golden_text(void **state)
{
    struct record record, expected = golden_record();
    char text[RECORD_MAX];
    size_t len;

    assert_int_equal(parse(golden, strlen(golden), &record), 0);
    assert_memory_equal(&record, &expected, sizeof(record));
    len = record_print(&record, text);
    assert_int_equal(len, strlen(golden));
    assert_memory_equal(text, golden, len);
}

static void reads_and_writes_how_its_writer_saw_things(void **state)
{
    struct record record, expected = golden_record();
    char text[RECORD_MAX];
    size_t len;

    strcpy(expected.namespaces, "4026531836:4026531834");
    expected.local = true;
    len = record_print(&expected, text);
    assert_non_null(memmem(text, len, "\nnamespaces 4026531836:4026531834\nlocal 1\n", 42));
    assert_int_equal(parse(text, len, &record), 0);
    assert_memory_equal(&record, &expected, sizeof(record));
}

/* Every byte needs its escape, and every string is as long as can be. */
static void the_longest_record_fits(void **state)
{
    struct record record = golden_record(), again;
    char *text = malloc(RECORD_MAX);
    size_t len;

    assert_non_null(text);
    memset(record.host, '\n', sizeof(record.host) - 1);
    memset(record.machine, '\\', sizeof(record.machine) - 1);
    memset(record.boot, ' ', sizeof(record.boot) - 1);
    memset(record.namespaces, ' ', sizeof(record.namespaces) - 1);
    record.local = true;
    memset(record.mountpoint, '\x7f', sizeof(record.mountpoint) - 1);
    record.pid = INT32_MAX;
    record.start = UINT64_MAX;
    record.since = INT64_MAX;
    len = record_print(&record, text);
    assert_int_equal(parse(text, len, &again), 0);
    assert_memory_equal(&again, &record, sizeof(record));
    free(text);
}

static void skips_what_a_later_version_adds(void **state)
{
    static const char text[] = "colour blue\nflag\n\n" NEEDED "pidgin 9\n";
    struct record record;

    assert_int_equal(parse(text, strlen(text), &record), 0);
    assert_string_equal(record.machine, "m");
    assert_int_equal(record.pid, 7);
}

static void refuses_what_is_no_record(void **state)
{
    static const char *const texts[] = {
        "",
        "\n",
        "machine m\n",
        "pid 7\n",
        "machine m\npid 0\n",
        "machine m\npid -1\n",
        "machine m\npid 2147483648\n",
        "machine m\npid 7", /* cut */
        NEEDED "start 18446744073709551616\n",
        NEEDED "since 9223372036854775808\n",
        NEEDED "since yesterday\n",
        NEEDED "made-mountpoint 2\n",
        NEEDED "boot 0123456789012345678901234567890123456789\n", /* one too long */
    };
    struct record record;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (parse(texts[i], strlen(texts[i]), &record) != -EBADMSG)
            fail_msg("taken: '%s'", texts[i]);
    assert_int_equal(parse(NEEDED "\0\n", sizeof(NEEDED) + 1, &record), -EBADMSG);
}

static void refuses_what_is_too_long(void **state)
{
    size_t len = RECORD_MAX + 1;
    char *text = malloc(len);
    struct record record;

    assert_non_null(text);
    memset(text, '\n', len);
    memcpy(text, NEEDED, strlen(NEEDED));
    assert_int_equal(parse(text, len - 1, &record), 0);
    assert_int_equal(parse(text, len, &record), -EBADMSG);
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_the_golden_text),
        cmocka_unit_test(reads_and_writes_how_its_writer_saw_things),
        cmocka_unit_test(the_longest_record_fits),
        cmocka_unit_test(skips_what_a_later_version_adds),
        cmocka_unit_test(refuses_what_is_no_record),
        cmocka_unit_test(refuses_what_is_too_long),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL) ? 1 : 0;
}
