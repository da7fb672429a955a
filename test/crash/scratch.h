/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fresh directories, in memory if possible: nothing here needs to survive. All of
 * them lie in one that is removed when the program ends.
 */
#ifndef TEST_CRASH_SCRATCH_H
#define TEST_CRASH_SCRATCH_H

#include <stddef.h>

void scratch_init(void);

/* Makes one, and writes its absolute path. */
void scratch_make(char *path, size_t cap);
/* With all that is in it. */
void scratch_remove(const char *path);

/* A file beside them, for the picture of new tiles. */
const char *scratch_cover(void);

#endif
