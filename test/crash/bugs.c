/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bugs.h"

#include <endian.h>
#include <string.h>

#include "format/format.h"
#include "format/journal.h"

#define ARCHIVE "drive.img"
#define LOCK ARCHIVE "/.mosaicfs/lock"
#define JOURNAL ARCHIVE "/.mosaicfs/journal"

/* The path under which the event's file was made. */
static const char *path_of(const struct work *w, const struct trace_event *e)
{
    return w->trace.inodes[e->inode].path;
}

static enum work_kind kind_of(const struct work *w, const struct trace_event *e)
{
    return e->op < w->nops ? w->ops[e->op].kind : WORK_NOTHING;
}

/* Under a name that begins so: it may end in .tmp. */
static bool is(const struct work *w, const struct trace_event *e, const char *path)
{
    return strncmp(path_of(w, e), path, strlen(path)) == 0;
}

static bool is_index(const struct work *w, const struct trace_event *e)
{
    const char *path = path_of(w, e);

    return strncmp(path, ARCHIVE "/", strlen(ARCHIVE "/")) == 0 &&
           strncmp(path + strlen(ARCHIVE "/"), w->layout->index, strlen(w->layout->index)) == 0;
}

/* What follows the folder of tiles in the path: "", or a tile with its slash; NULL: it is
 * elsewhere. */
static const char *below_folder(const struct work *w, const struct trace_event *e)
{
    const char *path = path_of(w, e);

    for (uint32_t folder = 0; folder < 2 && folder * w->layout->tiles_per_folder < w->geo.ntiles;
         folder++) {
        char name[LAYOUT_PATH + sizeof(ARCHIVE)];

        strcpy(name, ARCHIVE "/");
        w->layout->folder_path(folder, name + strlen(name));
        if (strncmp(path, name, strlen(name)) == 0)
            return path + strlen(name);
    }
    return NULL;
}

static bool is_folder(const struct work *w, const struct trace_event *e)
{
    const char *rest = below_folder(w, e);

    return rest && !*rest;
}

static bool is_tile(const struct work *w, const struct trace_event *e)
{
    const char *rest = below_folder(w, e);

    return rest && *rest == '/';
}

static bool syncs(const struct trace_event *e)
{
    return e->kind == TRACE_SYNC;
}

/* In an operation that promises that all is on disk. */
static bool in_flush(const struct work *w, const struct trace_event *e)
{
    enum work_kind kind = kind_of(w, e);

    return kind == WORK_FLUSH || kind == WORK_MARK || kind == WORK_CLOSE;
}

/* Of a tile that gets its name only then. */
static bool syncs_new(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is_tile(w, e) && e[1].kind == TRACE_RENAME && e[1].target == e->inode;
}

static bool syncs_length(const struct work *w, const struct trace_event *e)
{
    return syncs_new(w, e) && w->layout->head == LAYOUT_BARE;
}

static bool syncs_head(const struct work *w, const struct trace_event *e)
{
    return syncs_new(w, e) && w->layout->head != LAYOUT_BARE;
}

static bool folder_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is_folder(w, e);
}

static bool archive_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && strcmp(path_of(w, e), ARCHIVE) == 0 && kind_of(w, e) != WORK_CREATE;
}

static bool private_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && strcmp(path_of(w, e), ARCHIVE "/" FORMAT_PRIVATE_DIR) == 0;
}

static bool map_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && strcmp(path_of(w, e), ARCHIVE "/" FORMAT_BUNDLE_MAPS) == 0;
}

static bool parent_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && e->inode == TRACE_BASE;
}

static bool tile_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is_tile(w, e) && in_flush(w, e);
}

static bool evict_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is_tile(w, e) && !in_flush(w, e) && !syncs_new(w, e);
}

static bool index_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is_index(w, e);
}

static bool lock_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is(w, e, LOCK);
}

static bool note_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is(w, e, JOURNAL) && kind_of(w, e) != WORK_MARK &&
           kind_of(w, e) != WORK_OPEN;
}

static bool mark_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is(w, e, JOURNAL) && kind_of(w, e) == WORK_MARK;
}

static bool mark_flush(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is_tile(w, e) && kind_of(w, e) == WORK_MARK;
}

static bool adopt_sync(const struct work *w, const struct trace_event *e)
{
    return e->kind == TRACE_SYNC_ALL && kind_of(w, e) == WORK_OPEN;
}

/* Whether the name, of the directory of the event, is that of a file which appears whole. */
typedef bool appears_fn(const struct work *w, const struct trace_event *e, const char *name);

static bool index_appears(const struct work *w, const struct trace_event *e, const char *name)
{
    return strcmp(path_of(w, e), ARCHIVE) == 0 && strcmp(name, w->layout->index) == 0;
}

static bool tile_appears(const struct work *w, const struct trace_event *e, const char *name)
{
    return is_folder(w, e);
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
    return trace_changes(e) && (is_tile(w, e) || is_folder(w, e));
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

/* What was event number at, once the one at from has been put behind the one at to. */
static size_t moved(size_t at, size_t from, size_t to)
{
    return at == from ? to : at > from && at <= to ? at - 1 : at;
}

/* Takes the event at from out and puts it in again behind the one at to. */
static void move(struct work *w, size_t from, size_t to)
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

/* Whether the event belongs to noting tiles, not to beginning an epoch. */
static bool notes(const struct work *w, const struct trace_event *e)
{
    return is(w, e, JOURNAL) && kind_of(w, e) != WORK_MARK;
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
            move(w, i, to);
        i = n > 0 ? to : i;
    }
    return first;
}

/* --- words of epochs -------------------------------------------------------- */

/* Takes the nonces out of what sector number holds. True: there were some. */
static bool without_nonces(const struct work *w, unsigned char *sector, uint64_t number)
{
    struct journal_mark marks[FORMAT_JOURNAL_CELLS / 2];
    uint32_t cells[FORMAT_JOURNAL_CELLS], id;
    bool any = false;

    if (number < journal_first_marks(w->geo.ntiles) || number >= journal_sectors(w->geo.ntiles))
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

        for (uint64_t at = 0;
             e->kind == TRACE_WRITE && is(w, e, JOURNAL) && at + FORMAT_JOURNAL_SECTOR <= e->len;
             at += FORMAT_JOURNAL_SECTOR)
            if (without_nonces(w, e->data + at, (e->off + at) / FORMAT_JOURNAL_SECTOR))
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

static bool in_reindex(const struct work *w, const struct trace_event *e)
{
    return kind_of(w, e) == WORK_REINDEX;
}

static bool sets_mark(const struct trace_event *e)
{
    return e->kind == TRACE_RENAME && strcmp(e->to, MARK) == 0;
}

static bool takes_mark(const struct trace_event *e)
{
    return e->kind == TRACE_ENTRY && !e->target && strcmp(e->name, MARK) == 0;
}

static bool reindex_mark(const struct work *w, const struct trace_event *e)
{
    return in_reindex(w, e) && (e->kind == TRACE_ENTRY || e->kind == TRACE_RENAME) &&
           strncmp(e->name, MARK, strlen(MARK)) == 0;
}

static bool reindex_mark_sync(const struct work *w, const struct trace_event *e)
{
    return private_sync(w, e) && sets_mark(&e[-1]);
}

static bool reindex_sync(const struct work *w, const struct trace_event *e)
{
    return e->kind == TRACE_SYNC_ALL && takes_mark(&e[1]);
}

/* Of what makes way: behind the mark, and before the tiles. */
static bool reindex_way_sync(const struct work *w, const struct trace_event *e)
{
    const struct trace_event *mark = e;

    if (e->kind != TRACE_SYNC_ALL || !in_reindex(w, e) || takes_mark(&e[1]))
        return false;
    while (mark->kind != TRACE_BEGIN && !sets_mark(mark))
        mark--;
    return sets_mark(mark);
}

/* Not their sync alone: what makes way is brought to disk together with them. */
static bool reindex_notes(const struct work *w, const struct trace_event *e)
{
    return in_reindex(w, e) && is(w, e, JOURNAL) && (e->kind == TRACE_WRITE || syncs(e));
}

static bool reindex_copy_sync(const struct work *w, const struct trace_event *e)
{
    return in_reindex(w, e) && syncs_new(w, e);
}

/* The event of that operation before i that gives a tile its place; i: none. */
static size_t last_put(const struct work *w, size_t i)
{
    const struct trace_event *events = w->trace.events;

    for (size_t k = i; events[k].kind != TRACE_BEGIN && !sets_mark(&events[k]); k--)
        if (events[k].kind == TRACE_RENAME)
            return k;
    return i;
}

static size_t mark_gone_early(struct work *w)
{
    size_t first = SIZE_MAX;

    for (size_t i = w->first; i < w->trace.nevents; i++) {
        size_t put = takes_mark(&w->trace.events[i]) ? last_put(w, i) : i;

        first = put < i && put < first ? put : first;
        for (size_t k = i; k > put; k--)
            move(w, k - 1, k);
    }
    return first;
}

/* --- snapshots -------------------------------------------------------------- */

#define SNAPSHOTS ARCHIVE "/" FORMAT_SNAPSHOTS
#define NEW SNAPSHOTS "/" FORMAT_SNAPSHOT_NEW

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The file that is synced is a tile whose name goes to another, or goes, in the same operation. */
static bool syncs_leaving(const struct work *w, const struct trace_event *e)
{
    const char *name = last_part(path_of(w, e));
    const struct trace_event *end = w->trace.events + w->trace.nevents;

    if (!syncs(e) || !is_tile(w, e))
        return false;
    for (const struct trace_event *next = e; next < end && next->op == e->op; next++)
        if (is_folder(w, next) &&
            ((next->kind == TRACE_RENAME && strcmp(next->to, name) == 0) ||
             (next->kind == TRACE_ENTRY && !next->target && strcmp(next->name, name) == 0)))
            return true;
    return false;
}

static bool settle_sync(const struct work *w, const struct trace_event *e)
{
    enum work_kind kind = kind_of(w, e);

    return (kind == WORK_WRITE || kind == WORK_ZERO || kind == WORK_ALLOCATE) && !syncs_new(w, e) &&
           syncs_leaving(w, e);
}

/* A tile is replaced by a copy: not one that gets its name for the first time. */
static bool unshare_sync(const struct work *w, const struct trace_event *e)
{
    const struct trace_event *events = w->trace.events;

    if (!syncs_new(w, e) || in_reindex(w, e))
        return false;
    for (const struct trace_event *before = e; before-- > events;)
        if (before->inode == e[1].inode && trace_changes(before) && before->kind >= TRACE_ENTRY &&
            strcmp(before->kind == TRACE_RENAME ? before->to : before->name, e[1].to) == 0)
            return before->target != 0;
    return false;
}

static bool snapshot_tile_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && is_tile(w, e) && kind_of(w, e) == WORK_SNAPSHOT;
}

/* Below .new, and not .new itself. */
static bool snapshot_folder_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && w->trace.inodes[e->inode].dir && is(w, e, NEW "/");
}

static bool new_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && strcmp(path_of(w, e), NEW) == 0;
}

static bool snapshot_index_sync(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && !w->trace.inodes[e->inode].dir && is(w, e, NEW "/");
}

static bool syncs_all(const struct work *w, const struct trace_event *e)
{
    return syncs(e) && strcmp(path_of(w, e), SNAPSHOTS) == 0;
}

static bool names(const struct trace_event *e)
{
    return e->kind == TRACE_RENAME && strcmp(e->name, FORMAT_SNAPSHOT_NEW) == 0;
}

static bool unnames(const struct trace_event *e)
{
    return e->kind == TRACE_RENAME && strcmp(e->to, FORMAT_SNAPSHOT_GONE) == 0;
}

static bool name_sync(const struct work *w, const struct trace_event *e)
{
    return syncs_all(w, e) && names(&e[-1]);
}

static bool gone_sync(const struct work *w, const struct trace_event *e)
{
    return syncs_all(w, e) && unnames(&e[-1]);
}

/* That of what another has left. */
static bool sweep_sync(const struct work *w, const struct trace_event *e)
{
    return syncs_all(w, e) && !names(&e[-1]) && !unnames(&e[-1]);
}

static bool all_sync(const struct work *w, const struct trace_event *e)
{
    return private_sync(w, e) && kind_of(w, e) == WORK_SNAPSHOT;
}

static bool gone_rename(const struct work *w, const struct trace_event *e)
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
static size_t gone_late(struct work *w)
{
    struct trace_event *events = w->trace.events;
    size_t first = SIZE_MAX;

    for (size_t i = w->first; i < w->trace.nevents; i++) {
        size_t to = unnames(&events[i]) ? removed_at(w, i) : i;

        if (to == i)
            continue;
        move(w, i, to - 1);
        move(w, i, to - 1);
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
static size_t name_early(struct work *w)
{
    struct trace_event *events = w->trace.events;
    size_t first = SIZE_MAX;

    for (size_t i = w->first; i + 1 < w->trace.nevents; i++) {
        size_t made = names(&events[i]) ? made_at(w, i) : 0;

        if (!made || made < w->first)
            continue;
        for (size_t k = i; k > made + 1; k--) {
            move(w, k - 1, k);
            move(w, k, k + 1);
        }
        first = made < first ? made : first;
    }
    return first;
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
    {"no-private-sync", "nor .mosaicfs when it made a journal", private_sync, NULL},
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
     unshare_sync, NULL},
    {"no-settle-sync", "what a snapshot holds is replaced or removed before it is synced",
     settle_sync, NULL},
    {"no-snap-tiles", "a snapshot gets its name before its tiles are synced", snapshot_tile_sync,
     NULL},
    {"no-snap-folders", "nor are its folders", snapshot_folder_sync, NULL},
    {"no-snap-index", "nor is its index", snapshot_index_sync, NULL},
    {"no-new-sync", "nor is its directory", new_sync, NULL},
    {"no-name-sync", "it is made before its name is synced", name_sync, NULL},
    {"name-early", "it gets its name before its tiles", NULL, name_early},
    {"no-all-sync", "the directory of all snapshots is not synced when it was made", all_sync,
     NULL},
    {"no-gone-sync", "tiles of a snapshot go before the end of its name is synced", gone_sync,
     NULL},
    {"no-gone", "they go, and the name stays", gone_rename, NULL},
    {"gone-late", "they go, and then the name", NULL, gone_late},
    {"no-sweep-sync", "what a killed command left goes before the end of its name is synced",
     sweep_sync, NULL},
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
