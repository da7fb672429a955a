/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bugs_snapshot.h"

#include <string.h>

#include "event.h"
#include "format/format.h"

#define SNAPSHOTS EVENT_ARCHIVE "/" FORMAT_SNAPSHOTS
#define NEW SNAPSHOTS "/" FORMAT_SNAPSHOT_NEW

/* Of a tile's file: it may have been made as TILE.tmp. */
static bool was_called(const char *path, const char *name)
{
    const char *last = strrchr(path, '/') + 1;
    size_t len = strlen(name);

    return strncmp(last, name, len) == 0 && (!last[len] || strcmp(last + len, ".tmp") == 0);
}

/* The file that is synced is a tile whose name goes to another, or goes, in the same operation. */
static bool syncs_leaving(const struct work *w, const struct trace_event *e)
{
    const char *path = event_path(w, e);
    const struct trace_event *end = w->trace.events + w->trace.nevents;

    if (!event_syncs(e) || !event_tile(w, e))
        return false;
    for (const struct trace_event *next = e; next < end && next->op == e->op; next++)
        if (event_folder(w, next) &&
            ((next->kind == TRACE_RENAME && was_called(path, next->to)) ||
             (next->kind == TRACE_ENTRY && !next->target && was_called(path, next->name))))
            return true;
    return false;
}

bool bugs_snapshot_settle_sync(const struct work *w, const struct trace_event *e)
{
    enum work_kind kind = event_op(w, e);

    return (kind == WORK_WRITE || kind == WORK_ZERO || kind == WORK_ALLOCATE ||
            kind == WORK_COMPACT) &&
           !event_syncs_new(w, e) && syncs_leaving(w, e);
}

/* A tile is replaced by a copy: not one that gets its name for the first time. */
bool bugs_snapshot_unshare_sync(const struct work *w, const struct trace_event *e)
{
    const struct trace_event *events = w->trace.events;

    if (!event_syncs_new(w, e) || event_in_reindex(w, e))
        return false;
    for (const struct trace_event *before = e; before-- > events;)
        if (before->inode == e[1].inode && trace_changes(before) && before->kind >= TRACE_ENTRY &&
            strcmp(before->kind == TRACE_RENAME ? before->to : before->name, e[1].to) == 0)
            return before->target != 0;
    return false;
}

bool bugs_snapshot_tile_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_tile(w, e) && event_op(w, e) == WORK_SNAPSHOT;
}

/* Below .new, and not .new itself. */
bool bugs_snapshot_folder_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && w->trace.inodes[e->inode].dir && event_below(w, e, NEW "/");
}

bool bugs_snapshot_new_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && strcmp(event_path(w, e), NEW) == 0;
}

bool bugs_snapshot_index_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && !w->trace.inodes[e->inode].dir && event_below(w, e, NEW "/");
}

static bool syncs_all(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && strcmp(event_path(w, e), SNAPSHOTS) == 0;
}

static bool names(const struct trace_event *e)
{
    return e->kind == TRACE_RENAME && strcmp(e->name, FORMAT_SNAPSHOT_NEW) == 0;
}

static bool unnames(const struct trace_event *e)
{
    return e->kind == TRACE_RENAME && strcmp(e->to, FORMAT_SNAPSHOT_GONE) == 0;
}

bool bugs_snapshot_name_sync(const struct work *w, const struct trace_event *e)
{
    return syncs_all(w, e) && names(&e[-1]);
}

bool bugs_snapshot_gone_sync(const struct work *w, const struct trace_event *e)
{
    return syncs_all(w, e) && unnames(&e[-1]);
}

/* That of what another has left. */
bool bugs_snapshot_sweep_sync(const struct work *w, const struct trace_event *e)
{
    return syncs_all(w, e) && !names(&e[-1]) && !unnames(&e[-1]);
}

bool bugs_snapshot_all_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs_private(w, e) && event_op(w, e) == WORK_SNAPSHOT;
}

bool bugs_snapshot_gone_rename(const struct work *w, const struct trace_event *e)
{
    return unnames(e);
}

static bool ends(const struct trace_event *e, unsigned op)
{
    return e->kind == TRACE_END && e->op == op;
}

/* The event of the operation of event i that removes the directory of the snapshot; i: none. */
static size_t removed_at(const struct work *w, size_t i)
{
    const struct trace_event *events = w->trace.events;

    for (size_t k = i; k < w->trace.nevents && !ends(&events[k], events[i].op); k++)
        if (events[k].kind == TRACE_ENTRY && !events[k].target &&
            strcmp(events[k].name, FORMAT_SNAPSHOT_GONE) == 0)
            return k;
    return i;
}

/* The name goes when all below it is gone, with its sync. */
size_t bugs_snapshot_gone_late(struct work *w)
{
    struct trace_event *events = w->trace.events;
    size_t first = SIZE_MAX;

    for (size_t i = w->first; i < w->trace.nevents; i++) {
        size_t to = unnames(&events[i]) ? removed_at(w, i) : i;

        if (to == i)
            continue;
        event_move(w, i, to - 1);
        event_move(w, i, to - 1);
        first = i < first ? i : first;
        i = to;
    }
    return first;
}

/* The event that makes the .new which event i gives a name. */
static size_t made_at(const struct work *w, size_t i)
{
    const struct trace_event *events = w->trace.events;

    while (i-- > 0)
        if (events[i].kind == TRACE_ENTRY && events[i].target &&
            strcmp(events[i].name, FORMAT_SNAPSHOT_NEW) == 0)
            return i;
    return 0;
}

/* A snapshot has its name at once, and that is synced, before there are tiles in it. */
size_t bugs_snapshot_name_early(struct work *w)
{
    struct trace_event *events = w->trace.events;
    size_t first = SIZE_MAX;

    for (size_t i = w->first; i + 1 < w->trace.nevents; i++) {
        size_t made = names(&events[i]) ? made_at(w, i) : 0;

        if (!made || made < w->first)
            continue;
        for (size_t k = i; k > made + 1; k--) {
            event_move(w, k - 1, k);
            event_move(w, k, k + 1);
        }
        first = made < first ? made : first;
    }
    return first;
}

/* --- rollback --------------------------------------------------------------------------------- */

#define MARK "rollback" /* stands in .mosaicfs while some tiles are those of the snapshot */

static bool in_rollback(const struct work *w, const struct trace_event *e)
{
    return event_op(w, e) == WORK_ROLLBACK;
}

bool bugs_snapshot_back_mark(const struct work *w, const struct trace_event *e)
{
    return in_rollback(w, e) && event_mark(e, MARK);
}

bool bugs_snapshot_back_mark_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs_private(w, e) && event_sets_mark(&e[-1], MARK);
}

bool bugs_snapshot_back_sync(const struct work *w, const struct trace_event *e)
{
    return in_rollback(w, e) && event_syncs(e) && event_folder(w, e);
}

bool bugs_snapshot_back_end_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs_private(w, e) && event_takes_mark(&e[-1], MARK);
}

bool bugs_snapshot_back_notes(const struct work *w, const struct trace_event *e)
{
    return in_rollback(w, e) && event_below(w, e, EVENT_ARCHIVE "/" FORMAT_JOURNAL_NAME) &&
           (e->kind == TRACE_WRITE || event_syncs(e));
}

size_t bugs_snapshot_back_mark_early(struct work *w)
{
    return event_take_mark_early(w, MARK);
}
