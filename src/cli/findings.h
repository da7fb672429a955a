/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What check says about each thing that it finds: a word for scripts, what is
 * so, and what to do next.
 */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include "store/scan.h"

#define FINDINGS_TEXT 512

/* "tile-too-long": stays what it is. */
const char *findings_word(enum scan_kind kind);

/* What is so, for people. Holds no foreign bytes. */
void findings_detail(const struct scan_finding *finding, char text[FINDINGS_TEXT]);

/* What to do next; "" for a note. */
void findings_advice(const struct scan *scan, const struct scan_finding *finding,
                     char text[FINDINGS_TEXT]);

#endif
