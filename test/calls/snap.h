/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshots are made, deleted, listed, compared and gone back to, of an image that is open or
 * not, while calls fail. Whatever fails: a snapshot that bears its name holds what the image held
 * when it was made, and an archive that can be opened is not half rolled back.
 *
 * The snapshot of a step is called by its stamp: s1, s2 or s3. Where none of that name could be
 * made, a step has nothing to do.
 */
#ifndef TEST_CALLS_SNAP_H
#define TEST_CALLS_SNAP_H

#include "steps.h"

int snap_make(struct run *run, const struct step *step);
int snap_delete(struct run *run, const struct step *step);
int snap_list(struct run *run, const struct step *step);
/* With the image as it is. */
int snap_diff(struct run *run, const struct step *step);
int snap_rollback(struct run *run, const struct step *step);

#endif
