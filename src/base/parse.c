/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the reading and writing of numbers for people. strtoull(3) is not used:
 * it takes blanks, signs and rubbish at the end.
 */
#include "base/parse.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char units[] = "KMGTPE"; /* powers of 1024 from the first on */

/* The digits at *s, which then points behind them. */
static int take_digits(const char **s, uint64_t *out)
{
    const char *start = *s;
    bool overflow = false;
    uint64_t value = 0;

    for (; **s >= '0' && **s <= '9'; ++*s) {
        overflow |= __builtin_mul_overflow(value, 10, &value);
        overflow |= __builtin_add_overflow(value, (uint64_t)(**s - '0'), &value);
    }
    if (*s == start)
        return -EINVAL;
    if (overflow)
        return -ERANGE;
    *out = value;
    return 0;
}

int parse_u64(const char *s, uint64_t *out)
{
    int err = take_digits(&s, out);

    return *s ? -EINVAL : err;
}

/* "", "B", "K", "KB", "KiB" and so on: by how many bits it shifts. Or -EINVAL. */
static int suffix_shift(const char *suffix)
{
    static const char letters[] = "KkMmGgTtPp";
    const char *letter = *suffix ? strchr(letters, *suffix) : NULL;

    if (letter)
        suffix++;
    if (*suffix && strcmp(suffix, "B") != 0 && (!letter || strcmp(suffix, "iB") != 0))
        return -EINVAL;
    return letter ? ((int)(letter - letters) / 2 + 1) * 10 : 0;
}

int parse_size(const char *s, uint64_t *out)
{
    uint64_t value = 0;
    int err = take_digits(&s, &value);
    int shift;

    if (err == -EINVAL)
        return err;
    shift = suffix_shift(s);
    if (shift < 0)
        return shift;
    if (err || value > (uint64_t)INT64_MAX >> shift)
        return -ERANGE;
    *out = value << shift;
    return 0;
}

void parse_size_text(uint64_t bytes, char text[PARSE_SIZE_TEXT])
{
    unsigned shift = 10;
    unsigned whole, tenth;
    uint64_t rest;

    if (bytes < 1024) {
        snprintf(text, PARSE_SIZE_TEXT, "%u B", (unsigned)bytes);
        return;
    }
    while (shift < 60 && bytes >> shift >= 1024)
        shift += 10;
    whole = (unsigned)(bytes >> shift);
    rest = bytes & ((UINT64_C(1) << shift) - 1);
    tenth = (unsigned)(rest * 10 >> shift); /* below 2^60 * 10: fits */
    if (tenth)
        snprintf(text, PARSE_SIZE_TEXT, "%u.%u %ciB", whole, tenth, units[shift / 10 - 1]);
    else
        snprintf(text, PARSE_SIZE_TEXT, "%u %ciB", whole, units[shift / 10 - 1]);
}

char *parse_escape(const char *s, char *to)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c <= ' ' || c == '\\' || c == 0x7f)
            to += sprintf(to, "\\%03o", c);
        else
            *to++ = *s;
    }
    *to = '\0';
    return to;
}

void parse_unescape(char *s)
{
    char *out = s;

    while (*s) {
        if (s[0] == '\\' && strspn(s + 1, "01234567") >= 3) {
            *out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 4;
        } else {
            *out++ = *s++;
        }
    }
    *out = '\0';
}

int parse_lines(const char *text, size_t len, char *copy, size_t cap,
                int (*take)(void *arg, const char *key, char *value), void *arg)
{
    int rc = 0;

    if (len == 0 || len > cap || memchr(text, '\0', len) || text[len - 1] != '\n')
        return -EBADMSG;
    memcpy(copy, text, len);
    copy[len - 1] = '\0';
    while (!rc && copy) {
        char *value = strsep(&copy, "\n");
        char *key = strsep(&value, " ");

        rc = value ? take(arg, key, value) : 0;
    }
    return rc;
}
