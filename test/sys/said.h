/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the program told people, kept instead of printed: thousands of recoveries
 * would each say that the last mount ended without unmounting. The linker
 * (--wrap) puts these functions in the place of log_error() and its like.
 */
#ifndef TEST_SYS_SAID_H
#define TEST_SYS_SAID_H

#include <stdbool.h>

void said_clear(void);
/* Some error or warning since then holds the text. */
bool said(const char *text);
/* Each line since then with "#   " before it; what finds no room is left out. */
const char *said_lines(void);

/* Errors are not heard, as if the program did not tell them. */
void said_deaf(bool deaf);

#endif
