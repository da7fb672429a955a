/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each name is judged by itself, from what is on disk at that moment. So a
 * finding can be judged again later, and what was only passing (a tile that was
 * just trimmed, a temporary file, a lock that was given up) is found out.
 *
 * Without a good index the tiles are judged as far as that goes: names, types,
 * permissions.
 */
#include "store/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "format/format.h"
#include "store/changes.h"
#include "store/owner.h"

#define LOCK "lock"
#define JOURNAL "journal"
#define YOUNG_S 60 /* a temporary file of a live writer may take so long */

/* Both layouts name alike; with pictures as rivals one can be too careful only. */
const struct layout *judge_layout(const struct scan *scan)
{
    return scan->indexed ? scan->archive->index.layout : &layout_original;
}

static uint32_t ntiles_of(const struct scan *scan)
{
    return scan->indexed ? scan->archive->index.geometry.ntiles : FORMAT_TILES_MAX;
}

/* Can it be opened to read? 0 or a positive errno. */
static int try_open(int dirfd, const char *name)
{
    int fd;
    int rc = io_open_file(dirfd, name, O_RDONLY, &fd);

    if (!rc)
        close(fd);
    return -rc;
}

static void judge_index(const struct scan *scan, struct scan_finding *f)
{
    struct index index;
    const char *why;
    int rc = archive_read_index(scan->archive, FORMAT_INDEX_NAME, &index, &why);

    f->err = -rc;
    f->why = why;
    if (rc == -ENOENT)
        f->kind = SCAN_INDEX_MISSING;
    else if (rc == -EBADMSG)
        f->kind = SCAN_INDEX_DAMAGED;
    else if (rc && rc != -ENOTSUP)
        f->kind = SCAN_INDEX_UNREADABLE;
}

/* For people, and from a file that anybody may have written. */
static void take_host(const char *from, char host[RECORD_HOST])
{
    snprintf(host, RECORD_HOST, "%s", from);
    for (; *host; host++)
        if (*host <= ' ' || *host > '~')
            *host = '?';
}

static void judge_lock(const struct scan *scan, struct scan_finding *f)
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
        take_host(record.host, f->host);
    }
}

/* Without an index nobody can say which image the journal is of. */
static void judge_journal(const struct scan *scan, struct scan_finding *f)
{
    struct changes_list list;

    if (!scan->indexed)
        return;
    f->err = -changes_read(scan->archive, &list);
    f->why = list.unusable;
    f->size = list.damaged;
    if (f->err || f->why || f->size)
        f->kind = SCAN_JOURNAL_DAMAGED;
    changes_read_release(&list);
}

static void judge_size(const struct scan *scan, uint32_t tile, uint64_t size,
                       struct scan_finding *f)
{
    const struct layout *layout = judge_layout(scan);

    if (!scan->indexed)
        return;
    f->size = size;
    f->want = layout->payload + geometry_tile_len(&scan->archive->index.geometry, tile);
    if (size > f->want)
        f->kind = SCAN_TILE_LONG;
    else if (size < f->want && !layout->short_tiles)
        f->kind = SCAN_TILE_SHORT;
}

static void judge_tile(const struct scan *scan, const struct judge_place *place, const char *name,
                       uint32_t tile, const struct stat *st, struct scan_finding *f)
{
    if (tile >= ntiles_of(scan)) {
        f->kind = SCAN_TILE_OUTSIDE;
        return;
    }
    if (!S_ISREG(st->st_mode)) {
        f->kind = SCAN_TILE_TYPE;
        return;
    }
    f->err = try_open(place->fd, name);
    if (f->err)
        f->kind = SCAN_TILE_UNREADABLE;
    else
        judge_size(scan, tile, (uint64_t)st->st_size, f);
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

    return archive_read_index(scan->archive, name, &index, &why) == 0;
}

/* A tile of the image is called so; else four letters are just a word. */
static bool is_tile(const struct scan *scan, const char *name, uint32_t *tile)
{
    char folder_name[LAYOUT_FOLDER_DIGITS + 1] = {name[0], name[1]};
    const struct layout *layout = judge_layout(scan);
    uint32_t folder;

    return layout->folder_number(folder_name, &folder) && layout->tile_number(folder, name, tile) &&
           *tile < ntiles_of(scan);
}

/* Nothing is wrong with the tile that is called so; without its length, who knows. */
static bool is_good_tile(const struct scan *scan, const char *name)
{
    const struct layout *layout = judge_layout(scan);
    struct judge_place place = {.where = NAMES_FOLDER};
    struct scan_finding f = {.kind = SCAN_FINE};
    char path[LAYOUT_PATH];
    struct stat st;
    uint32_t tile;
    bool there;

    if (!scan->indexed || !is_tile(scan, name, &tile))
        return false;
    place.folder = tile / layout->tiles_per_folder;
    layout->folder_path(place.folder, path);
    if (io_open(scan->archive->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &place.fd))
        return false;
    there = fstatat(place.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there)
        judge_tile(scan, &place, name, tile, &st, &f);
    close(place.fd);
    return there && f.kind == SCAN_FINE;
}

/* Is there nothing good under the name that this is a copy of? */
static bool is_lone(const struct scan *scan, const struct scan_finding *f)
{
    char path[SCAN_ORIGINAL];

    if (!strcmp(f->of, FORMAT_INDEX_NAME))
        return !scan->indexed;
    if (f->where == NAMES_PRIVATE)
        return false;
    if (strlen(f->of) == LAYOUT_TILE_DIGITS)
        return !is_good_tile(scan, f->of);
    scan_original(f, path);
    return !exists(scan, path);
}

static const enum scan_kind kinds[] = {
    [NAMES_FOREIGN] = SCAN_FOREIGN,     [NAMES_OURS] = SCAN_TILE_MISPLACED,
    [NAMES_SPELLING] = SCAN_SPELLING,   [NAMES_PICTURE] = SCAN_PICTURE,
    [NAMES_CONFLICT] = SCAN_CONFLICT,   [NAMES_UNFINISHED] = SCAN_UNFINISHED,
    [NAMES_TEMPORARY] = SCAN_TEMPORARY, [NAMES_SERVICE] = SCAN_SERVICE,
    [NAMES_RESERVED] = SCAN_RESERVED,
};

static void judge_stranger(const struct scan *scan, const struct judge_place *place,
                           const char *name, const struct stat *st, struct scan_finding *f)
{
    struct names names;
    uint32_t tile;

    names_recognise(place->where, name, &names);
    f->kind = kinds[names.kind];
    f->program = names.program;
    strcpy(f->of, names.of);
    if ((f->kind == SCAN_TILE_MISPLACED || f->kind == SCAN_SPELLING) &&
        strlen(f->of) == LAYOUT_TILE_DIGITS && !is_tile(scan, f->of, &tile)) {
        f->kind = SCAN_FOREIGN;
        f->of[0] = '\0';
    }
    if (f->kind == SCAN_TEMPORARY && scan->in_use && time(NULL) - st->st_ctime < YOUNG_S)
        f->kind = SCAN_FINE;
    if (f->kind == SCAN_FOREIGN && place->where == NAMES_PRIVATE)
        f->kind = SCAN_RESERVED; /* snapshots and the like, of versions to come */
    f->directory = S_ISDIR(st->st_mode);
    f->lone = f->of[0] && is_lone(scan, f);
    f->whole = f->lone && S_ISREG(st->st_mode) && !strcmp(f->of, FORMAT_INDEX_NAME) &&
               is_index(scan, name);
}

/* A folder that is one is judged when it is walked. */
static void judge_folder(const struct scan *scan, uint32_t folder, const struct stat *st,
                         struct scan_finding *f)
{
    if (S_ISDIR(st->st_mode))
        return;
    if (folder * judge_layout(scan)->tiles_per_folder < ntiles_of(scan))
        f->kind = SCAN_FOLDER_TYPE;
    else
        f->kind = SCAN_FOREIGN;
}

/* f is as judge() has begun it: where it was found, and nothing wrong. */
static void judge_there(const struct scan *scan, const struct judge_place *place, const char *name,
                        const struct stat *st, struct scan_finding *f)
{
    const struct layout *layout = judge_layout(scan);
    uint32_t number;

    if (place->where == NAMES_FOLDER && layout->tile_number(place->folder, name, &number))
        judge_tile(scan, place, name, number, st, f);
    else if (place->where == NAMES_TOP && layout->folder_number(name, &number))
        judge_folder(scan, number, st, f);
    else if (place->where == NAMES_TOP && !strcmp(name, FORMAT_PRIVATE_DIR))
        f->kind = S_ISDIR(st->st_mode) ? SCAN_FINE : SCAN_PRIVATE_TYPE;
    else if (place->where == NAMES_PRIVATE && !strcmp(name, LOCK))
        judge_lock(scan, f);
    else if (place->where == NAMES_PRIVATE && !strcmp(name, JOURNAL))
        judge_journal(scan, f);
    else if (place->where == NAMES_PRIVATE && !strcmp(name, JUDGE_LOST))
        f->kind = S_ISDIR(st->st_mode) ? SCAN_FINE : SCAN_LOST_TYPE;
    else
        judge_stranger(scan, place, name, st, f);
}

void judge_name(const struct scan *scan, const struct judge_place *place, const char *name,
                struct scan_finding *f, struct stat *st)
{
    *f = (struct scan_finding){.where = place->where, .folder = place->folder};
    if (place->where == NAMES_TOP && !strcmp(name, FORMAT_INDEX_NAME))
        judge_index(scan, f);
    else if (fstatat(place->fd, name, st, AT_SYMLINK_NOFOLLOW) == 0)
        judge_there(scan, place, name, st, f);
}
