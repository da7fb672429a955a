/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "event.h"

#include <string.h>

#include "format/format.h"

const char *event_path(const struct work *w, const struct trace_event *e)
{
    return w->trace.inodes[e->inode].path;
}

enum work_kind event_op(const struct work *w, const struct trace_event *e)
{
    return e->op < w->nops ? w->ops[e->op].kind : WORK_NOTHING;
}

bool event_below(const struct work *w, const struct trace_event *e, const char *path)
{
    return strncmp(event_path(w, e), path, strlen(path)) == 0;
}

/* What follows the folder of tiles in the path: "", or a tile with its slash; NULL: it is
 * elsewhere. */
static const char *below_folder(const struct work *w, const struct trace_event *e)
{
    const char *path = event_path(w, e);

    for (uint32_t folder = 0; folder < 2 && folder * w->layout->tiles_per_folder < w->geo.ntiles;
         folder++) {
        char name[LAYOUT_PATH + sizeof(EVENT_ARCHIVE)];

        strcpy(name, EVENT_ARCHIVE "/");
        w->layout->folder_path(folder, name + strlen(name));
        if (strncmp(path, name, strlen(name)) == 0)
            return path + strlen(name);
    }
    return NULL;
}

bool event_folder(const struct work *w, const struct trace_event *e)
{
    const char *rest = below_folder(w, e);

    return rest && !*rest;
}

bool event_tile(const struct work *w, const struct trace_event *e)
{
    const char *rest = below_folder(w, e);

    return rest && *rest == '/';
}

bool event_syncs(const struct trace_event *e)
{
    return e->kind == TRACE_SYNC;
}

bool event_syncs_new(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_tile(w, e) && e[1].kind == TRACE_RENAME &&
           e[1].target == e->inode;
}

bool event_syncs_private(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && strcmp(event_path(w, e), EVENT_ARCHIVE "/" FORMAT_PRIVATE_DIR) == 0;
}

bool event_in_reindex(const struct work *w, const struct trace_event *e)
{
    return event_op(w, e) == WORK_REINDEX;
}

/* What was event number at, once the one at from has been put behind the one at to. */
static size_t moved(size_t at, size_t from, size_t to)
{
    return at == from ? to : at > from && at <= to ? at - 1 : at;
}

/* Takes the event at from out and puts it in again behind the one at to. */
void event_move(struct work *w, size_t from, size_t to)
{
    struct trace_event *events = w->trace.events;
    struct trace_event event = events[from];

    memmove(&events[from], &events[from + 1], (to - from) * sizeof(*events));
    events[to] = event;
    for (unsigned i = 0; i < w->nops; i++) {
        w->ops[i].begin = moved(w->ops[i].begin, from, to);
        w->ops[i].end = moved(w->ops[i].end, from, to);
    }
}

bool event_mark(const struct trace_event *e, const char *mark)
{
    return (e->kind == TRACE_ENTRY || e->kind == TRACE_RENAME) &&
           strncmp(e->name, mark, strlen(mark)) == 0;
}

bool event_sets_mark(const struct trace_event *e, const char *mark)
{
    return e->kind == TRACE_RENAME && strcmp(e->to, mark) == 0;
}

bool event_takes_mark(const struct trace_event *e, const char *mark)
{
    return e->kind == TRACE_ENTRY && !e->target && strcmp(e->name, mark) == 0;
}

/* The event of that operation before i that gives a tile its place; i: none. */
static size_t last_put(const struct work *w, size_t i, const char *mark)
{
    const struct trace_event *events = w->trace.events;

    for (size_t k = i; events[k].kind != TRACE_BEGIN && !event_sets_mark(&events[k], mark); k--)
        if (events[k].kind == TRACE_RENAME)
            return k;
    return i;
}

size_t event_take_mark_early(struct work *w, const char *mark)
{
    size_t first = SIZE_MAX;

    for (size_t i = w->first; i < w->trace.nevents; i++) {
        size_t put = event_takes_mark(&w->trace.events[i], mark) ? last_put(w, i, mark) : i;

        first = put < i && put < first ? put : first;
        for (size_t k = i; k > put; k--)
            event_move(w, k - 1, k);
    }
    return first;
}
