/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Steps of the script in which tiles that are pictures lose their places, by hand
 * and unseen, and a reindex puts them back. Other layouts have nothing to do.
 */
#ifndef TEST_CALLS_SHUFFLE_H
#define TEST_CALLS_SHUFFLE_H

#include "steps.h"

/* stamp 1: one lies beside the archive, and something else in its place; 2: the index is lost. */
int shuffle_tiles(struct run *run, const struct step *step);
int shuffle_undo(struct run *run, const struct step *step);

#endif
