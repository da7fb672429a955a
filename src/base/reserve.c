/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zeroed memory that costs address space alone until it is touched. Straight from mmap(2):
 * calloc(3) may take used memory, and then touches all of it.
 */
#include "base/reserve.h"

#include <stdint.h>
#include <sys/mman.h>

void *reserve_new(size_t n, size_t size)
{
    size_t len;
    void *memory;

    if (__builtin_mul_overflow(n, size, &len) || len == 0)
        return NULL;
    memory =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void reserve_free(void *memory, size_t n, size_t size)
{
    if (memory)
        munmap(memory, n * size);
}
