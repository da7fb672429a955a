/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rollback.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../sys/said.h"
#include "drive/snapshot.h"
#include "format/format.h"
#include "meanwhile.h"
#include "ops.h"
#include "store/dir.h"

static void name_of(unsigned op, char name[16])
{
    snprintf(name, 16, "s%u", op);
}

/* --- what an archive holds -------------------------------------------------------------------- */

/* Sector i of all. */
typedef void met_sector(void *arg, unsigned i, const unsigned char *bytes);

static int read_sectors(const struct work *w, struct image *img, met_sector *met, void *arg)
{
    unsigned char bytes[WORK_TILE];

    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        unsigned n = work_nsectors(w, slot);
        int rc = n ? image_read(img, (uint64_t)work_tile(slot) * WORK_TILE, bytes,
                                (size_t)n * WORK_SECTOR)
                   : 0; /* the image has no such tile yet */

        if (rc)
            return rc;
        for (unsigned i = 0; i < n; i++)
            met(arg, work_first(slot) + i, bytes + (size_t)i * WORK_SECTOR);
    }
    return 0;
}

/* 0 or -errno, also of opening it. */
static int read_archive(const struct work *w, const char *path, met_sector *met, void *arg)
{
    const struct dir_config config = {.read_only = true, .max_open = WORK_MAX_OPEN};
    struct archive archive;
    struct store *store;
    struct image *img;
    int rc = archive_open(path, &archive);

    if (rc)
        return rc;
    rc = dir_open(&archive, &config, &store);
    if (!rc)
        rc = image_open(store, true, &img);
    if (!rc) {
        rc = read_sectors(w, img, met, arg);
        (void)!image_close(img);
    }
    archive_close(&archive);
    return rc;
}

/* How many sectors are others than were expected, before and after. */
struct comparing {
    const uint64_t *before, *after;
    unsigned not_before, not_after;
};

static void compare(void *arg, unsigned i, const unsigned char *bytes)
{
    struct comparing *comparing = arg;
    uint64_t hash = work_hash(bytes);

    comparing->not_before += hash != comparing->before[i];
    comparing->not_after += hash != comparing->after[i];
}

/* --- the operation ---------------------------------------------------------------------------- */

static void expect(void *arg, unsigned i, const unsigned char *bytes)
{
    struct work *w = arg;
    struct work_sector *sector = &w->sectors[i];

    work_must(work_hash(bytes) == w->ops[w->ops[w->nops - 1].off].marked[i], w,
              "the snapshot has changed");
    memcpy(sector->now, bytes, WORK_SECTOR);
    ops_set_version(sector, w->nops - 1);
}

static int roll_back(const char *path, unsigned snapshot)
{
    struct snapshot_rolled rolled;
    struct archive archive;
    char name[16];
    int rc = archive_open_dir(path, &archive);

    name_of(snapshot, name);
    if (!rc)
        rc = archive_read_between(&archive);
    if (!rc)
        rc = snapshot_rollback(&archive, name, &rolled);
    archive_close(&archive);
    return rc;
}

static void roll(struct work *w, unsigned snapshot, uint64_t *before)
{
    char path[PATH_MAX + 64];

    ops_begin(w, WORK_ROLLBACK, snapshot, 0)->marked = before;
    snprintf(path, sizeof(path), "%s/" FORMAT_SNAPSHOTS "/s%u", w->path, snapshot);
    work_must(read_archive(w, path, expect, w) == 0, w, "the snapshot cannot be read");
    ops_end(w, roll_back(w->path, snapshot));
}

void rollback_make(struct work *w, unsigned snapshot)
{
    roll(w, snapshot, ops_hashes(w));
}

struct work_op *rollback_at(const struct work *w, size_t q)
{
    struct work_op *op = NULL;

    for (unsigned i = 0; i < w->nops; i++)
        if (w->ops[i].kind == WORK_ROLLBACK && work_begun(w, i, q))
            op = work_returned(w, i, q) ? NULL : &w->ops[i];
    return op;
}

static bool is_refused(const char *path)
{
    struct archive archive;
    int rc = archive_open(path, &archive);

    if (!rc)
        archive_close(&archive);
    return rc == -EBUSY && said("'mosaicfs snapshot rollback' is running, or was interrupted");
}

/* After a power cut it has begun for good, or never was. */
void rollback_again(struct work *w, struct work_op *interrupted, bool power)
{
    uint64_t *before = calloc(WORK_SLOTS * WORK_SECTORS, sizeof(*before));
    unsigned snapshot = (unsigned)interrupted->off;
    bool refused = is_refused(w->path);

    work_must(before && interrupted->marked, w, "no memory");
    memcpy(before, interrupted->marked, WORK_SLOTS * WORK_SECTORS * sizeof(*before));
    if (power && refused) {
        interrupted->kind = WORK_ROLLBACK;
        interrupted->begin = 0;
    }
    if (!power || refused)
        roll(w, snapshot, before);
    else
        free(before);
}

/* --- afterwards ------------------------------------------------------------------------------- */

static bool fails(char *why, size_t cap, const char *what, int rc)
{
    snprintf(why, cap, "%s: %s", what, strerror(-rc));
    return false;
}

/* It is whole: as before the rollback, unless that had begun, or as after it. */
static bool is_whole(const struct work *w, const struct work_op *op, const char *path, bool begun,
                     char *why, size_t cap)
{
    struct comparing comparing = {.before = op->marked, .after = w->ops[op->off].marked};
    int rc = read_archive(w, path, compare, &comparing);

    if (rc)
        return fails(why, cap, "the archive cannot be read", rc);
    if (!comparing.not_after || (!begun && !comparing.not_before))
        return true;
    snprintf(why, cap, "%s a rollback %u sectors are not as in the snapshot, and %u not as before",
             begun ? "after" : "during", comparing.not_after, comparing.not_before);
    return false;
}

bool rollback_recover(const struct work *w, const struct work_op *op, const char *base, char *why,
                      size_t cap)
{
    char path[PATH_MAX];
    int rc;

    snprintf(path, sizeof(path), "%s/drive.img", base);
    if (!is_refused(path))
        return is_whole(w, op, path, false, why, cap);
    rc = meanwhile_open(w, base, FORMAT_ROLLBACK_NAME);
    if (rc != -EBUSY)
        return fails(why, cap, "what waited while a rollback was killed opens the archive", rc);
    rc = roll_back(path, (unsigned)op->off);
    return rc ? fails(why, cap, "the rollback cannot be done again", rc)
              : is_whole(w, op, path, true, why, cap);
}
