/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bugs that the program might have, each as a distortion of the record of what
 * it did: the harness must catch every one of them. They live here and nowhere
 * in the program.
 */
#ifndef TEST_CRASH_BUGS_H
#define TEST_CRASH_BUGS_H

#include "work.h"

struct bug {
    const char *name;
    const char *what;
    /* Left out when this says true of an event. */
    bool (*drops)(const struct work *work, const struct trace_event *event);
    /* Or: does what it wants to the record. Returns as bugs_apply() does. */
    size_t (*distort)(struct work *work);
};

extern const struct bug bugs[]; /* the last one has no name */

/* NULL: no such bug. */
const struct bug *bugs_find(const char *name);

/*
 * Returns the number of the first event that is not as it was: until then there
 * is nothing to catch. SIZE_MAX: all are.
 */
size_t bugs_apply(const struct bug *bug, struct work *work);

#endif
