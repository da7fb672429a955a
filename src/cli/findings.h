/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What check says to people about each thing that it finds: what is so, and what to do next.
 * Its word for scripts stands in check/scan_kinds.c.
 */
#ifndef CLI_FINDINGS_H
#define CLI_FINDINGS_H

#include "check/scan.h"

#define FINDINGS_TEXT 512
#define FINDINGS_ORIGINAL 64

/* What is so, for people. Holds no foreign bytes. */
void findings_detail(const struct scan *scan, const struct scan_finding *finding,
                     char text[FINDINGS_TEXT]);

/* "tile '00/0001'", "the index": what a file is, or is a copy of. */
void findings_original(const struct scan_finding *finding, char text[FINDINGS_ORIGINAL]);

/* Of tiles under names of two layouts, those of the other one are a few strays, or empty. */
bool findings_few_rivals(const struct scan *scan, const struct scan_finding *finding);

/* What to do next; "" for a note. */
void findings_advice(const struct scan *scan, const struct scan_finding *finding,
                     char text[FINDINGS_TEXT]);

#endif
