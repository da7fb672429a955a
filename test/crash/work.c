/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../layouts.h"
#include "../random.h"
#include "disk.h"
#include "format/format.h"
#include "grow.h"
#include "ops.h"
#include "rollback.h"
#include "scratch.h"
#include "shuffle.h"
#include "snap.h"

#define NTILES 1100 /* two folders */
#define SIZE ((uint64_t)NTILES * WORK_TILE - WORK_TILE / 2 - WORK_SECTOR)
#define GROWN 1130  /* tiles, once it has grown */
#define SESSIONS 40 /* one operation in so many closes and opens again */
#define COMPACTS 12 /* after one operation in so many the image is compacted */
#define SNAPSHOTS 8 /* after one operation in so many one is made or deleted */
#define SNAPSHOTS_MAX 3
#define HEAD 700 /* of original-jpeg: no multiple of a sector, and more than one */

static const uint32_t tiles[WORK_SLOTS] = {0,  1,  2,  8,  16,   24,   32,         40,
                                           48, 56, 64, 72, 1024, 1025, NTILES - 1, GROWN - 2};

void work_must(bool ok, const struct work *w, const char *what)
{
    char text[200] = "the start";

    if (ok)
        return;
    if (w && w->nops > 0)
        work_text(w, w->nops - 1, text, sizeof(text));
    printf("Bail out! workload %" PRIu64 ", %s: %s\n", w ? w->seed : 0, text, what);
    exit(1);
}

uint32_t work_tile(unsigned slot)
{
    return tiles[slot];
}

unsigned work_nsectors_of(const struct geometry *geo, unsigned slot)
{
    return tiles[slot] < geo->ntiles ? (unsigned)(geometry_tile_len(geo, tiles[slot]) / WORK_SECTOR)
                                     : 0;
}

unsigned work_nsectors(const struct work *w, unsigned slot)
{
    return work_nsectors_of(&w->geo, slot);
}

unsigned work_some_slot(const struct geometry *geo, uint64_t *random)
{
    unsigned n = WORK_SLOTS;

    while (tiles[n - 1] >= geo->ntiles)
        n--;
    return (unsigned)random_below(random, n);
}

bool work_may_have(const struct work *w, uint64_t size, size_t q)
{
    bool old = true, grown = false;

    for (unsigned i = 0; i < w->nops; i++) {
        if (w->ops[i].kind != WORK_RESIZE || !work_begun(w, i, q))
            continue;
        grown = grown || size == w->ops[i].off;
        old = old && !work_returned(w, i, q);
    }
    return grown || (old && size == w->size);
}

uint64_t work_size_after(const struct work *w, unsigned op)
{
    uint64_t size = w->size;

    for (unsigned i = 0; i <= op && i < w->nops; i++)
        size = w->ops[i].kind == WORK_RESIZE && w->ops[i].ended ? w->ops[i].off : size;
    return size;
}

unsigned work_first(unsigned slot)
{
    return slot * WORK_SECTORS;
}

uint64_t work_hash(const void *sector)
{
    return random_hash(0, sector, WORK_SECTOR);
}

static unsigned nlayouts(void)
{
    unsigned n = 0;

    while (layouts_nth(n))
        n++;
    return n;
}

const struct layout *work_layout(uint64_t seed)
{
    return layouts_nth(seed % nlayouts());
}

uint64_t work_head(const struct work *w)
{
    switch (w->layout->head) {
    case LAYOUT_BARE:
        return 0;
    case LAYOUT_PICTURE:
        return FORMAT_JPEG_ALIGN;
    case LAYOUT_TAIL:
        break;
    }
    return HEAD;
}

/* --- chance ----------------------------------------------------------------- */

/* Where the neighbours of the slot, if they are in use, end. */
static uint64_t run_end(const struct work *w, unsigned slot)
{
    while (slot + 1 < WORK_SLOTS && tiles[slot + 1] == tiles[slot] + 1 &&
           tiles[slot + 1] < w->geo.ntiles)
        slot++;
    return (uint64_t)tiles[slot] * WORK_TILE + geometry_tile_len(&w->geo, tiles[slot]);
}

static void some_range(struct work *w, unsigned slot, uint64_t *off, uint64_t *len)
{
    uint64_t *r = &w->random, end = run_end(w, slot);

    *off = (uint64_t)tiles[slot] * WORK_TILE;
    *off += random_below(r, work_nsectors(w, slot)) * WORK_SECTOR;
    *len = (1 + random_below(r, WORK_SECTORS)) * WORK_SECTOR;
    if (!w->whole && random_below(r, 2)) {
        *off += random_below(r, WORK_SECTOR);
        *len = 1 + random_below(r, *len);
    } else if (random_below(r, 8) == 0) {
        *len = 2 * WORK_TILE;
    }
    *len = *off + *len < end ? *len : end - *off;
}

static void zero_something(struct work *w, unsigned slot)
{
    uint64_t start = (uint64_t)tiles[slot] * WORK_TILE;
    uint64_t tile_len = geometry_tile_len(&w->geo, tiles[slot]);
    uint64_t off, len;

    switch (random_below(&w->random, 8)) {
    case 0:
    case 1:
        ops_zero(w, start, tile_len);
        break;
    case 2: /* across tiles that never were */
        len = random_below(&w->random, w->geo.size - start) + WORK_SECTOR;
        ops_zero(w, start, w->whole ? len - len % WORK_SECTOR : len);
        break;
    case 3: /* up to the end */
        off = random_below(&w->random, tile_len);
        off -= w->whole ? off % WORK_SECTOR : 0;
        ops_zero(w, start + off, tile_len - off);
        break;
    default:
        some_range(w, slot, &off, &len);
        ops_zero(w, off, len);
    }
}

static void write_something(struct work *w, unsigned slot)
{
    uint64_t off, len;

    some_range(w, slot, &off, &len);
    ops_write(w, off, len);
}

/* A tile cannot be noted, because a sync fails; the drive is mounted anew and the tile written. */
static void note_badly(struct work *w, unsigned slot)
{
    ops_mark(w);
    ops_write_unnoted(w, (uint64_t)tiles[slot] * WORK_TILE, WORK_SECTOR);
    if (random_below(&w->random, 3) == 0)
        write_something(w, slot);
    ops_close(w);
    ops_open(w);
    write_something(w, slot);
}

/* Dirties more tiles of one set of the cache than it has places. */
static void write_everywhere(struct work *w)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        if (work_nsectors(w, slot))
            write_something(w, slot);
}

/* Beside something else: no flush, which that may wait for. */
static void meanwhile(struct work *w, unsigned slot)
{
    uint64_t off, len;

    switch (random_below(&w->random, 8)) {
    case 0:
        some_range(w, slot, &off, &len);
        ops_allocate(w, off, len);
        break;
    case 1:
    case 2:
        zero_something(w, slot);
        break;
    default:
        write_something(w, slot);
    }
}

static void snapshot_something(struct work *w)
{
    unsigned n = snap_count(w);

    if (n == 0 && random_below(&w->random, 2))
        snap_abandon_new(w);
    if (n < SNAPSHOTS_MAX && random_below(&w->random, n + 1) == 0)
        snap_make(w, meanwhile);
    else if (random_below(&w->random, 3) == 0)
        snap_abandon(w);
    else
        snap_delete(w, meanwhile);
}

static void snapshot_closed(struct work *w)
{
    uint64_t r = random_below(&w->random, 4);

    if (r < 2)
        snap_rollback(w);
    else if (r == 2 && snap_count(w) < SNAPSHOTS_MAX)
        snap_make(w, NULL);
    else
        snap_delete(w, NULL);
}

static bool is_shuffled(const struct work *w)
{
    return w->layout->head == LAYOUT_PICTURE;
}

/* Of a closed archive. */
static void shuffle(struct work *w)
{
    shuffle_tiles(w);
    if (!w->ops[w->nops - 1].shuffle->index_spoilt && random_below(&w->random, 2))
        ops_mark_shuffled(w);
    shuffle_undo(w);
}

/* What is written at once may be lost, but is not to be found in an image of the old size. */
static void grow_image(struct work *w)
{
    unsigned last = WORK_SLOTS - 2;

    if (w->layout->short_tiles && random_below(&w->random, 2))
        ops_lengthen(w, work_tile(last));
    ops_resize(w,
               (uint64_t)(GROWN - 1) * WORK_TILE + (layouts_original(w->layout) ? 0 : WORK_SECTOR));
    write_something(w, WORK_SLOTS - 1);
    if (random_below(&w->random, 2))
        write_something(w, last);
    if (random_below(&w->random, 2))
        ops_flush(w);
}

static void do_something(struct work *w)
{
    unsigned slot = work_some_slot(&w->geo, &w->random);
    uint64_t r = random_below(&w->random, 100), off, len;

    some_range(w, slot, &off, &len);
    if (r < 42) {
        write_something(w, slot);
    } else if (r < 60) {
        zero_something(w, slot);
    } else if (r < 65) {
        ops_allocate(w, off, len);
    } else if (r < 72) {
        ops_read(w, off, len);
    } else if (r < 86) {
        ops_flush(w);
    } else if (r < 92) {
        ops_mark(w);
    } else if (r < 96) {
        note_badly(w, slot);
    } else if (r < 98 && w->geo.size == w->size) {
        grow_image(w);
    } else {
        write_everywhere(w);
    }
    if (random_below(&w->random, COMPACTS) == 0)
        ops_compact(w);
    if (w->snapshots && random_below(&w->random, SNAPSHOTS) == 0)
        snapshot_something(w);
    if (random_below(&w->random, SESSIONS) == 0) {
        bool manifest;

        ops_close(w);
        if (random_below(&w->random, 2))
            ops_mark_closed(w);
        if (w->snapshots && random_below(&w->random, 2))
            snapshot_closed(w);
        manifest = !is_shuffled(w) && random_below(&w->random, 2);
        if (is_shuffled(w))
            shuffle(w);
        else if (manifest)
            ops_manifest(w);
        ops_open(w);
    }
}

/* What is seldom done otherwise is done once. */
static void change_closed(struct work *w)
{
    ops_close(w);
    if (w->snapshots && snap_count(w) == 0)
        snap_make(w, NULL);
    else if (w->snapshots)
        snap_rollback(w);
    if (is_shuffled(w))
        shuffle(w);
    else
        ops_manifest(w);
    ops_open(w);
}

static void do_many(struct work *w, unsigned nops)
{
    unsigned until = w->nops + nops;

    while (w->nops < until)
        do_something(w);
}

/* --- to the end, and on ----------------------------------------------------- */

/* Unrecorded: this process goes on, whatever happened to the other. */
static void stop(struct work *w)
{
    trace_stop(&w->trace);
    if (w->is_open)
        work_must(drive_close(&w->drive) == 0, w, "cannot be closed");
    w->is_open = false;
    scratch_remove(w->base);
}

static void move(struct work *w)
{
    scratch_make(w->base, sizeof(w->base));
    snprintf(w->path, sizeof(w->path), "%s/drive.img", w->base);
}

/*
 * Somebody has the word, though the archive was put back to a time before it: so it is with
 * one that is restored from a snapshot.
 */
static void lose_mark(struct work *w, struct work_op *op)
{
    w->lost = grow(w->lost, w->nlost, sizeof(*w->lost));
    w->lost[w->nlost++] = *op;
    op->marked = NULL;
    op->epoch[0] = '\0';
}

/* Operations that had not begun at event q never were. Nor, if undo, those that had not ended. */
static void forget_ops(struct work *w, size_t q, bool undo)
{
    for (unsigned i = 0; i < w->nops; i++) {
        struct work_op *op = &w->ops[i];

        op->ended = undo ? snap_returned(w, i, q) || ops_resized(w, i, q) : work_returned(w, i, q);
        if (op->kind == WORK_MARK && !op->ended && op->epoch[0])
            lose_mark(w, op);
        if (!work_begun(w, i, q) || (undo && !op->ended)) {
            op->kind = WORK_NOTHING;
            op->begin = SIZE_MAX;
        } else if (undo) {
            op->begin = op->end = 0;
        }
    }
}

/* The versions of operations that never were. */
static void forget_versions(struct work *w, size_t q)
{
    for (unsigned i = 0; i < WORK_SLOTS * WORK_SECTORS; i++) {
        struct work_sector *sector = &w->sectors[i];

        while (sector->n > 1 && !work_begun(w, sector->versions[sector->n - 1].op, q))
            sector->n--;
    }
}

/*
 * The program is killed after some event, or the power cut; then it starts
 * again and goes on. After a kill all that it did is there to be read, though
 * not on disk; after a power cut what the disk had is there, all of it on disk.
 */
static void interrupt(struct work *w, bool power)
{
    struct disk_choice choice = {DISK_TORN, w->seed};
    size_t opened = w->first, q;
    struct disk *disk, *left;
    struct work_op *rolled;
    bool shuffled;

    for (unsigned i = 0; i < w->nops && opened == w->first; i++)
        opened = w->ops[i].kind == WORK_OPEN ? w->ops[i].end : opened;
    q = opened + random_below(&w->random, w->trace.nevents - opened);
    while (shuffle_by_hand(w, q))
        q++;
    shuffled = shuffle_at(w, q) != NULL;
    rolled = rollback_at(w, q);
    stop(w);
    disk = disk_new(&w->trace);
    while (disk_position(disk) < q)
        disk_advance(disk);
    left = power ? disk_cut(disk, &choice) : disk_seen(disk);
    move(w);
    disk_write(left, w->base);
    disk_free(left);
    disk_free(disk);
    forget_versions(w, q);
    forget_ops(w, q, power);
    if (power) {
        trace_free(&w->trace);
        trace_start(&w->trace, w->base);
        w->first = w->trace.nevents;
    } else {
        trace_continue(&w->trace, q, w->base);
    }
    if (shuffled)
        shuffle_undo(w);
    if (rolled)
        rollback_again(w, rolled, power);
    ops_open(w);
    w->geo = w->drive.archive.index.geometry;
    ops_look(w, power);
}

struct work *work_run(uint64_t seed, unsigned nops)
{
    struct work *w = calloc(1, sizeof(*w));
    bool original, twice;

    work_must(w != NULL, w, "no memory");
    w->seed = w->random = seed;
    w->layout = work_layout(seed);
    w->snapshots = seed >= nlayouts() && seed % 3 > 0;
    original = layouts_original(w->layout);
    /* Where the sectors of a tile are none of its file, none is written at once. */
    w->whole = random_below(&w->random, 4) > 0 && work_head(w) % WORK_SECTOR == 0;
    twice = random_below(&w->random, 2);
    work_must(geometry_init(&w->geo, original ? (uint64_t)NTILES * WORK_TILE : SIZE, WORK_TILE) ==
                  0,
              w, "no geometry");
    w->size = w->geo.size;
    for (unsigned i = 0; i < WORK_SLOTS * WORK_SECTORS; i++)
        ops_set_version(&w->sectors[i], 0);
    move(w);
    /* Format 1 is not made by this program. */
    if (original)
        work_must(layouts_make_original(w->path, w->layout, &w->geo, WORK_PLANTED, HEAD) == 0, w,
                  "cannot be made");
    trace_start(&w->trace, w->base);
    w->first = w->trace.nevents;
    if (!original)
        ops_create(w);
    if (w->layout == &layout_bundle)
        ops_use_on_mac(w);
    if (w->snapshots && random_below(&w->random, 3) == 0)
        snap_abandon_new(w);
    if (w->snapshots && random_below(&w->random, 3) == 0)
        snap_make(w, NULL);
    ops_open(w);
    do_many(w, twice ? nops / 2 : nops);
    if (is_shuffled(w) || w->snapshots)
        change_closed(w);
    if (twice) {
        interrupt(w, random_below(&w->random, 2));
        do_many(w, nops / 2);
    }
    if (random_below(&w->random, 2))
        ops_close(w);
    stop(w);
    return w;
}

void work_free(struct work *w)
{
    for (unsigned i = 0; i < w->nops; i++) {
        free(w->ops[i].marked);
        free(w->ops[i].shuffle);
    }
    for (unsigned i = 0; i < WORK_SLOTS * WORK_SECTORS; i++)
        free(w->sectors[i].versions);
    for (unsigned i = 0; i < w->nlost; i++)
        free(w->lost[i].marked);
    free(w->lost);
    free(w->ops);
    trace_free(&w->trace);
    free(w);
}

bool work_begun(const struct work *w, unsigned op, size_t q)
{
    return w->ops[op].begin < q;
}

bool work_returned(const struct work *w, unsigned op, size_t q)
{
    return w->ops[op].ended && w->ops[op].end < q;
}

const char *work_text(const struct work *w, unsigned op, char *text, size_t cap)
{
    static const char *const names[] = {"nothing",
                                        "create",
                                        "use on a Mac",
                                        "open",
                                        "read",
                                        "write",
                                        "zero",
                                        "allocate",
                                        "flush",
                                        "mark",
                                        "close",
                                        "shuffle",
                                        "reindex",
                                        "make snapshot",
                                        "delete snapshot",
                                        "compact",
                                        "lengthen",
                                        "resize",
                                        "roll back to snapshot",
                                        "manifest"};
    const struct work_op *o = &w->ops[op];

    snprintf(text, cap, "operation %u: %s", op, names[o->kind]);
    if (o->len > 0)
        snprintf(text + strlen(text), cap - strlen(text),
                 " %" PRIu64 " bytes at %" PRIu64 " (tile %" PRIu64 ")", o->len, o->off,
                 o->off / WORK_TILE);
    if (o->kind == WORK_SNAPSHOT || o->kind == WORK_UNSNAPSHOT || o->kind == WORK_ROLLBACK)
        snprintf(text + strlen(text), cap - strlen(text), " s%" PRIu64,
                 o->kind == WORK_SNAPSHOT ? op : o->off);
    if (o->epoch[0])
        snprintf(text + strlen(text), cap - strlen(text), " %s", o->epoch);
    return text;
}
