/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Arrays that grow by one: room for element n of an array whose first n are in
 * use. Ends the test when there is no memory.
 */
#ifndef TEST_CRASH_GROW_H
#define TEST_CRASH_GROW_H

#include <stdio.h>
#include <stdlib.h>

static inline void *grow(void *array, size_t n, size_t size)
{
    if (n & (n - 1)) /* full only at the powers of two */
        return array;
    array = realloc(array, (n ? 2 * n : 1) * size);
    if (!array) {
        puts("Bail out! out of memory");
        exit(1);
    }
    return array;
}

#endif
