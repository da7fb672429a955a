/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bugs that are seeded in the manifest: what each leaves out, for bugs.c.
 */
#ifndef TEST_CRASH_BUGS_MANIFEST_H
#define TEST_CRASH_BUGS_MANIFEST_H

#include "work.h"

bool bugs_manifest_text_sync(const struct work *work, const struct trace_event *event);
bool bugs_manifest_digests_sync(const struct work *work, const struct trace_event *event);
bool bugs_manifest_name_sync(const struct work *work, const struct trace_event *event);
bool bugs_manifest_descent_sync(const struct work *work, const struct trace_event *event);

#endif
