/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hooks that turn system calls into events of a trace, which is their arg.
 */
#ifndef TEST_CRASH_RECORD_H
#define TEST_CRASH_RECORD_H

#include "../sys/sys.h"

int record_before(void *arg, struct sys_call *call);
void record_after(void *arg, const struct sys_call *call, long result, int err);

#endif
