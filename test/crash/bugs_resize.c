/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bugs_resize.h"

#include <string.h>

#include "event.h"

#define JOURNAL EVENT_ARCHIVE "/.mosaicfs/journal"

static bool resizes(const struct work *w, const struct trace_event *e)
{
    return event_op(w, e) == WORK_RESIZE;
}

/* The new index has its name, but the directory may not have it. */
bool bugs_resize_size_sync(const struct work *w, const struct trace_event *e)
{
    return resizes(w, e) && event_syncs(e) && strcmp(event_path(w, e), EVENT_ARCHIVE) == 0;
}

bool bugs_resize_journal_sync(const struct work *w, const struct trace_event *e)
{
    return resizes(w, e) && event_syncs(e) && event_below(w, e, JOURNAL);
}

bool bugs_resize_journal_cut(const struct work *w, const struct trace_event *e)
{
    return resizes(w, e) && e->kind == TRACE_WRITE && event_below(w, e, JOURNAL);
}

bool bugs_resize_cut(const struct work *w, const struct trace_event *e)
{
    return resizes(w, e) && e->kind == TRACE_TRUNCATE && event_tile(w, e);
}

/* Of the cut and of all else that the tile had. */
bool bugs_resize_cut_sync(const struct work *w, const struct trace_event *e)
{
    return resizes(w, e) && event_syncs(e) && event_tile(w, e);
}

uint32_t bugs_resize_ntiles(const struct work *w, size_t i)
{
    uint32_t old = (uint32_t)((w->size - 1) / WORK_TILE + 1);

    for (unsigned op = 0; op < w->nops; op++)
        if (w->ops[op].kind == WORK_RESIZE && w->ops[op].begin <= i)
            return (uint32_t)((w->ops[op].off - 1) / WORK_TILE + 1);
    return old;
}
