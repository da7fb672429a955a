/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)
#define PIB (UINT64_C(1) << 50)

struct number {
    const char *text;
    int err;
    uint64_t value;
};

static const struct number numbers[] = {
    {"0", 0, 0},
    {"7", 0, 7},
    {"007", 0, 7},
    {"18446744073709551615", 0, UINT64_MAX},
    {"00000000000000000000000000000000000001", 0, 1},
    {"18446744073709551616", -ERANGE, 0},
    {"18446744073709551620", -ERANGE, 0},
    {"99999999999999999999", -ERANGE, 0},
    {"184467440737095516150", -ERANGE, 0},
    {"340282366920938463463374607431768211456", -ERANGE, 0},
    {"99999999999999999999x", -EINVAL, 0},
    {"", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"-0", -EINVAL, 0},
    {"+1", -EINVAL, 0},
    {" 1", -EINVAL, 0},
    {"1 ", -EINVAL, 0},
    {"1\n", -EINVAL, 0},
    {"1.0", -EINVAL, 0},
    {"1e3", -EINVAL, 0},
    {"0x10", -EINVAL, 0},
    {"1K", -EINVAL, 0},
    {"\xd9\xa1", -EINVAL, 0}, /* a digit, but an Arabic one */
};

static const struct number sizes[] = {
    {"0", 0, 0},
    {"1", 0, 1},
    {"512", 0, 512},
    {"512B", 0, 512},
    {"0T", 0, 0},
    {"1K", 0, KIB},
    {"1k", 0, KIB},
    {"1KB", 0, KIB},
    {"1kB", 0, KIB},
    {"1KiB", 0, KIB},
    {"1kiB", 0, KIB},
    {"3M", 0, 3 * MIB},
    {"3m", 0, 3 * MIB},
    {"3MiB", 0, 3 * MIB},
    {"100G", 0, 100 * GIB},
    {"100g", 0, 100 * GIB},
    {"100GB", 0, 100 * GIB},
    {"10T", 0, 10 * TIB},
    {"10t", 0, 10 * TIB},
    {"10TiB", 0, 10 * TIB},
    {"2P", 0, 2 * PIB},
    {"2p", 0, 2 * PIB},
    {"9223372036854775807", 0, INT64_MAX},
    {"9223372036854775807B", 0, INT64_MAX},
    {"9223372036854775808", -ERANGE, 0},
    {"18446744073709551616", -ERANGE, 0},
    {"8388607T", 0, 8388607 * TIB},
    {"8388608T", -ERANGE, 0},
    {"8191P", 0, 8191 * PIB},
    {"8192P", -ERANGE, 0},
    {"9007199254740991K", 0, 9007199254740991 * KIB},
    {"9007199254740992K", -ERANGE, 0},
    {"16777216T", -ERANGE, 0}, /* 2^64: 0 when the high bits are lost */
    {"16777217T", -ERANGE, 0},
    {"18446744073709551617K", -ERANGE, 0},
    {"18446744073709551617X", -EINVAL, 0},
    {"", -EINVAL, 0},
    {"K", -EINVAL, 0},
    {"B", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"-1K", -EINVAL, 0},
    {"+1", -EINVAL, 0},
    {" 1", -EINVAL, 0},
    {"1 ", -EINVAL, 0},
    {"1 K", -EINVAL, 0},
    {"1K ", -EINVAL, 0},
    {"1.5G", -EINVAL, 0},
    {"1,5G", -EINVAL, 0},
    {"0x10", -EINVAL, 0},
    {"1b", -EINVAL, 0},
    {"1kb", -EINVAL, 0},
    {"1Kib", -EINVAL, 0},
    {"1KIB", -EINVAL, 0},
    {"1kib", -EINVAL, 0},
    {"1iB", -EINVAL, 0},
    {"1Ki", -EINVAL, 0},
    {"1KBB", -EINVAL, 0},
    {"1KK", -EINVAL, 0},
    {"1BK", -EINVAL, 0},
    {"1E", -EINVAL, 0},
    {"1s", -EINVAL, 0},
    {"1K\n", -EINVAL, 0},
};

typedef int parser(const char *s, uint64_t *out);

static void compare(const struct number *table, size_t n, parser *parse)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t value = 4711;
        int err = parse(table[i].text, &value);

        if (err != table[i].err)
            fail_msg("'%s': %d, not %d", table[i].text, err, table[i].err);
        if (!err && value != table[i].value)
            fail_msg("'%s': %" PRIu64 ", not %" PRIu64, table[i].text, value, table[i].value);
    }
}

static void whole_numbers(void **state)
{
    (void)state;
    compare(numbers, sizeof(numbers) / sizeof(numbers[0]), parse_u64);
}

static void sizes_with_suffixes(void **state)
{
    (void)state;
    compare(sizes, sizeof(sizes) / sizeof(sizes[0]), parse_size);
}

/* No byte but those of a suffix may follow a digit. */
static void no_other_byte_is_a_suffix(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char text[3] = {'1', (char)c, '\0'};
        uint64_t value;
        int err = parse_size(text, &value);

        assert_int_equal(err, strchr("0123456789BKkMmGgTtPp", c) ? 0 : -EINVAL);
    }
}

static const struct {
    uint64_t bytes;
    const char *text;
} texts[] = {
    {0, "0 B"},
    {512, "512 B"},
    {1023, "1023 B"},
    {KIB, "1 KiB"},
    {KIB + 102, "1 KiB"},
    {KIB + 103, "1.1 KiB"},
    {1536, "1.5 KiB"},
    {MIB - 1, "1023.9 KiB"},
    {MIB, "1 MiB"},
    {8 * MIB, "8 MiB"},
    {3 * GIB / 2, "1.5 GiB"},
    {100 * GIB, "100 GiB"},
    {128 * TIB, "128 TiB"},
    {2 * PIB, "2 PiB"},
    {1024 * PIB - 1, "1023.9 PiB"},
    {1024 * PIB, "1 EiB"},
    {INT64_MAX, "7.9 EiB"},
    {UINT64_MAX, "15.9 EiB"},
};

static void sizes_for_people(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[PARSE_SIZE_TEXT];

        parse_size_text(texts[i].bytes, text);
        assert_string_equal(text, texts[i].text);
    }
}

static void unescape_takes_three_octal_digits(void **state)
{
    static const struct {
        const char *text, *bytes;
    } rows[] = {
        {"", ""},           {"/plain", "/plain"}, {"/a\\040b\\134c", "/a b\\c"},
        {"\\012", "\n"},    {"/a\\04", "/a\\04"}, {"/a\\", "/a\\"},
        {"\\089", "\\089"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[32];

        strcpy(text, rows[i].text);
        parse_unescape(text);
        assert_string_equal(text, rows[i].bytes);
    }
}

static void escape_is_one_word_in_one_line(void **state)
{
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        {"", ""},
        {"/plain", "/plain"},
        {"/a b\\c", "/a\\040b\\134c"},
        {"\n\t\x7f\x01", "\\012\\011\\177\\001"},
        {"\xc3\xbc\xff", "\xc3\xbc\xff"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[32];

        assert_ptr_equal(parse_escape(rows[i].bytes, text), text + strlen(rows[i].text));
        assert_string_equal(text, rows[i].text);
        parse_unescape(text);
        assert_string_equal(text, rows[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(sizes_with_suffixes),
        cmocka_unit_test(no_other_byte_is_a_suffix),
        cmocka_unit_test(sizes_for_people),
        cmocka_unit_test(unescape_takes_three_octal_digits),
        cmocka_unit_test(escape_is_one_word_in_one_line),
    };

    return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
