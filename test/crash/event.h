/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What an event of the record is, for bugs that leave it out or move it.
 */
#ifndef TEST_CRASH_EVENT_H
#define TEST_CRASH_EVENT_H

#include "work.h"

#define EVENT_ARCHIVE "drive.img"

/* The path under which the event's file was made. */
const char *event_path(const struct work *work, const struct trace_event *event);
/* Whether it begins so: it may end in .tmp. */
bool event_below(const struct work *work, const struct trace_event *event, const char *path);
/* The kind of the operation that it belongs to. */
enum work_kind event_op(const struct work *work, const struct trace_event *event);
bool event_in_reindex(const struct work *work, const struct trace_event *event);

/* Of a folder of tiles; of a tile. */
bool event_folder(const struct work *work, const struct trace_event *event);
bool event_tile(const struct work *work, const struct trace_event *event);

bool event_syncs(const struct trace_event *event);
/* A tile that gets its name only then. */
bool event_syncs_new(const struct work *work, const struct trace_event *event);
/* .mosaicfs. */
bool event_syncs_private(const struct work *work, const struct trace_event *event);

/* Takes event number from out and puts it in again behind event number to. */
void event_move(struct work *work, size_t from, size_t to);

/* Of the file in .mosaicfs that keeps others away while tiles are on their way, by its name: it is
 * made, or goes; it is there from now on; it goes. */
bool event_mark(const struct trace_event *event, const char *mark);
bool event_sets_mark(const struct trace_event *event, const char *mark);
bool event_takes_mark(const struct trace_event *event, const char *mark);

/* A seeded bug: it goes before the last tile is in its place. As bugs_apply(). */
size_t event_take_mark_early(struct work *work, const char *mark);

#endif
