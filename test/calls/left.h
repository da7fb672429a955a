/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What lies about after work is done.
 */
#ifndef TEST_CALLS_LEFT_H
#define TEST_CALLS_LEFT_H

#include "run.h"

/* The archive, which nobody uses, holds files that belong there, and no others. */
void left_check(struct run *run);
/* Only .mosaicfs is looked at. */
void left_check_private(struct run *run);

/* The descriptors of this process. */
unsigned left_open(void);

#endif
