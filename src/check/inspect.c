/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each name is inspected by itself, from what is on disk at that moment. So a
 * finding can be inspected again later, and what was only passing (a tile that was
 * just trimmed, a temporary file, a lock that was given up) is found out.
 *
 * Without a good index the tiles are inspected as far as that goes: names, types,
 * permissions.
 */
#include "check/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "base/compiler.h"
#include "base/io.h"
#include "check/scan_kinds.h"
#include "format/cover.h"
#include "format/format.h"
#include "journal/changes.h"
#include "owner/owner.h"

#define JOURNAL "journal"
#define YOUNG_S 60 /* a temporary file of a live writer may take so long */

uint32_t inspect_ntiles(const struct scan *scan)
{
    return scan->indexed ? scan->archive->index.geometry.ntiles : scan->layout->tiles_max;
}

uint32_t inspect_nfolders(const struct scan *scan)
{
    return (inspect_ntiles(scan) - 1) / scan->layout->tiles_per_folder + 1;
}

/* For people, and from a file that anybody may have written. */
static void take_host(const char *from, char host[RECORD_HOST])
{
    snprintf(host, RECORD_HOST, "%s", from);
    for (; *host; host++)
        if (*host <= ' ' || *host > '~')
            *host = '?';
}

static void inspect_lock(const struct scan *scan, struct scan_finding *f)
{
    struct record record;
    enum owner_state state;

    f->err = -owner_look(scan->archive, &record, &state);
    if (f->err) {
        f->kind = SCAN_LOCK_UNREADABLE;
        return;
    }
    if (state == OWNER_DAMAGED)
        f->kind = SCAN_LOCK_DAMAGED;
    else if (state == OWNER_DEAD)
        f->kind = SCAN_LOCK_STALE;
    else if (state == OWNER_ELSEWHERE)
        f->kind = SCAN_LOCK_ELSEWHERE;
    if (state == OWNER_DEAD || state == OWNER_ELSEWHERE) {
        f->pid = (int)record.pid;
        f->mounted = record.mountpoint[0] != '\0';
        take_host(record.host, f->host);
    }
}

/* Without an index nobody can say which image the journal is of. */
static void inspect_journal(const struct scan *scan, struct scan_finding *f)
{
    struct changes_list list;

    if (!scan->indexed)
        return;
    f->err = -changes_read(scan->archive, true, &list);
    f->why = list.unusable;
    f->size = list.damaged;
    if (list.old)
        f->kind = SCAN_JOURNAL_MISSING;
    else if (f->err || f->why || f->size)
        f->kind = SCAN_JOURNAL_DAMAGED;
    changes_read_release(&list);
}

/* What stands in it may be a mount's to find wrong; that it is whole is ours. */
static void inspect_cover(const struct scan *scan, struct scan_finding *f)
{
    struct cover cover;
    char text[COVER_TEXT];
    size_t len;
    int rc = io_read_file(scan->archive->dirfd, FORMAT_COVER_NAME, text, sizeof(text), &len);

    if (rc == -ENOENT)
        return;
    f->err = -rc;
    if (rc && rc != -EFBIG && rc != -ELOOP && rc != -EINVAL)
        f->kind = SCAN_COVER_UNREADABLE;
    else if (rc || cover_parse(text, len, &cover))
        f->kind = SCAN_COVER_DAMAGED;
}

/* One that is under way has a live writer. */
static void inspect_reindex(const struct scan *scan, struct scan_finding *f)
{
    struct record record;
    enum owner_state state;

    if (owner_look(scan->archive, &record, &state) || state != OWNER_ALIVE)
        f->kind = SCAN_REINDEX_UNFINISHED;
}

static void inspect_rollback(const struct scan *scan, struct scan_finding *f)
{
    struct record record;
    enum owner_state state;

    if (owner_look(scan->archive, &record, &state) || state != OWNER_ALIVE)
        f->kind = SCAN_ROLLBACK_UNFINISHED;
}

/* At the top of the archive. When in doubt, it does. */
static bool exists(const struct scan *scan, const char *name)
{
    struct stat st;

    return !fstatat(scan->archive->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || errno != ENOENT;
}

static bool is_index(const struct scan *scan, const char *name)
{
    struct index index;
    const char *why;

    return archive_index_read(scan->archive, name, &index, &why) == 0;
}

/* Is there nothing good under the name that this is a copy of? */
static bool is_lone(const struct scan *scan, const struct scan_finding *f)
{
    switch (f->what) {
    case NAMES_THE_INDEX:
        return !is_index(scan, f->of);
    case NAMES_A_TILE:
        return !inspect_tile_is_good(scan, f->tile);
    case NAMES_A_FOLDER:
    case NAMES_A_FILE:
    case NAMES_A_DIRECTORY:
        return f->where != NAMES_PRIVATE && !exists(scan, f->of);
    default:
        return false;
    }
}

static const enum scan_kind kinds[] = {
    [NAMES_FOREIGN] = SCAN_FOREIGN,       [NAMES_OURS] = SCAN_TILE_MISPLACED,
    [NAMES_SPELLING] = SCAN_SPELLING,     [NAMES_LAYOUT] = SCAN_LAYOUT,
    [NAMES_OUTSIDE] = SCAN_TILE_OUTSIDE,  [NAMES_CONFLICT] = SCAN_CONFLICT,
    [NAMES_UNFINISHED] = SCAN_UNFINISHED, [NAMES_TEMPORARY] = SCAN_TEMPORARY,
    [NAMES_SERVICE] = SCAN_SERVICE,       [NAMES_RESERVED] = SCAN_RESERVED,
};

static void inspect_stranger_name(const struct scan *scan, const struct inspect_place *place,
                                  const char *name, struct scan_finding *f)
{
    struct names names;

    names_recognise(scan->layout, place->where, name, &names);
    f->kind = kinds[names.kind];
    /* Something else by that name: the right one is not looked at here. */
    if (names.kind == NAMES_OURS && names.what != NAMES_A_TILE) {
        f->kind = SCAN_FOREIGN;
        return;
    }
    /* A tile of the image is called so; else four letters are just a word. */
    if ((f->kind == SCAN_TILE_MISPLACED || f->kind == SCAN_SPELLING || f->kind == SCAN_LAYOUT) &&
        names.what == NAMES_A_TILE && names.tile >= inspect_ntiles(scan)) {
        f->kind = SCAN_FOREIGN;
        return;
    }
    f->program = names.program;
    f->what = names.what;
    f->tile = names.tile;
    strcpy(f->of, names.of);
}

static void inspect_stranger(const struct scan *scan, const struct inspect_place *place,
                             const char *name, const struct stat *st, struct scan_finding *f)
{
    inspect_stranger_name(scan, place, name, f);
    if (f->kind == SCAN_TEMPORARY && scan->in_use && time(NULL) - st->st_ctime < YOUNG_S)
        f->kind = SCAN_FINE;
    if (f->kind == SCAN_FOREIGN && place->where == NAMES_PRIVATE)
        f->kind = SCAN_RESERVED; /* snapshots and the like, of versions to come */
    f->directory = S_ISDIR(st->st_mode);
    f->lone = is_lone(scan, f);
    f->whole =
        f->lone && S_ISREG(st->st_mode) && f->what == NAMES_THE_INDEX && is_index(scan, name);
    if (place->where != NAMES_PRIVATE && S_ISREG(st->st_mode) && f->kind != SCAN_FINE &&
        !scan_kinds_note(f->kind))
        inspect_tile_claim(scan, place, name, f);
}

/* A name of a tile that the image has not. */
static void inspect_outside(const struct scan *scan, const struct inspect_place *place,
                            const char *name, const struct stat *st, struct scan_finding *f)
{
    f->kind = SCAN_TILE_OUTSIDE;
    f->directory = S_ISDIR(st->st_mode);
    if (S_ISREG(st->st_mode))
        inspect_tile_claim(scan, place, name, f);
}

/* A folder that is one is inspected when it is walked. */
static void inspect_folder(const struct scan *scan, uint32_t folder, const struct stat *st,
                           struct scan_finding *f)
{
    if (S_ISDIR(st->st_mode))
        return;
    if (folder * scan->layout->tiles_per_folder < inspect_ntiles(scan))
        f->kind = SCAN_FOLDER_TYPE;
    else
        f->kind = SCAN_FOREIGN;
}

/*
 * The names that are known, but for the index, folders and tiles: what may lie under them, and
 * who looks further. The two of a Mac are made in each sparse bundle as they are needed.
 */
typedef void inspector(const struct scan *scan, struct scan_finding *f);

static const struct known {
    enum names_where where;
    const char *name;
    const struct layout *layout; /* NULL: any */
    mode_t type;                 /* 0: any */
    enum scan_kind otherwise;    /* of another type; SCAN_FOREIGN: the name is not known, then */
    inspector *inspect;          /* NULL: all is fine */
} known[] = {
    {NAMES_TOP, FORMAT_PRIVATE_DIR, NULL, S_IFDIR, SCAN_PRIVATE_TYPE, NULL},
    {NAMES_TOP, FORMAT_MANIFEST_NAME, NULL, S_IFREG, SCAN_FOREIGN, NULL},
    {NAMES_TOP, FORMAT_DIGESTS_NAME, NULL, S_IFREG, SCAN_FOREIGN, NULL},
    {NAMES_TOP, FORMAT_BUNDLE_LOCK, &layout_bundle, S_IFREG, SCAN_FOREIGN, NULL},
    {NAMES_TOP, FORMAT_BUNDLE_MAPS, &layout_bundle, S_IFDIR, SCAN_FOREIGN, NULL},
    {NAMES_PRIVATE, "lock", NULL, 0, SCAN_FINE, inspect_lock},
    {NAMES_PRIVATE, "spare", NULL, S_IFREG, SCAN_FOREIGN, NULL}, /* a lock that was given up */
    {NAMES_PRIVATE, JOURNAL, NULL, 0, SCAN_FINE, inspect_journal},
    {NAMES_PRIVATE, "cover", NULL, 0, SCAN_FINE, inspect_cover},
    {NAMES_PRIVATE, "reindex", NULL, 0, SCAN_FINE, inspect_reindex},
    {NAMES_PRIVATE, "rollback", NULL, 0, SCAN_FINE, inspect_rollback},
    {NAMES_PRIVATE, "manifest", NULL, S_IFREG, SCAN_FOREIGN, NULL},
    {NAMES_PRIVATE, "snapshots", NULL, S_IFDIR, SCAN_FOREIGN, NULL},
    {NAMES_PRIVATE, INSPECT_LOST, NULL, S_IFDIR, SCAN_LOST_TYPE, NULL},
};

/* NULL: it is not known, or not as a file of this type. */
static const struct known *find_known(const struct scan *scan, enum names_where where,
                                      const char *name, mode_t type)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const struct known *it = &known[i];

        if (it->where == where && !strcmp(it->name, name) &&
            (!it->layout || it->layout == scan->layout) &&
            (!it->type || it->type == type || it->otherwise != SCAN_FOREIGN))
            return it;
    }
    return NULL;
}

static void inspect_known(const struct scan *scan, const struct known *it, mode_t type,
                          struct scan_finding *f)
{
    if (it->type && it->type != type)
        f->kind = it->otherwise;
    else if (it->inspect)
        it->inspect(scan, f);
}

/* f is as inspect_name() has begun it: where it was found, and nothing wrong. */
static void inspect_there(const struct scan *scan, const struct inspect_place *place,
                          const char *name, const struct stat *st, struct scan_finding *f)
{
    const struct layout *layout = scan->layout;
    const struct known *it = find_known(scan, place->where, name, st->st_mode & S_IFMT);
    uint32_t number;

    if (place->where == NAMES_FOLDER && layout->tile_number(place->folder, name, &number)) {
        if (number < inspect_ntiles(scan))
            inspect_tile(scan, place, name, number, st, f);
        else
            inspect_outside(scan, place, name, st, f);
    } else if (place->where == NAMES_TOP && layout->folder_number(name, &number))
        inspect_folder(scan, number, st, f);
    else if (it)
        inspect_known(scan, it, st->st_mode & S_IFMT, f);
    else
        inspect_stranger(scan, place, name, st, f);
}

int inspect_writable(int dirfd, const char *name)
{
    return faccessat(dirfd, name, W_OK, AT_EACCESS | AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

/* What a mount writes to, or in. Of the rest of the private directory it makes new files. */
static bool is_written(const struct scan *scan, const struct inspect_place *place, const char *name)
{
    uint32_t tile;

    if (place->where == NAMES_FOLDER)
        return scan->layout->tile_number(place->folder, name, &tile);
    return place->where == NAMES_TOP || !strcmp(name, JOURNAL) || !strcmp(name, INSPECT_LOST);
}

/* Where all of the archive is closed to us that is said once. */
static void inspect_access(const struct scan *scan, const struct inspect_place *place,
                           const char *name, struct scan_finding *f)
{
    if (f->kind != SCAN_FINE || scan->write_err || !is_written(scan, place, name))
        return;
    f->err = -inspect_writable(place->fd, name);
    if (f->err == ENOENT)
        f->err = 0; /* it has just gone */
    if (f->err)
        f->kind = SCAN_UNWRITABLE;
}

void inspect_name(const struct scan *scan, const struct inspect_place *place, const char *name,
                  struct scan_finding *f, struct stat *st)
{
    *f = (struct scan_finding){.where = place->where, .folder = place->folder};
    if (place->where == NAMES_TOP && inspect_index_has(scan, name))
        inspect_index(scan, name, f);
    else if (fstatat(place->fd, name, st, AT_SYMLINK_NOFOLLOW) == 0) {
        inspect_there(scan, place, name, st, f);
        inspect_access(scan, place, name, f);
    }
}
