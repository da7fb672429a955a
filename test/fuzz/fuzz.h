/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What fuzzers share. A fuzzer is a file test/fuzz/NAME.c that defines
 * LLVMFuzzerTestOneInput() and asserts properties with must(). libFuzzer drives
 * it with inputs of its own (make fuzz), replay.c with the files of
 * test/fuzz/corpus/NAME (make check).
 */
#ifndef TEST_FUZZ_H
#define TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process, and so the run, unless the property holds. */
#define must(property)                                                                    \
    do {                                                                                  \
        if (!(property)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property); \
            abort();                                                                      \
        }                                                                                 \
    } while (0)

/* len bytes of their own, so that a sanitizer sees a read past the end; the caller frees. */
static inline void *fuzz_copy(const void *from, size_t len)
{
    void *copy = malloc(len ? len : 1);

    if (!copy)
        abort();
    return memcpy(copy, from, len);
}

/* Likewise, and ended by a NUL. */
static inline char *fuzz_text(const void *from, size_t len)
{
    char *copy = malloc(len + 1);

    if (!copy)
        abort();
    memcpy(copy, from, len);
    copy[len] = '\0';
    return copy;
}

/* The length of the UTF-8 sequence at text, 0 when it is none: table 3-7 of the Unicode standard.
 */
static inline size_t fuzz_utf8(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xbf;
    size_t len = s[0] < 0x80   ? 1
                 : s[0] < 0xc2 ? 0
                 : s[0] < 0xe0 ? 2
                 : s[0] < 0xf0 ? 3
                 : s[0] < 0xf5 ? 4
                               : 0;

    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < len; i++) {
        if (s[i] < low || s[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

/* Messages about wrong input are not worth their time. */
static inline void fuzz_silence(void)
{
    if (log_open("/dev/null"))
        abort();
    log_detach();
}

#endif
