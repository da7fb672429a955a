/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Steps of the script that make a small file and replace it, outside of the
 * archive: it is old or new, never a mixture, and new when that was said.
 */
#ifndef TEST_CALLS_REPLACE_H
#define TEST_CALLS_REPLACE_H

#include "steps.h"

int replace_new(struct run *run, const struct step *step);
int replace_over(struct run *run, const struct step *step);

#endif
