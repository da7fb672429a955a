/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bugs.h"

#include <endian.h>
#include <string.h>

#include "bugs_manifest.h"
#include "bugs_resize.h"
#include "bugs_snapshot.h"
#include "event.h"
#include "format/format.h"
#include "format/journal.h"

#define ARCHIVE EVENT_ARCHIVE
#define LOCK ARCHIVE "/.mosaicfs/lock"
#define JOURNAL ARCHIVE "/.mosaicfs/journal"

static bool is_index(const struct work *w, const struct trace_event *e)
{
    const char *path = event_path(w, e);

    return strncmp(path, ARCHIVE "/", strlen(ARCHIVE "/")) == 0 &&
           strncmp(path + strlen(ARCHIVE "/"), w->layout->index, strlen(w->layout->index)) == 0;
}

/* In an operation that promises that all is on disk. */
static bool in_flush(const struct work *w, const struct trace_event *e)
{
    enum work_kind kind = event_op(w, e);

    return kind == WORK_FLUSH || kind == WORK_MARK || kind == WORK_CLOSE;
}

static bool syncs_length(const struct work *w, const struct trace_event *e)
{
    return event_syncs_new(w, e) && w->layout->head == LAYOUT_BARE;
}

static bool syncs_head(const struct work *w, const struct trace_event *e)
{
    return event_syncs_new(w, e) && w->layout->head != LAYOUT_BARE;
}

static bool folder_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_folder(w, e);
}

static bool archive_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && strcmp(event_path(w, e), ARCHIVE) == 0 &&
           event_op(w, e) != WORK_CREATE;
}

static bool map_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && strcmp(event_path(w, e), ARCHIVE "/" FORMAT_BUNDLE_MAPS) == 0;
}

static bool parent_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && e->inode == TRACE_BASE;
}

static bool tile_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_tile(w, e) && in_flush(w, e);
}

static bool evict_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_tile(w, e) && !in_flush(w, e) && !event_syncs_new(w, e);
}

static bool index_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && is_index(w, e);
}

static bool lock_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_below(w, e, LOCK);
}

static bool note_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_below(w, e, JOURNAL) && event_op(w, e) != WORK_MARK &&
           event_op(w, e) != WORK_OPEN;
}

static bool mark_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_below(w, e, JOURNAL) && event_op(w, e) == WORK_MARK;
}

static bool mark_flush(const struct work *w, const struct trace_event *e)
{
    return event_syncs(e) && event_tile(w, e) && event_op(w, e) == WORK_MARK;
}

static bool adopt_sync(const struct work *w, const struct trace_event *e)
{
    return e->kind == TRACE_SYNC_ALL && event_op(w, e) == WORK_OPEN;
}

/* Whether the name, of the directory of the event, is that of a file which appears whole. */
typedef bool appears_fn(const struct work *w, const struct trace_event *e, const char *name);

static bool index_appears(const struct work *w, const struct trace_event *e, const char *name)
{
    return strcmp(event_path(w, e), ARCHIVE) == 0 && strcmp(name, w->layout->index) == 0;
}

static bool tile_appears(const struct work *w, const struct trace_event *e, const char *name)
{
    return event_folder(w, e);
}

/* Such files get their names before their bytes. */
static size_t in_place(struct work *w, appears_fn *appears)
{
    size_t first = SIZE_MAX;

    for (size_t i = 0; i < w->trace.nevents; i++) {
        struct trace_event *e = &w->trace.events[i];
        size_t len = strlen(e->name);

        if ((e->kind != TRACE_ENTRY && e->kind != TRACE_RENAME) || len < 4 ||
            strcmp(e->name + len - 4, ".tmp") != 0)
            continue;
        e->name[len - 4] = '\0';
        if (!appears(w, e, e->name)) {
            e->name[len - 4] = '.';
            continue;
        }
        if (e->kind == TRACE_RENAME)
            e->kind = TRACE_NOTHING;
        first = i < first ? i : first;
    }
    return first;
}

static size_t index_in_place(struct work *w)
{
    return in_place(w, index_appears);
}

static size_t tile_in_place(struct work *w)
{
    return w->layout->head == LAYOUT_BARE ? SIZE_MAX : in_place(w, tile_appears);
}

static bool changes_tile(const struct work *w, const struct trace_event *e)
{
    return trace_changes(e) && (event_tile(w, e) || event_folder(w, e));
}

/* The event that changes a tile next, in the operation of event i; 0: none. */
static size_t next_change(const struct work *w, size_t i)
{
    const struct trace_event *events = w->trace.events;

    for (size_t k = i; k < w->trace.nevents && events[k].op == events[i].op; k++)
        if (changes_tile(w, &events[k]))
            return k;
    return 0;
}

/* Whether the event belongs to noting tiles, not to beginning an epoch. */
static bool notes(const struct work *w, const struct trace_event *e)
{
    return event_below(w, e, JOURNAL) && event_op(w, e) != WORK_MARK;
}

/* Tiles are noted, and that synced, after their first change instead of before it. */
static size_t note_late(struct work *w)
{
    struct trace_event *events = w->trace.events;
    size_t first = SIZE_MAX;

    for (size_t i = w->first; i < w->trace.nevents; i++) {
        size_t n = 0, to = notes(w, &events[i]) ? next_change(w, i) : 0;

        while (to && notes(w, &events[i + n]))
            n++;
        first = n > 0 && i < first ? i : first;
        for (size_t k = 0; k < n; k++)
            event_move(w, i, to);
        i = n > 0 ? to : i;
    }
    return first;
}

/* --- words of epochs -------------------------------------------------------- */

/* Takes the nonces out of what sector number holds. True: there were some. */
static bool without_nonces(uint32_t ntiles, unsigned char *sector, uint64_t number)
{
    struct journal_mark marks[FORMAT_JOURNAL_CELLS / 2];
    uint32_t cells[FORMAT_JOURNAL_CELLS], id;
    bool any = false;

    if (number < journal_first_marks(ntiles) || number >= journal_sectors(ntiles))
        return false;
    memcpy(&id, sector + FORMAT_JOURNAL_CELLS * sizeof(id), sizeof(id));
    id = le32toh(id);
    if (journal_get_sector(sector, id, (uint32_t)number, cells))
        return false;
    journal_get_marks(cells, marks);
    for (unsigned i = 0; i < FORMAT_JOURNAL_CELLS / 2; i++) {
        any = any || marks[i].nonce;
        marks[i].nonce = 0;
    }
    journal_put_marks(marks, cells);
    return journal_put_sector(id, (uint32_t)number, cells, sector) == 0 && any;
}

static void word_without_nonce(struct work_op *op)
{
    struct journal_word word;

    if (!op->epoch[0] || journal_parse_epoch(op->epoch, &word))
        return;
    word.mark.nonce = 0;
    journal_print_epoch(&word, op->epoch);
}

/* Words are made of the journal's id and the number of the epoch, and nothing else. */
static size_t no_nonce(struct work *w)
{
    size_t first = SIZE_MAX;

    for (size_t i = 0; i < w->trace.nevents; i++) {
        struct trace_event *e = &w->trace.events[i];

        for (uint64_t at = 0; e->kind == TRACE_WRITE && event_below(w, e, JOURNAL) &&
                              at + FORMAT_JOURNAL_SECTOR <= e->len;
             at += FORMAT_JOURNAL_SECTOR)
            if (without_nonces(bugs_resize_ntiles(w, i), e->data + at,
                               (e->off + at) / FORMAT_JOURNAL_SECTOR))
                first = i < first ? i : first;
    }
    for (unsigned i = 0; i < w->nops; i++)
        word_without_nonce(&w->ops[i]);
    for (unsigned i = 0; i < w->nlost; i++)
        word_without_nonce(&w->lost[i]);
    return first < w->first ? w->first : first;
}

/* --- reindex ---------------------------------------------------------------- */

#define MARK "reindex" /* stands in .mosaicfs while tiles are on their way */

static bool reindex_mark(const struct work *w, const struct trace_event *e)
{
    return event_in_reindex(w, e) && event_mark(e, MARK);
}

static bool reindex_mark_sync(const struct work *w, const struct trace_event *e)
{
    return event_syncs_private(w, e) && event_sets_mark(&e[-1], MARK);
}

static bool reindex_sync(const struct work *w, const struct trace_event *e)
{
    return e->kind == TRACE_SYNC_ALL && event_takes_mark(&e[1], MARK);
}

/* Of what makes way: behind the mark, and before the tiles. */
static bool reindex_way_sync(const struct work *w, const struct trace_event *e)
{
    const struct trace_event *mark = e;

    if (e->kind != TRACE_SYNC_ALL || !event_in_reindex(w, e) || event_takes_mark(&e[1], MARK))
        return false;
    while (mark->kind != TRACE_BEGIN && !event_sets_mark(mark, MARK))
        mark--;
    return event_sets_mark(mark, MARK);
}

/* Not their sync alone: what makes way is brought to disk together with them. */
static bool reindex_notes(const struct work *w, const struct trace_event *e)
{
    return event_in_reindex(w, e) && event_below(w, e, JOURNAL) &&
           (e->kind == TRACE_WRITE || event_syncs(e));
}

static bool reindex_copy_sync(const struct work *w, const struct trace_event *e)
{
    return event_in_reindex(w, e) && event_syncs_new(w, e);
}

static size_t mark_gone_early(struct work *w)
{
    return event_take_mark_early(w, MARK);
}

/* Nothing of the record: of how what is left is opened. */
static size_t judge_early(struct work *w)
{
    w->judges_early = true;
    return w->first;
}

const struct bug bugs[] = {
    {"no-folder-sync", "a flush does not sync the folder of a new tile", folder_sync, NULL},
    {"no-archive-sync", "nor the archive directory when it made a folder", archive_sync, NULL},
    {"no-parent-sync", "create does not sync the directory that holds the archive", parent_sync,
     NULL},
    {"no-private-sync", "nor .mosaicfs when it made a journal", event_syncs_private, NULL},
    {"no-tile-sync", "a flush does not sync tiles", tile_sync, NULL},
    {"no-evict-sync", "a tile is closed without a sync to make room", evict_sync, NULL},
    {"no-index-sync", "the index gets its name before its bytes are synced", index_sync, NULL},
    {"index-in-place", "the index is written under its own name", NULL, index_in_place},
    {"no-lock-sync", "the lock gets its name before its bytes are synced", lock_sync, NULL},
    {"no-note-sync", "a tile changes when its note is written and not synced", note_sync, NULL},
    {"note-late", "a tile is noted after it has changed", NULL, note_late},
    {"no-mark-sync", "a mark returns before its epoch is synced", mark_sync, NULL},
    {"no-mark-flush", "a mark does not sync tiles first", mark_flush, NULL},
    {"no-nonce", "an archive that was put back tells words a second time", NULL, no_nonce},
    {"no-length-sync", "a tile of format 1 gets its name before its length is synced", syncs_length,
     NULL},
    {"no-head-sync", "a tile gets its name before the picture in it is synced", syncs_head, NULL},
    {"tile-in-place", "a tile is made under its own name, and then gets its picture", NULL,
     tile_in_place},
    {"no-map-sync", "a band changes before what a Mac knew of it is gone for good", map_sync, NULL},
    {"no-reindex-mark", "tiles move to their places, and nothing forbids to mount", reindex_mark,
     NULL},
    {"no-reindex-mark-sync", "they do before what forbids it is on disk", reindex_mark_sync, NULL},
    {"mark-gone-early", "it goes before the last of them is there", NULL, mark_gone_early},
    {"no-reindex-sync", "it goes before their moves are on disk", reindex_sync, NULL},
    {"no-way-sync", "they move before what makes way for them is on disk", reindex_way_sync, NULL},
    {"judge-early", "a mount looks for what forbids it, and then waits for the lock", NULL,
     judge_early},
    {"no-reindex-note", "they move and are not noted", reindex_notes, NULL},
    {"no-copy-sync", "a copy gets its name before its bytes are synced", reindex_copy_sync, NULL},
    {"no-adopt-sync", "what a killed writer left is not synced", adopt_sync, NULL},
    {"no-unshare-sync", "a copy of a tile that is held gets its name before its bytes are synced",
     bugs_snapshot_unshare_sync, NULL},
    {"no-settle-sync", "what a snapshot holds is replaced or removed before it is synced",
     bugs_snapshot_settle_sync, NULL},
    {"no-snap-tiles", "a snapshot gets its name before its tiles are synced",
     bugs_snapshot_tile_sync, NULL},
    {"no-snap-folders", "nor are its folders", bugs_snapshot_folder_sync, NULL},
    {"no-snap-index", "nor is its index", bugs_snapshot_index_sync, NULL},
    {"no-new-sync", "nor is its directory", bugs_snapshot_new_sync, NULL},
    {"no-name-sync", "it is made before its name is synced", bugs_snapshot_name_sync, NULL},
    {"name-early", "it gets its name before its tiles", NULL, bugs_snapshot_name_early},
    {"no-all-sync", "the directory of all snapshots is not synced when it was made",
     bugs_snapshot_all_sync, NULL},
    {"no-gone-sync", "tiles of a snapshot go before the end of its name is synced",
     bugs_snapshot_gone_sync, NULL},
    {"no-gone", "they go, and the name stays", bugs_snapshot_gone_rename, NULL},
    {"gone-late", "they go, and then the name", NULL, bugs_snapshot_gone_late},
    {"no-sweep-sync", "what a killed command left goes before the end of its name is synced",
     bugs_snapshot_sweep_sync, NULL},
    {"no-size-sync", "an image has grown before its index is on disk", bugs_resize_size_sync, NULL},
    {"no-longer-sync", "a longer journal gets its name before its bytes are synced",
     bugs_resize_journal_sync, NULL},
    {"journal-cut", "a longer journal lacks what the shorter one said", bugs_resize_journal_cut,
     NULL},
    {"no-cut", "bytes behind the end of an image that grows come to light", bugs_resize_cut, NULL},
    {"no-cut-sync", "their end is not synced before the new size is", bugs_resize_cut_sync, NULL},
    {"no-back-mark", "tiles become those of a snapshot, and nothing forbids to mount",
     bugs_snapshot_back_mark, NULL},
    {"no-back-mark-sync", "they do before what forbids it is on disk", bugs_snapshot_back_mark_sync,
     NULL},
    {"back-mark-early", "it goes before the last of them is", NULL, bugs_snapshot_back_mark_early},
    {"no-back-sync", "it goes before their links are on disk", bugs_snapshot_back_sync, NULL},
    {"no-back-end-sync", "a rollback is done before its mark is gone for good",
     bugs_snapshot_back_end_sync, NULL},
    {"no-back-note", "tiles become those of a snapshot and are not noted", bugs_snapshot_back_notes,
     NULL},
    {"no-manifest-sync", "a manifest gets its name before its lines are synced",
     bugs_manifest_text_sync, NULL},
    {"no-digests-sync", "nor are its digests", bugs_manifest_digests_sync, NULL},
    {"no-manifest-name", "it is written before its name is synced", bugs_manifest_name_sync, NULL},
    {"no-descent-sync", "nor is what says that the tiles descend from it",
     bugs_manifest_descent_sync, NULL},
    {NULL, NULL, NULL, NULL},
};

const struct bug *bugs_find(const char *name)
{
    const struct bug *bug = bugs;

    while (bug->name && strcmp(bug->name, name) != 0)
        bug++;
    return bug->name ? bug : NULL;
}

size_t bugs_apply(const struct bug *bug, struct work *w)
{
    size_t first = bug->distort ? bug->distort(w) : SIZE_MAX;

    for (size_t i = w->first; bug->drops && i < w->trace.nevents; i++)
        if (bug->drops(w, &w->trace.events[i])) {
            w->trace.events[i].kind = TRACE_NOTHING;
            first = i < first ? i : first;
        }
    return first;
}
