/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Foreign names on a terminal: UTF-8 without control characters, from which the
 * bytes of the name can be had back.
 */
#include "cli/escape.h"

#include "base/parse.h"
#include "fuzz.h"

static void must_be_harmless(const char *s)
{
    while (*s) {
        size_t len = fuzz_utf8(s);
        unsigned char c = (unsigned char)*s;

        must(len > 0);
        must(c >= ' ' && c != 0x7f);
        must(c != 0xc2 || (unsigned char)s[1] >= 0xa0); /* no control characters of C1 */
        s += len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), *out = NULL;
    size_t len;
    FILE *f = open_memstream(&out, &len);

    must(f);
    escape_print(text, f);
    must(fclose(f) == 0 && strlen(out) == len);
    must_be_harmless(out);
    parse_unescape(out);
    must(strcmp(out, text) == 0);
    free(out);
    free(text);
    return 0;
}
