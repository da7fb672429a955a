/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a step may fail, and with what, and whether it said so.
 */
#ifndef TEST_CALLS_JUDGE_H
#define TEST_CALLS_JUDGE_H

#include "steps.h"

/* rc: what the step returned; hit: one of its calls was spoilt. */
void judge(struct run *run, const struct step *step, int rc, bool hit);

/*
 * It was said that what a Mac knew could not be removed for good: the changes that
 * need it fail until the archive is taken anew.
 */
bool judge_gave_up(const struct run *run);

#endif
