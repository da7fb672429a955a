/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Why a process gives no answer, as the kernel tells it: the process itself is
 * not asked.
 */
#ifndef MOUNT_HEALTH_H
#define MOUNT_HEALTH_H

#include <stdbool.h>
#include <sys/types.h>

/* Stopped by a signal or a debugger, or frozen by its control group: it goes on when told to. */
bool health_halted(pid_t pid);

/*
 * Says that what failed with name because process pid, 0: not known, does not
 * answer, why, and what to do. "cannot unmount", "drive".
 */
void health_tell(const char *what, const char *name, pid_t pid);

/* The same for a process that is waited for meanwhile: two notes, or one. */
void health_note(const char *name, pid_t pid);

/* What a process does that gives no answer: "is stopped", "waits for a disk", ... */
const char *health_word(pid_t pid);

#endif
