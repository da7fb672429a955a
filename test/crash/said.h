/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the program says is kept, not printed: thousands of recoveries would each
 * say that the last mount ended without unmounting. The linker (--wrap) puts
 * said.c in the place of the log's functions.
 */
#ifndef TEST_CRASH_SAID_H
#define TEST_CRASH_SAID_H

void said_clear(void);
/* The lines since said_clear(), or the first few of them, each after "# ". */
const char *said(void);

#endif
