/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the decision which bytes are printed as they are: valid UTF-8 without control
 * characters, except backslashes.
 */
#include "cli/escape.h"

#include <stddef.h>

#include "base/compiler.h"

/* The length of the UTF-8 sequence at s, of more than one byte: 0 when there is none. */
static size_t sequence(const unsigned char *s)
{
    static const struct {
        unsigned char first, last; /* of the first byte */
        size_t len;
        unsigned char low, high; /* of the second: no overlong forms, no surrogates, no controls */
    } forms[] = {
        {0xc2, 0xc2, 2, 0xa0, 0xbf}, {0xc3, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
        {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
        {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
    };

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last)
            continue;
        if (s[1] < forms[i].low || s[1] > forms[i].high)
            return 0;
        for (size_t at = 2; at < forms[i].len; at++)
            if (s[at] < 0x80 || s[at] > 0xbf)
                return 0;
        return forms[i].len;
    }
    return 0;
}

void escape_print(const char *text, FILE *out)
{
    const unsigned char *s = (const unsigned char *)text;

    while (*s) {
        size_t len = *s >= 0x80 ? sequence(s) : *s >= ' ' && *s != 0x7f && *s != '\\';

        if (len)
            fwrite(s, 1, len, out);
        else
            fprintf(out, "\\%03o", *s);
        s += len ? len : 1;
    }
}
