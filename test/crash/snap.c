/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What happens while a snapshot is taken is told by the store below the image, which is
 * watched for that time. There is one thread: whatever is written meanwhile is written from
 * in there.
 */
#include "snap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../random.h"
#include "drive/snapshot.h"
#include "image/impl.h"
#include "ops.h"
#include "rollback.h"

#define MEANWHILE 3 /* operations at a time, at most */

static struct running {
    struct work *work;
    unsigned op;
    snap_meanwhile *meanwhile;
    unsigned slot; /* which is written more often than others */
    bool inside;   /* what is written meanwhile */
    const struct store_ops *store;
} running;

/* Operations within the one that runs. */
static void do_meanwhile(void)
{
    struct work *w = running.work;

    if (running.inside || !running.meanwhile)
        return;
    running.inside = true;
    for (uint64_t n = random_below(&w->random, MEANWHILE + 1); n > 0; n--) {
        unsigned slot = (unsigned)random_below(&w->random, 3 * WORK_SLOTS);

        running.meanwhile(w, slot < WORK_SLOTS && work_nsectors(w, slot) ? slot : running.slot);
        w->trace.op = running.op;
    }
    running.inside = false;
}

static void progress(void *arg, uint32_t tile, uint32_t ntiles)
{
    if (random_below(&running.work->random, WORK_SLOTS) == 0)
        do_meanwhile();
}

/* --- the store while a snapshot is taken ------------------------------------------------------ */

static int flush(struct store *st, uint32_t tile)
{
    do_meanwhile();
    return running.store->flush(st, tile);
}

static int flush_entries(struct store *st)
{
    do_meanwhile();
    return running.store->flush_entries(st);
}

/* The instant. */
static void hold(struct store *st)
{
    struct work *w = running.work;

    running.store->snapshot_hold(st);
    ops_remember(w, w->ops[running.op].marked);
}

static int take(struct work *w, uint64_t *stalled)
{
    struct store *store = w->drive.img->store;
    struct store_ops watched = *store->ops;
    int rc;

    running.store = store->ops;
    watched.flush = flush;
    watched.flush_entries = flush_entries;
    watched.snapshot_hold = hold;
    store->ops = &watched;
    rc = image_snapshot_take(w->drive.img, stalled);
    store->ops = running.store;
    return rc;
}

static int step(void *arg, enum snapshot_step what, uint64_t *stalled)
{
    struct work *w = arg;

    switch (what) {
    case SNAPSHOT_BEGIN:
        return image_snapshot_begin(w->drive.img);
    case SNAPSHOT_TAKE:
        return take(w, stalled);
    case SNAPSHOT_LINKS_BEGIN:
        image_snapshot_links_begin(w->drive.img);
        do_meanwhile();
        break;
    case SNAPSHOT_LINKS_END:
        image_snapshot_links_end(w->drive.img);
        break;
    }
    return 0;
}

/* --- operations ------------------------------------------------------------------------------- */

static void begin(struct work *w, enum work_kind kind, unsigned which, snap_meanwhile *meanwhile)
{
    running = (struct running){.work = w, .op = w->nops, .meanwhile = meanwhile};
    running.slot = work_some_slot(&w->geo, &w->random);
    ops_begin(w, kind, which, 0);
}

/* An archive that nobody has open is opened here, and one that is open is not opened anew. */
static const struct archive *archive_of(struct work *w, snap_meanwhile *meanwhile,
                                        struct archive *closed)
{
    if (meanwhile)
        return &w->drive.archive;
    work_must(archive_open(w->path, closed) == 0, w, "cannot be opened");
    return closed;
}

void snap_make(struct work *w, snap_meanwhile *meanwhile)
{
    const struct snapshot_writer writer = {step, w};
    struct archive closed = {.dirfd = -1};
    struct snapshot_made made;
    char name[16];
    int rc;

    begin(w, WORK_SNAPSHOT, 0, meanwhile);
    snprintf(name, sizeof(name), "s%u", running.op);
    w->ops[running.op].marked = ops_hashes(w);
    rc = snapshot_create(archive_of(w, meanwhile, &closed), name, meanwhile ? &writer : NULL,
                         progress, NULL, &made);
    archive_close(&closed);
    ops_end_one(w, running.op, rc);
}

static bool is_there(const struct work *w, unsigned op)
{
    char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/" FORMAT_SNAPSHOTS "/s%u", w->path, op);
    return access(path, F_OK) == 0;
}

/* By chance one of those that are there. False: there are none. */
static bool choose(struct work *w, unsigned *op)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < w->nops; i++)
        if (w->ops[i].kind == WORK_SNAPSHOT && is_there(w, i) && random_below(&w->random, ++n) == 0)
            *op = i;
    return n > 0;
}

unsigned snap_count(const struct work *w)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->nops; i++)
        n += w->ops[i].kind == WORK_SNAPSHOT && is_there(w, i);
    return n;
}

void snap_delete(struct work *w, snap_meanwhile *meanwhile)
{
    const struct snapshot_writer writer = {step, w};
    struct archive closed = {.dirfd = -1};
    char name[16];
    unsigned op;
    int rc;

    if (!choose(w, &op))
        return;
    begin(w, WORK_UNSNAPSHOT, op, meanwhile);
    snprintf(name, sizeof(name), "s%u", op);
    rc = snapshot_delete(archive_of(w, meanwhile, &closed), name, meanwhile ? &writer : NULL);
    archive_close(&closed);
    ops_end_one(w, running.op, rc);
}

void snap_abandon(struct work *w)
{
    char from[PATH_MAX + 64], gone[PATH_MAX + 64];
    unsigned op;
    int rc;

    snprintf(gone, sizeof(gone), "%s/" FORMAT_SNAPSHOTS "/" FORMAT_SNAPSHOT_GONE, w->path);
    if (access(gone, F_OK) == 0 || !choose(w, &op))
        return;
    begin(w, WORK_UNSNAPSHOT, op, NULL);
    snprintf(from, sizeof(from), "%s/" FORMAT_SNAPSHOTS "/s%u", w->path, op);
    rc = renameat(AT_FDCWD, from, AT_FDCWD, gone) ? -errno : 0;
    ops_end_one(w, running.op, rc);
}

void snap_rollback(struct work *w)
{
    unsigned op;

    /* One that gives the image another size is tested by test/e2e/resize.bats. */
    if (choose(w, &op) && work_size_after(w, op) == w->geo.size)
        rollback_make(w, op);
}

/* In the order in which they are made, as far as they are not there. */
static void make_dirs(struct work *w, unsigned n)
{
    static const char *const dirs[] = {FORMAT_PRIVATE_DIR, FORMAT_SNAPSHOTS,
                                       FORMAT_SNAPSHOTS "/" FORMAT_SNAPSHOT_NEW};

    for (unsigned i = 0; i < n; i++) {
        char path[PATH_MAX + 64];

        snprintf(path, sizeof(path), "%s/%s", w->path, dirs[i]);
        work_must(mkdirat(AT_FDCWD, path, 0755) == 0 || errno == EEXIST, w, path);
    }
}

void snap_abandon_new(struct work *w)
{
    begin(w, WORK_SNAPSHOT, 0, NULL);
    make_dirs(w, 1 + (unsigned)random_below(&w->random, 3));
    trace_end(&w->trace, running.op);
}

/* --- afterwards ------------------------------------------------------------------------------- */

bool snap_parse(const struct work *w, const char *name, unsigned *op)
{
    char again[16] = "";

    if (sscanf(name, "s%u", op) != 1 || *op >= w->nops)
        return false;
    snprintf(again, sizeof(again), "s%u", *op);
    return strcmp(name, again) == 0 && w->ops[*op].kind == WORK_SNAPSHOT;
}

bool snap_returned(const struct work *w, unsigned op, size_t q)
{
    switch (w->ops[op].kind) {
    case WORK_SNAPSHOT:
        return work_begun(w, op, q) && is_there(w, op);
    case WORK_UNSNAPSHOT:
        return work_begun(w, op, q) && !is_there(w, (unsigned)w->ops[op].off);
    default:
        return work_returned(w, op, q);
    }
}
