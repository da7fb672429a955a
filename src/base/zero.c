/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the question whether bytes are zeros. It is asked for every write to an
 * absent tile, so it has to run at the speed of memory.
 */
#include "base/zero.h"

#include <string.h>

#define HEAD 16
#define BLOCK 256

/* If the first bytes are zeros and all others equal those before them, all are: memcmp(3) is fast.
 */
bool zero_is(const void *buf, size_t len)
{
    static const char zeros[HEAD];
    const char *p = buf;

    if (len <= HEAD)
        return memcmp(p, zeros, len) == 0;
    return memcmp(p, zeros, HEAD) == 0 && memcmp(p, p + HEAD, len - HEAD) == 0;
}

size_t zero_trimmed(const void *buf, size_t len)
{
    const char *p = buf;

    while (len >= BLOCK && zero_is(p + len - BLOCK, BLOCK))
        len -= BLOCK;
    while (len > 0 && p[len - 1] == 0)
        len--;
    return len;
}
