/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bugs that making and deleting snapshots might have: see the table in bugs.c.
 */
#ifndef TEST_CRASH_BUGS_SNAPSHOT_H
#define TEST_CRASH_BUGS_SNAPSHOT_H

#include "work.h"

/* Whether it leaves the event out. */
bool bugs_snapshot_settle_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_unshare_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_tile_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_folder_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_new_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_index_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_name_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_gone_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_sweep_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_all_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_gone_rename(const struct work *work, const struct trace_event *event);

/* Changes the record, as distort of struct bug does. */
size_t bugs_snapshot_gone_late(struct work *work);
size_t bugs_snapshot_name_early(struct work *work);

/* Of rollbacks. */
bool bugs_snapshot_back_mark(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_back_mark_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_back_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_back_end_sync(const struct work *work, const struct trace_event *event);
bool bugs_snapshot_back_notes(const struct work *work, const struct trace_event *event);
size_t bugs_snapshot_back_mark_early(struct work *work);

#endif
