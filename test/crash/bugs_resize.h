/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bugs of an image that grows, each as what it leaves out of the record: whether the event
 * would not be there.
 */
#ifndef TEST_CRASH_BUGS_RESIZE_H
#define TEST_CRASH_BUGS_RESIZE_H

#include "work.h"

bool bugs_resize_size_sync(const struct work *work, const struct trace_event *event);
bool bugs_resize_journal_sync(const struct work *work, const struct trace_event *event);
bool bugs_resize_journal_cut(const struct work *work, const struct trace_event *event);
bool bugs_resize_cut(const struct work *work, const struct trace_event *event);
bool bugs_resize_cut_sync(const struct work *work, const struct trace_event *event);

/* How many tiles the journal has a place for, as event number i finds or leaves it. */
uint32_t bugs_resize_ntiles(const struct work *work, size_t i);

#endif
