/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the program told people, kept instead of printed: the linker puts these
 * functions in the place of log_error() and its like.
 */
#ifndef TEST_CALLS_SAID_H
#define TEST_CALLS_SAID_H

#include <stdbool.h>

void said_clear(void);
/* Some error or warning since then holds the text. */
bool said(const char *text);
/* Each line since then with "#   " before it; what is too long is cut. */
const char *said_lines(void);

#endif
