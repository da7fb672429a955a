/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the words that reindex has for the kinds and the fates of files, for people and
 * in JSON.
 */
#include "cli/reindex_report.h"

#include <stdio.h>
#include <string.h>

#include "cli/escape.h"
#include "cli/json.h"
#include "format/layout.h"

static const char *const kinds[] = {
    [STRAY_SOUND] = "tile",
    [STRAY_ALTERED] = "altered",
    [STRAY_CUT] = "cut",
    [STRAY_DAMAGED] = "damaged",
    [STRAY_NEWER] = "newer",
    [STRAY_STRANGER] = "stranger",
    [STRAY_TYPE] = "no-file",
    [STRAY_ARCHIVE] = "archive",
    [STRAY_UNFINISHED] = "unfinished",
    [STRAY_UNREADABLE] = "unreadable",
};

static const char *const fates[] = {
    [STRAY_LEFT] = "left",
    [STRAY_IN_PLACE] = "in-place",
    [STRAY_PUT] = "put",
    [STRAY_DUPLICATE] = "duplicate",
    [STRAY_DISPLACED] = "displaced",
    [STRAY_ELSEWHERE] = "elsewhere",
    [STRAY_OUTSIDE] = "outside",
};

/* It stands in the place of a tile that it is not: that tile cannot be read. */
static bool blocks(const struct stray *stray)
{
    uint32_t tile;

    return strays_place(stray, &layout_jpeg, &tile) && stray->fate != STRAY_IN_PLACE &&
           stray->fate != STRAY_PUT && stray->fate != STRAY_DISPLACED;
}

static bool is_damaged(const struct stray *stray)
{
    return stray->kind == STRAY_ALTERED || stray->kind == STRAY_CUT ||
           stray->kind == STRAY_DAMAGED || blocks(stray);
}

static bool is_duplicate(const struct stray *stray)
{
    return strays_is_tile(stray) &&
           (stray->fate == STRAY_DUPLICATE || stray->fate == STRAY_DISPLACED);
}

static bool names_tile(const struct stray *stray)
{
    return strays_is_tile(stray) || stray->kind == STRAY_CUT;
}

void reindex_report_count(struct reindex_report *re, const struct reindexing *work)
{
    re->work = work;
    for (size_t i = 0; i < work->strays.n; i++) {
        const struct stray *stray = &work->strays.list[i];

        re->here += stray->fate == STRAY_IN_PLACE;
        re->put += stray->fate == STRAY_PUT;
        re->duplicates += is_duplicate(stray);
        re->strangers += stray->kind == STRAY_STRANGER || stray->fate == STRAY_ELSEWHERE;
        re->damaged += is_damaged(stray);
        re->unreadable += stray->kind == STRAY_UNREADABLE;
        re->displaced += stray->fate == STRAY_DISPLACED;
    }
}

/* What the file is, for people; "" when nothing is to be said. */
static const char *describe(const struct reindex_report *re, const struct stray *stray)
{
    switch (stray->kind) {
    case STRAY_SOUND:
        break;
    case STRAY_ALTERED:
        return "damaged: its picture is not the one that was written; its bytes may be damaged, "
               "too";
    case STRAY_CUT:
        return "damaged: it has been cut short, before the tile's bytes begin";
    case STRAY_DAMAGED:
        return "damaged: it was a tile, but which one can no longer be read";
    case STRAY_NEWER:
        return "it was written by a newer version of mosaicfs";
    case STRAY_STRANGER:
        return "a stranger: it does not identify itself as a tile";
    case STRAY_UNFINISHED:
        return "its name is that of an unfinished transfer; it was not looked at";
    case STRAY_TYPE:
        return "not a regular file";
    case STRAY_ARCHIVE:
        return "another archive, or another file system; it was not looked into";
    case STRAY_UNREADABLE:
        return strerror(stray->err);
    }
    switch (stray->fate) {
    case STRAY_DUPLICATE:
    case STRAY_DISPLACED:
        return "a duplicate";
    case STRAY_ELSEWHERE:
        return strcmp(stray->tag.uuid, re->work->archive.index.uuid) == 0
                   ? "a tile of this archive from when its tiles had another size"
                   : "a tile of another archive";
    case STRAY_OUTSIDE:
        return "a tile behind the end of the image";
    default:
        return "";
    }
}

static void print_place(const struct stray *stray)
{
    char path[LAYOUT_PATH];

    layout_jpeg.tile_path(stray->tag.tile, path);
    printf(" (tile %s)", path);
}

/* What it was called when it was found. */
static const char *name_of(const struct stray *stray)
{
    return stray->found ? stray->found : stray->path;
}

/* Which file is taken for the tile instead. */
static void print_winner(const struct reindex_report *re, const struct stray *stray)
{
    for (size_t i = 0; i < re->work->strays.n; i++) {
        const struct stray *other = &re->work->strays.list[i];

        if ((other->fate != STRAY_PUT && other->fate != STRAY_IN_PLACE) ||
            other->tag.tile != stray->tag.tile)
            continue;
        printf(" of '");
        escape_print(name_of(other), stdout);
        printf("'");
        return;
    }
}

static void print_stray(const struct reindex_report *re, const struct stray *stray)
{
    const char *text = describe(re, stray);
    char path[LAYOUT_PATH];
    uint32_t place;

    if (stray->fate == STRAY_PUT && (re->verbose || re->dry_run)) {
        layout_jpeg.tile_path(stray->tag.tile, path);
        escape_print(name_of(stray), stdout);
        printf(" -> %s\n", path);
    }
    if (!text[0])
        return;
    escape_print(name_of(stray), stdout);
    printf(": %s", text);
    if (stray->kind == STRAY_SOUND && is_duplicate(stray))
        print_winner(re, stray);
    if (names_tile(stray))
        print_place(stray);
    if (stray->fate == STRAY_DISPLACED)
        printf("; it makes room");
    putchar('\n');
    if (blocks(stray) && strays_place(stray, &layout_jpeg, &place)) {
        layout_jpeg.tile_path(place, path);
        printf("    it is in the place of tile %s, which cannot be read; find a copy of that tile, "
               "or if that tile was never written, move this away\n",
               path);
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

void reindex_report_print(const struct reindex_report *re)
{
    size_t tiles = re->here + re->put;

    for (size_t i = 0; i < re->work->strays.n; i++)
        print_stray(re, &re->work->strays.list[i]);
    printf("%zu tile%s: %zu in place, %zu %s; %zu duplicate%s, %zu stranger%s, %zu damaged\n",
           tiles, plural(tiles), re->here, re->put, re->dry_run ? "to be put back" : "put back",
           re->duplicates, plural(re->duplicates), re->strangers, plural(re->strangers),
           re->damaged);
    if (re->unreadable)
        printf("%zu could not be read; run this as their owner\n", re->unreadable);
    if (re->work->make_index)
        printf("index %s: archive %s\n", re->dry_run ? "to be made" : "made",
               re->work->archive.index.uuid);
    if (re->dry_run && re->work->covers)
        printf("%zu new picture%s to be given\n", tiles, plural(tiles));
    else if (re->work->covers)
        printf("%zu new picture%s\n", re->work->covered, plural(re->work->covered));
    if (re->work->room)
        printf("what made room is in '%s'; nothing was deleted\n", re->work->room);
}

static void add_stray(const struct reindex_report *re, struct json_list *list,
                      const struct stray *stray)
{
    struct json_object *file = json_list_add_group(list);
    char path[LAYOUT_PATH];

    json_add_text(file, "path", name_of(stray));
    json_add_bool(file, "inside", stray->inside && !stray->copied);
    json_add_text(file, "kind", kinds[stray->kind]);
    json_add_text(file, "fate", fates[stray->fate]);
    if (names_tile(stray)) {
        layout_jpeg.tile_path(stray->tag.tile, path);
        json_add_text(file, "tile", path);
        json_add_text(file, "uuid", stray->tag.uuid);
    }
    json_add_text(file, "detail", describe(re, stray));
}

int reindex_report_json(const struct reindex_report *re)
{
    struct json_object *json;
    struct json_list *files;
    int rc = json_begin(&json);

    if (!rc) {
        json_add_text(json, "archive", re->work->archive.path);
        json_add_text(json, "uuid", re->work->archive.index.uuid);
        json_add_bool(json, "dry_run", re->dry_run);
        json_add_bool(json, "index_made", re->work->make_index);
        json_add_number(json, "in_place", re->here);
        json_add_number(json, "put", re->put);
        json_add_number(json, "duplicates", re->duplicates);
        json_add_number(json, "strangers", re->strangers);
        json_add_number(json, "damaged", re->damaged);
        json_add_number(json, "unreadable", re->unreadable);
        json_add_number(json, "new_pictures", re->work->covered);
        json_add_text(json, "lost_and_found", re->work->room);
        files = json_add_list(json, "files");
        for (size_t i = 0; i < re->work->strays.n; i++)
            if (re->work->strays.list[i].kind != STRAY_SOUND ||
                re->work->strays.list[i].fate != STRAY_IN_PLACE)
                add_stray(re, files, &re->work->strays.list[i]);
        rc = json_end(json, stdout);
    }
    return json_complain(rc);
}
