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

/* Messages about wrong input are not worth their time. */
static inline void fuzz_silence(void)
{
    if (log_open("/dev/null"))
        abort();
    log_detach();
}

#endif
