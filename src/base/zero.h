/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether bytes are zeros, and how many are left without the zeros at the end.
 */
#ifndef BASE_ZERO_H
#define BASE_ZERO_H

#include <stdbool.h>
#include <stddef.h>

/* True when all len bytes are zero (also for len 0). Any alignment, any thread. */
bool zero_is(const void *buf, size_t len);

/* How many of the len bytes remain when trailing zeros are cut off. */
size_t zero_trimmed(const void *buf, size_t len);

#endif
