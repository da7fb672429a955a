/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the program shows, against what is known. Differences are problems of
 * the run.
 */
#ifndef TEST_CALLS_COMPARE_H
#define TEST_CALLS_COMPARE_H

#include "run.h"

#define COMPARE_MAX (48 * 1024) /* the longest range */

/* The script writes to some tiles at either end, and to none between. */
bool compare_is_used(uint32_t tile);
/* Reads every tile that the script ever touches. -errno of the image. */
int compare_read_all(struct run *run);
/* Reads this range, and compares. */
int compare_read(struct run *run, uint64_t off, size_t len);
/* Compares the journal with what changed. -errno of changes_read(). */
int compare_journal(struct run *run);
/* Compares the image's count with the files that are there. */
void compare_count(struct run *run, const struct image_usage *usage);

#endif
