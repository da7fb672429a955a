/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Numbers, sizes and escapes. What is taken is compared with what 128-bit
 * arithmetic, written the other way round, makes of it.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

#include "base/parse.h"
#include "fuzz.h"

__extension__ typedef unsigned __int128 wide;

#define FAR ((wide)1 << 70) /* beyond every uint64_t */

/* The value of the digits that s begins with, never above FAR; how many there are. */
static wide value_of(const char *s, size_t *digits)
{
    wide value = 0;

    *digits = strspn(s, "0123456789");
    for (size_t i = 0; i < *digits; i++) {
        value = value * 10 + (unsigned)(s[i] - '0');
        value = value < FAR ? value : FAR;
    }
    return value;
}

static void test_u64(const char *text)
{
    char printed[24];
    uint64_t n = 0, again = 1;
    size_t digits;
    wide value = value_of(text, &digits);
    int rc = parse_u64(text, &n);

    if (digits == 0 || text[digits])
        must(rc == -EINVAL);
    else if (value > UINT64_MAX)
        must(rc == -ERANGE);
    else
        must(rc == 0 && n == value);
    snprintf(printed, sizeof(printed), "%" PRIu64, n);
    must(parse_u64(printed, &again) == 0 && again == n);
}

/* How many bytes a suffix stands for, 0 for none that we know. */
static wide unit_of(const char *suffix)
{
    static const char *const endings[] = {"", "B", "iB"};
    static const char letters[] = "KMGTP";
    char word[8];
    wide unit = 1;

    if (strcmp(suffix, "") == 0 || strcmp(suffix, "B") == 0)
        return 1;
    for (const char *letter = letters; *letter; letter++) {
        unit *= 1024;
        for (unsigned i = 0; i < 3; i++) {
            snprintf(word, sizeof(word), "%c%s", *letter, endings[i]);
            if (strcmp(suffix, word) == 0)
                return unit;
            word[0] = (char)tolower(*letter);
            if (strcmp(suffix, word) == 0)
                return unit;
        }
    }
    return 0;
}

static void test_size(const char *text)
{
    uint64_t n = 0;
    size_t digits;
    wide value = value_of(text, &digits);
    wide unit = unit_of(text + digits);
    int rc = parse_size(text, &n);

    if (digits == 0 || unit == 0)
        must(rc == -EINVAL);
    else if (value * unit > INT64_MAX)
        must(rc == -ERANGE);
    else
        must(rc == 0 && n == value * unit);
}

/*
 * "NUMBER[.TENTH] UNIT" says the size, rounded down, and never a longer number
 * than "1023.9".
 */
static void test_size_text(uint64_t bytes)
{
    static const char units[] = "KMGTPE";
    char text[PARSE_SIZE_TEXT], plain[PARSE_SIZE_TEXT], unit;
    unsigned whole, tenth = 0;
    wide low;

    parse_size_text(bytes, text);
    must(strlen(text) < sizeof("1023.9 KiB"));
    if (bytes < 1024) {
        snprintf(plain, sizeof(plain), "%u B", (unsigned)bytes);
        must(strcmp(text, plain) == 0);
        return;
    }
    must(sscanf(text, "%u.%u %ciB", &whole, &tenth, &unit) == 3 ||
         sscanf(text, "%u %ciB", &whole, &unit) == 2);
    must(strcmp(strchr(text, unit), (char[]){unit, 'i', 'B', '\0'}) == 0);
    must(strchr(units, unit) && whole >= 1 && whole < 1024 && tenth <= 9);
    low = (wide)(whole * 10 + tenth) << 10 * (strchr(units, unit) - units + 1);
    must((wide)bytes * 10 >= low);
    must((wide)bytes * 10 < low + ((wide)1 << 10 * (strchr(units, unit) - units + 1)));
}

/* Escaped as the kernel does it, the text comes back; and nothing ever grows. */
static void test_unescape(const char *text, size_t len)
{
    char *escaped = malloc(4 * len + 1), *to = escaped, *copy = fuzz_text(text, len);

    if (!escaped)
        abort();
    for (const char *s = text; *s; s++) {
        if (strchr(" \t\n\\#", *s))
            to += sprintf(to, "\\%03o", (unsigned char)*s);
        else
            *to++ = *s;
    }
    *to = '\0';
    parse_unescape(escaped);
    must(strcmp(escaped, text) == 0);
    to = parse_escape(text, escaped);
    must(!*to && to <= escaped + PARSE_ESCAPED * len && !strpbrk(escaped, " \t\n"));
    parse_unescape(escaped);
    must(strcmp(escaped, text) == 0);
    parse_unescape(copy);
    must(strlen(copy) <= strlen(text));
    must(strchr(text, '\\') || strcmp(copy, text) == 0);
    free(escaped);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size);
    uint64_t bytes = 0;

    test_u64(text);
    test_size(text);
    test_unescape(text, strlen(text));
    memcpy(&bytes, data, size < sizeof(bytes) ? size : sizeof(bytes));
    test_size_text(bytes);
    free(text);
    return 0;
}
