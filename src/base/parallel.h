/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work on many things at a time, as many as there are processors.
 */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stdint.h>

#include "base/compiler.h"

#define PARALLEL_MOST 16 /* threads */

/* How many threads work: 1 to PARALLEL_MOST. */
unsigned parallel_threads(void);

/*
 * Calls work for each n from 0 to count - 1, once, in about that order; thread tells which of
 * parallel_threads() calls it. Anything but 0 keeps the others from beginning with another one.
 * Returns that.
 */
MUST_CHECK int parallel_each(uint64_t count, int (*work)(void *arg, unsigned thread, uint64_t n),
                             void *arg);

#endif
