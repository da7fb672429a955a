/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../random.h"
#include "base/compiler.h"
#include "format/format.h"
#include "journal/changes.h"
#include "shuffle.h"
#include "store/dir.h"

struct state {
    const struct work *work;
    size_t q;
    char path[PATH_MAX];    /* of the archive */
    struct archive archive; /* while it is only looked at */
    struct drive drive;
    struct image *img;                          /* of either */
    struct changes_list before;                 /* the journal as the crash left it */
    unsigned char bytes[WORK_SLOTS][WORK_TILE]; /* what it holds, and later should hold */
    char *why;
    size_t cap;
};

static bool PRINTF(2, 3) broken(struct state *s, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(s->why, s->cap, fmt, args);
    va_end(args);
    return false;
}

/* --- files ------------------------------------------------------------------ */

/* Calls fn with each name in the directory path until it says false. */
static bool each_name(struct state *s, const char *path,
                      bool (*fn)(struct state *s, int dirfd, const char *name))
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool ok = true;

    if (!dir)
        return errno == ENOENT || broken(s, "cannot list '%s': %s", path, strerror(errno));
    while (ok && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            ok = fn(s, dirfd(dir), entry->d_name);
    closedir(dir);
    return ok;
}

/* That name, or that of a temporary file for it. */
static bool is_or_becomes(const char *name, const char *of)
{
    size_t len = of ? strlen(of) : 0;

    return len && strncmp(name, of, len) == 0 && (!name[len] || strcmp(name + len, ".tmp") == 0);
}

static bool is_folder(const struct layout *layout, const char *name)
{
    uint32_t folder;

    return layout->folder_number(name, &folder) && folder < 2;
}

/* What stands in the archive's directory. */
static bool root_name(struct state *s, int dirfd, const char *name)
{
    const struct layout *layout = s->work->layout;

    return is_or_becomes(name, layout->index) || is_or_becomes(name, layout->spare_index) ||
           (layout == &layout_bundle &&
            (strcmp(name, FORMAT_BUNDLE_TOKEN) == 0 || strcmp(name, FORMAT_BUNDLE_LOCK) == 0)) ||
           (layout->maps && strcmp(name, layout->maps) == 0) ||
           strcmp(name, FORMAT_PRIVATE_DIR) == 0 || is_folder(layout, name) ||
           broken(s, "a strange file '%s'", name);
}

static bool private_name(struct state *s, int dirfd, const char *name)
{
    return is_or_becomes(name, "lock") || is_or_becomes(name, "spare") ||
           is_or_becomes(name, "journal") || is_or_becomes(name, "cover") ||
           strcmp(name, "lost+found") == 0 || broken(s, "a strange file '.mosaicfs/%s'", name);
}

/* Whether the file holds the tile, or is to hold it. */
static bool is_tile(const struct layout *layout, const char *name, uint32_t tile)
{
    char path[LAYOUT_PATH];

    layout->tile_path(tile, path);
    return is_or_becomes(name, strchr(path, '/') + 1);
}

/* True and *tile when it may be there. */
static bool is_in_use(const struct layout *layout, const char *name, uint32_t *tile)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        if (is_tile(layout, name, *tile = work_tile(slot)))
            return true;
    return layout->head == LAYOUT_TAIL && is_tile(layout, name, *tile = WORK_PLANTED);
}

static bool tile_name(struct state *s, int dirfd, const char *name)
{
    const struct layout *layout = s->work->layout;
    uint64_t head = work_head(s->work), most;
    struct stat st;
    uint32_t tile;

    if (!is_in_use(layout, name, &tile))
        return broken(s, "a strange tile '%s'", name);
    if (strstr(name, ".tmp")) /* until it is whole; others have no need of it */
        return layout->head != LAYOUT_BARE || !layout->short_tiles ||
               broken(s, "a strange file '%s'", name);
    most = head + geometry_tile_len(&s->work->geo, tile);
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
        return broken(s, "tile '%s' is not a regular file", name);
    if ((uint64_t)st.st_size > most)
        return broken(s, "tile '%s' is too long: %" PRIu64, name, (uint64_t)st.st_size);
    if ((uint64_t)st.st_size < (layout->short_tiles ? head : most))
        return broken(s, "tile '%s' is cut short: %" PRIu64, name, (uint64_t)st.st_size);
    return true;
}

static bool check_files(struct state *s)
{
    const struct layout *layout = s->work->layout;
    uint32_t folders = (work_tile(WORK_SLOTS - 1) / layout->tiles_per_folder) + 1;
    char path[PATH_MAX + LAYOUT_PATH], folder[LAYOUT_PATH];

    if (!each_name(s, s->path, root_name))
        return false;
    snprintf(path, sizeof(path), "%s/" FORMAT_PRIVATE_DIR, s->path);
    if (!each_name(s, path, private_name))
        return false;
    for (uint32_t i = 0; i < folders; i++) {
        layout->folder_path(i, folder);
        snprintf(path, sizeof(path), "%s/%s", s->path, folder);
        if (!each_name(s, path, tile_name))
            return false;
    }
    return true;
}

/* --- the archive itself ----------------------------------------------------- */

/* A directory in which create can begin anew. */
static bool leftover(struct state *s, int dirfd, const char *name)
{
    const struct layout *layout = s->work->layout;
    char tmp[64];

    snprintf(tmp, sizeof(tmp), "%s.tmp", layout->index);
    return strcmp(name, tmp) == 0 ||
           (layout == &layout_bundle &&
            (strcmp(name, "bands") == 0 || strcmp(name, FORMAT_BUNDLE_TOKEN) == 0)) ||
           broken(s, "'%s' is there, though create was not done", name);
}

static bool has(const struct state *s, const char *name)
{
    char path[PATH_MAX + LAYOUT_PATH];

    snprintf(path, sizeof(path), "%s/%s", s->path, name);
    return access(path, F_OK) == 0;
}

/* There is an archive, or create has not returned and makes one now. */
static bool check_created(struct state *s)
{
    const struct work *w = s->work;
    struct index index;
    int rc;

    if (w->ops[0].kind != WORK_CREATE || work_returned(w, 0, s->q) || has(s, w->layout->index))
        return true;
    if (!each_name(s, s->path, leftover))
        return false;
    work_index(w, &index);
    rc = archive_create(s->path, &index);
    return !rc || broken(s, "create does not work again: %s", strerror(-rc));
}

/* What a Mac knew of a band is gone before the band changes: there was none. */
static bool check_maps(struct state *s)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        char band[LAYOUT_PATH], map[LAYOUT_PATH];

        s->work->layout->tile_path(work_tile(slot), band);
        snprintf(map, sizeof(map), "%s%s", s->work->layout->maps, strchr(band, '/'));
        if (has(s, band) && has(s, map))
            return broken(s, "'%s' is there, and so is '%s'", band, map);
    }
    return true;
}

/* A Mac wants more than the index. */
static bool check_bundle(struct state *s)
{
    bool made = s->work->ops[0].kind != WORK_CREATE || work_returned(s->work, 0, s->q);

    if (!has(s, FORMAT_BUNDLE_TOKEN) || !has(s, "bands"))
        return broken(s, "the bundle has no token, or no bands");
    return !made || has(s, FORMAT_BUNDLE_SPARE) || broken(s, "the bundle has no spare index");
}

static bool check_index(struct state *s)
{
    const struct geometry *geo = &s->archive.index.geometry;
    int rc = archive_open(s->path, &s->archive);

    if (rc)
        return broken(s, "the archive cannot be opened: %s", strerror(-rc));
    if (s->archive.index.layout != s->work->layout)
        return broken(s, "the archive has another layout");
    if (s->archive.head && s->archive.head != work_head(s->work))
        return broken(s, "the tiles begin elsewhere");
    if (geo->size != s->work->geo.size || geo->tile_size != s->work->geo.tile_size)
        return broken(s, "the archive has another geometry");
    return s->work->layout != &layout_bundle || (check_bundle(s) && check_maps(s));
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
        return broken(s, "tile %" PRIu32 ", sector %u holds what nobody wrote", work_tile(slot), i);
    return broken(s,
                  "tile %" PRIu32 ", sector %u is as operation %u left it, though operation %u "
                  "changed it and %u flushed it",
                  work_tile(slot), i, sector->versions[old].op, sector->versions[base].op, flushed);
}

static bool read_all(struct state *s)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        int rc = image_read(s->img, (uint64_t)work_tile(slot) * WORK_TILE, s->bytes[slot],
                            work_nsectors(s->work, slot) * WORK_SECTOR);

        if (rc)
            return broken(s, "tile %" PRIu32 " cannot be read: %s", work_tile(slot), strerror(-rc));
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
        for (unsigned i = 0; i < work_nsectors(s->work, slot); i++)
            if (!check_sector(s, slot, i, begun, flushed))
                return false;
    return true;
}

/* --- the journal ------------------------------------------------------------ */

static bool differs(const struct state *s, const struct work_op *mark, unsigned slot)
{
    for (unsigned i = 0; i < work_nsectors(s->work, slot); i++)
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
        return broken(s, "mark told a strange epoch '%s'", mark->epoch);
    if (lost && !changes_read_knows(list, &word))
        return true;
    if (list->unusable)
        return broken(s, "the journal is unusable: %s", list->unusable);
    if (!changes_read_knows(list, &word) || list->damaged)
        return broken(s, "the journal does not know epoch %s any more", mark->epoch);
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        if (list->cells[work_tile(slot)] < word.mark.epoch && differs(s, mark, slot))
            return broken(s, "tile %" PRIu32 " changed since epoch %s and is not listed",
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
    bool ok =
        rc ? broken(s, "the journal cannot be read: %s", strerror(-rc)) : check_marks(s, &list);

    changes_read_release(&list);
    return ok;
}

/* --- afterwards ------------------------------------------------------------- */

static int change(struct state *s, uint64_t *random)
{
    unsigned slot = (unsigned)random_below(random, WORK_SLOTS);
    unsigned n = work_nsectors(s->work, slot);
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
    return !rc || broken(s, "the archive cannot be written: %s", strerror(-rc));
}

static bool same_as_read(struct state *s)
{
    unsigned char *should = malloc(sizeof(s->bytes));
    bool same;

    if (!should)
        return broken(s, "out of memory");
    memcpy(should, s->bytes, sizeof(s->bytes));
    same = read_all(s);
    if (same && memcmp(should, s->bytes, sizeof(s->bytes)) != 0)
        same = broken(s, "what was written after the crash is not read back");
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
        return broken(s, "the archive cannot be opened again: %s", strerror(-rc));
    rc = dir_open(&s->archive, &config, &store);
    if (!rc)
        rc = image_open(store, true, &s->img);
    if (rc) {
        archive_close(&s->archive);
        return broken(s, "the image cannot be opened again: %s", strerror(-rc));
    }
    ok = same_as_read(s) && check_files(s);
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
    ok = check_files(s);
    rc = changes_read(&s->archive, true, &s->before);
    if (ok && rc)
        ok = broken(s, "the journal cannot be read: %s", strerror(-rc));
    archive_close(&s->archive);
    return ok;
}

static bool check_open(struct state *s)
{
    int rc = work_open_drive(s->work, s->path, DRIVE_IMAGE, &s->drive);
    bool ok;

    if (rc)
        return broken(s, "the archive cannot be taken: %s", strerror(-rc));
    s->img = s->drive.img;
    ok = check_bytes(s) && check_marks(s, &s->before) && check_journal(s) && check_use(s) &&
         check_journal(s);
    rc = drive_close(&s->drive);
    return ok && (!rc || broken(s, "the image cannot be closed: %s", strerror(-rc)));
}

bool check(const struct work *work, size_t q, const char *base, char *why, size_t cap)
{
    const struct work_op *shuffle = shuffle_at(work, q);
    struct state *s = calloc(1, sizeof(*s));
    bool ok;

    if (!s)
        return false;
    *s = (struct state){.work = work, .q = q, .why = why, .cap = cap};
    snprintf(s->path, sizeof(s->path), "%s/drive.img", base);
    ok = (!shuffle || shuffle_recover(work, shuffle, base, why, cap)) && check_untouched(s) &&
         check_open(s) && check_again(s);
    changes_read_release(&s->before);
    free(s);
    return ok;
}
