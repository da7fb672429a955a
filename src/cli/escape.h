/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Foreign names on a terminal: what a terminal could take for a command, or a
 * reader for the end of a line, is printed as \ooo.
 */
#ifndef CLI_ESCAPE_H
#define CLI_ESCAPE_H

#include <stdio.h>

/* Prints text; control characters, backslashes and what is not UTF-8 appear as \ooo. */
void escape_print(const char *text, FILE *out);

#endif
