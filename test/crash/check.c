/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../random.h"
#include "check_files.h"
#include "check_manifest.h"
#include "check_snapshots.h"
#include "format/format.h"
#include "journal/changes.h"
#include "rollback.h"
#include "shuffle.h"
#include "store/dir.h"

struct state {
    const struct work *work;
    size_t q;
    char path[PATH_MAX]; /* of the archive */
    struct check_place place;
    struct archive archive; /* while it is only looked at */
    struct drive drive;
    struct image *img;                          /* of either */
    struct geometry geo;                        /* that it has */
    struct changes_list before;                 /* the journal as the crash left it */
    unsigned char bytes[WORK_SLOTS][WORK_TILE]; /* what it holds, and later should hold */
};

/* --- the archive itself ----------------------------------------------------- */

/* A directory in which create can begin anew. */
static bool leftover(const struct check_place *p, int dirfd, const char *name)
{
    const struct layout *layout = p->work->layout;
    char tmp[64];

    snprintf(tmp, sizeof(tmp), "%s.tmp", layout->index);
    return strcmp(name, tmp) == 0 ||
           (layout == &layout_bundle &&
            (strcmp(name, "bands") == 0 || strcmp(name, FORMAT_BUNDLE_TOKEN) == 0)) ||
           check_broken(&p->why, "'%s' is there, though create was not done", name);
}

/* There is an archive, or create has not returned and makes one now. */
static bool check_created(struct state *s)
{
    const struct work *w = s->work;
    struct index index;
    int rc;

    if (w->ops[0].kind != WORK_CREATE || work_returned(w, 0, s->q) ||
        check_files_has(&s->place, w->layout->index))
        return true;
    if (!check_each_name(&s->place, s->path, leftover))
        return false;
    work_index(w, &index);
    rc = archive_create(s->path, &index);
    return !rc || check_broken(&s->place.why, "create does not work again: %s", strerror(-rc));
}

/* What a Mac knew of a band is gone before the band changes: there was none. */
static bool check_maps(struct state *s)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        char band[LAYOUT_PATH], map[LAYOUT_PATH];

        s->work->layout->tile_path(work_tile(slot), band);
        snprintf(map, sizeof(map), "%s%s", s->work->layout->maps, strchr(band, '/'));
        if (check_files_has(&s->place, band) && check_files_has(&s->place, map))
            return check_broken(&s->place.why, "'%s' is there, and so is '%s'", band, map);
    }
    return true;
}

static bool is_made(const struct state *s)
{
    return s->work->ops[0].kind != WORK_CREATE || work_returned(s->work, 0, s->q);
}

static bool snapshots(struct state *s)
{
    return check_snapshots(&s->place, s->q);
}

static bool check_index(struct state *s)
{
    const struct geometry *geo = &s->archive.index.geometry;
    int rc = archive_open(s->path, &s->archive);

    if (rc)
        return check_broken(&s->place.why, "the archive cannot be opened: %s", strerror(-rc));
    if (s->archive.index.layout != s->work->layout)
        return check_broken(&s->place.why, "the archive has another layout");
    if (s->archive.head && s->archive.head != work_head(s->work))
        return check_broken(&s->place.why, "the tiles begin elsewhere");
    if (!work_may_have(s->work, geo->size, s->q) || geo->tile_size != s->work->geo.tile_size)
        return check_broken(&s->place.why, "the archive has a geometry that it must not have");
    s->geo = *geo;
    return s->work->layout != &layout_bundle ||
           (check_files_bundle(&s->place, is_made(s)) && check_maps(s));
}

/* --- bytes ------------------------------------------------------------------ */

/* The last operation that had begun, and the last one whose flush had returned. */
static void bounds(const struct state *s, unsigned *begun, unsigned *flushed)
{
    const struct work *w = s->work;

    *begun = *flushed = 0;
    for (unsigned i = 0; i < w->nops; i++) {
        enum work_kind kind = w->ops[i].kind;

        if (work_begun(w, i, s->q))
            *begun = i;
        if (work_returned(w, i, s->q) &&
            (kind == WORK_FLUSH || kind == WORK_MARK || kind == WORK_CLOSE))
            *flushed = i;
        if (kind == WORK_ROLLBACK && work_returned(w, i, s->q))
            *flushed = i + 1; /* what it has done itself, too */
    }
}

/* A version from first to last - 1 that is the sector; last: there is none. */
static size_t find_version(const struct work_sector *sector, const unsigned char *bytes,
                           size_t first, size_t last)
{
    while (first < last && memcmp(sector->versions[first].bytes, bytes, WORK_SECTOR) != 0)
        first++;
    return first;
}

/* Each byte is in one of those versions. */
static bool is_mixture(const struct work_sector *sector, const unsigned char *bytes, size_t first,
                       size_t last)
{
    for (size_t i = 0; i < WORK_SECTOR; i++) {
        size_t v = first;

        while (v < last && sector->versions[v].bytes[i] != bytes[i])
            v++;
        if (v == last)
            return false;
    }
    return true;
}

/*
 * Who writes whole sectors finds whole sectors. Who writes parts of them may
 * find a sector cut where the file ended before the write.
 */
static bool check_sector(struct state *s, unsigned slot, unsigned i, unsigned begun,
                         unsigned flushed)
{
    const struct work_sector *sector = &s->work->sectors[work_first(slot) + i];
    const unsigned char *bytes = s->bytes[slot] + (size_t)i * WORK_SECTOR;
    size_t base = 0, n = 0, old;

    for (; n < sector->n && sector->versions[n].op <= begun; n++)
        base = sector->versions[n].op < flushed ? n : base;
    if (find_version(sector, bytes, base, n) < n ||
        (!s->work->whole && is_mixture(sector, bytes, base, n)))
        return true;
    old = find_version(sector, bytes, 0, base);
    if (old == base)
        return check_broken(&s->place.why, "tile %" PRIu32 ", sector %u holds what nobody wrote",
                            work_tile(slot), i);
    return check_broken(
        &s->place.why,
        "tile %" PRIu32 ", sector %u is as operation %u left it, though operation %u "
        "changed it and %u flushed it",
        work_tile(slot), i, sector->versions[old].op, sector->versions[base].op, flushed);
}

static bool read_all(struct state *s)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        unsigned n = work_nsectors_of(&s->geo, slot);
        int rc = n ? image_read(s->img, (uint64_t)work_tile(slot) * WORK_TILE, s->bytes[slot],
                                n * WORK_SECTOR)
                   : 0;

        if (rc)
            return check_broken(&s->place.why, "tile %" PRIu32 " cannot be read: %s",
                                work_tile(slot), strerror(-rc));
    }
    return true;
}

static bool check_bytes(struct state *s)
{
    unsigned begun, flushed;

    if (!read_all(s))
        return false;
    bounds(s, &begun, &flushed);
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        for (unsigned i = 0; i < work_nsectors_of(&s->geo, slot); i++)
            if (!check_sector(s, slot, i, begun, flushed))
                return false;
    return true;
}

/* --- the journal ------------------------------------------------------------ */

static bool differs(const struct state *s, const struct work_op *mark, unsigned slot)
{
    for (unsigned i = 0; i < work_nsectors_of(&s->geo, slot); i++)
        if (mark->marked[work_first(slot) + i] !=
            work_hash(s->bytes[slot] + (size_t)i * WORK_SECTOR))
            return true;
    return false;
}

/* lost: of a time that never was, so the journal need not know it. */
static bool check_mark(struct state *s, const struct changes_list *list, const struct work_op *mark,
                       bool lost)
{
    struct journal_word word;

    if (journal_parse_epoch(mark->epoch, &word))
        return check_broken(&s->place.why, "mark told a strange epoch '%s'", mark->epoch);
    if (lost && !changes_read_knows(list, &word))
        return true;
    if (list->unusable)
        return check_broken(&s->place.why, "the journal is unusable: %s", list->unusable);
    if (!changes_read_knows(list, &word) || list->damaged)
        return check_broken(&s->place.why, "the journal does not know epoch %s any more",
                            mark->epoch);
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        if (changes_read_cell(list, work_tile(slot)) < word.mark.epoch && differs(s, mark, slot))
            return check_broken(&s->place.why,
                                "tile %" PRIu32 " changed since epoch %s and is not listed",
                                work_tile(slot), mark->epoch);
    return true;
}

static bool check_marks(struct state *s, const struct changes_list *list)
{
    const struct work *w = s->work;

    for (unsigned i = 0; i < w->nops; i++)
        if (w->ops[i].kind == WORK_MARK && work_returned(w, i, s->q) &&
            !check_mark(s, list, &w->ops[i], false))
            return false;
    for (unsigned i = 0; i < w->nlost; i++)
        if (!check_mark(s, list, &w->lost[i], true))
            return false;
    return true;
}

static bool check_journal(struct state *s)
{
    struct changes_list list;
    int rc = changes_read(&s->drive.archive, true, &list);
    bool ok = rc ? check_broken(&s->place.why, "the journal cannot be read: %s", strerror(-rc))
                 : check_marks(s, &list);

    changes_read_release(&list);
    return ok;
}

/* --- afterwards ------------------------------------------------------------- */

static int change(struct state *s, uint64_t *random)
{
    unsigned slot = work_some_slot(&s->geo, random);
    unsigned n = work_nsectors_of(&s->geo, slot);
    unsigned i = (unsigned)random_below(random, n);
    uint64_t start = (uint64_t)work_tile(slot) * WORK_TILE;
    uint64_t off = (uint64_t)i * WORK_SECTOR;

    if (random_below(random, 3) == 0) {
        i = i > n / 2 ? 0 : i; /* now and then the whole tile */
        memset(s->bytes[slot] + (size_t)i * WORK_SECTOR, 0, (n - i) * WORK_SECTOR);
        return image_zero(s->img, start + (uint64_t)i * WORK_SECTOR, (n - i) * WORK_SECTOR);
    }
    memset(s->bytes[slot] + off, (int)random_below(random, 256), WORK_SECTOR);
    return image_write(s->img, start + off, s->bytes[slot] + off, WORK_SECTOR);
}

static bool check_use(struct state *s)
{
    uint64_t random = s->q;
    int rc = 0;

    for (int i = 0; !rc && i < 5; i++)
        rc = change(s, &random);
    if (!rc)
        rc = image_flush(s->img);
    return !rc || check_broken(&s->place.why, "the archive cannot be written: %s", strerror(-rc));
}

static bool same_as_read(struct state *s)
{
    unsigned char *should = malloc(sizeof(s->bytes));
    bool same;

    if (!should)
        return check_broken(&s->place.why, "out of memory");
    memcpy(should, s->bytes, sizeof(s->bytes));
    same = read_all(s);
    if (same && memcmp(should, s->bytes, sizeof(s->bytes)) != 0)
        same = check_broken(&s->place.why, "what was written after the crash is not read back");
    free(should);
    return same;
}

static bool check_again(struct state *s)
{
    const struct dir_config config = {.read_only = true, .max_open = WORK_MAX_OPEN};
    struct store *store;
    bool ok;
    int rc = archive_open(s->path, &s->archive);

    if (rc)
        return check_broken(&s->place.why, "the archive cannot be opened again: %s", strerror(-rc));
    rc = dir_open(&s->archive, &config, &store);
    if (!rc)
        rc = image_open(store, true, &s->img);
    if (rc) {
        archive_close(&s->archive);
        return check_broken(&s->place.why, "the image cannot be opened again: %s", strerror(-rc));
    }
    ok = same_as_read(s) && check_files(&s->place) && snapshots(s);
    (void)!image_close(s->img);
    archive_close(&s->archive);
    return ok;
}

/* What can be seen without changing anything. */
static bool check_untouched(struct state *s)
{
    bool ok = check_created(s) && check_index(s);
    int rc;

    if (!ok)
        return false;
    ok = check_files(&s->place) && snapshots(s) && check_manifest(&s->place, &s->archive, s->q);
    rc = changes_read(&s->archive, true, &s->before);
    if (ok && rc)
        ok = check_broken(&s->place.why, "the journal cannot be read: %s", strerror(-rc));
    archive_close(&s->archive);
    return ok;
}

static bool check_open(struct state *s)
{
    int rc = work_open_drive(s->work, s->path, DRIVE_IMAGE, &s->drive);
    bool ok;

    if (rc)
        return check_broken(&s->place.why, "the archive cannot be taken: %s", strerror(-rc));
    s->img = s->drive.img;
    ok = check_bytes(s) && check_marks(s, &s->before) && check_journal(s) && check_use(s) &&
         check_journal(s);
    rc = drive_close(&s->drive);
    return ok &&
           (!rc || check_broken(&s->place.why, "the image cannot be closed: %s", strerror(-rc)));
}

bool check(const struct work *work, size_t q, const char *base, char *why, size_t cap)
{
    const struct work_op *shuffle = shuffle_at(work, q), *rolled = rollback_at(work, q);
    struct state *s = calloc(1, sizeof(*s));
    bool ok;

    if (!s)
        return false;
    *s = (struct state){.work = work, .q = q};
    s->place = (struct check_place){.work = work, .path = s->path, .why = {why, cap}};
    snprintf(s->path, sizeof(s->path), "%s/drive.img", base);
    ok = (!shuffle || shuffle_recover(work, shuffle, base, why, cap)) &&
         (!rolled || rollback_recover(work, rolled, base, why, cap)) && check_untouched(s) &&
         check_open(s) && check_again(s);
    changes_read_release(&s->before);
    free(s);
    return ok;
}
