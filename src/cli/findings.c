/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Says what is so: a row for each kind of finding, with the sentence that describes it, or a
 * function that makes one. The next step is findings_advice.c's.
 */
#include "cli/findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "check/scan_kinds.h"
#include "cli/findings_impl.h"
#include "format/format.h"

#define FEW 8 /* so many times fewer than tiles */

/* --- what is so -------------------------------------------------------------- */

void findings_original(const struct scan_finding *f, char text[FINDINGS_ORIGINAL])
{
    const char *what = "file";

    if (f->what == NAMES_THE_INDEX) {
        strcpy(text, "the index");
        return;
    }
    if (f->what == NAMES_A_TILE)
        what = "tile";
    else if (f->what == NAMES_A_FOLDER)
        what = "folder";
    else if (f->what == NAMES_A_DIRECTORY)
        what = "directory";
    snprintf(text, FINDINGS_ORIGINAL, "%s '%s'", what, f->of);
}

/* In which way a name is not that of f->of. */
static const char *spelling(const struct scan_finding *f)
{
    const char *name = strrchr(f->path, '/'), *of = strrchr(f->of, '/');

    name = name ? name : f->path;
    of = of ? of : f->of;
    if (strcasecmp(name, of) == 0)
        return "in upper case";
    return strchr(name, '.') ? "with another ending" : "with zeros before the number";
}

/* Details that tell what a file is a copy of. */
static void detail_of_copy(const struct scan *scan, const struct scan_finding *f,
                           char text[FINDINGS_TEXT])
{
    /* Without an index nobody can tell what is wrong with a tile. */
    bool lone = f->lone && (scan->indexed || f->what == NAMES_THE_INDEX);
    const char *absent = lone ? ", which is missing or damaged" : "";
    const char *that_one = lone ? "; that one is missing or damaged" : "";
    const char *as = f->program ? ", as it is named by " : "";
    const char *program = f->program ? f->program : "";
    char of[FINDINGS_ORIGINAL];

    findings_original(f, of);
    if (f->kind == SCAN_TILE_MISPLACED)
        put(text,
            f->claim ? "it is in the wrong place: it identifies itself as %s%s"
                     : "it is in the wrong place: it has the name of %s%s",
            of, absent);
    else if (f->kind == SCAN_SPELLING)
        put(text, "it has the name of %s, but %s%s", of, spelling(f), that_one);
    else if (f->kind == SCAN_LAYOUT)
        put(text, "%s under a name of another layout%s", of,
            lone            ? "; under its own name it is missing or damaged"
            : scan->indexed ? "; under its own name it exists, too"
                            : "");
    else if (f->kind == SCAN_CONFLICT)
        put(text, "a conflict copy of %s%s%s%s", of, absent, as, program);
    else if (f->kind == SCAN_UNFINISHED)
        put(text, "an unfinished transfer of %s%s%s%s", of, as, program, f->claim ? that_one : "");
    else
        put(text, "a temporary file of %s that a crash left%s%s", of,
            f->whole ? "; it is a whole index" : "", f->claim ? that_one : "");
}

static void detail_of_cut(const struct scan *scan, const struct scan_finding *f,
                          char text[FINDINGS_TEXT])
{
    if (f->want)
        put(text,
            "it has been cut short: the picture before the tile has %" PRIu64
            " bytes, the file %" PRIu64,
            f->want, f->size);
    else
        put(text, "it has been cut short: the file has %" PRIu64 " bytes", f->size);
}

static void detail_of_manifest(const struct scan *scan, const struct scan_finding *f,
                               char text[FINDINGS_TEXT])
{
    put(text, "the manifest %s", f->why);
}

static void detail_of_resized(const struct scan *scan, const struct scan_finding *f,
                              char text[FINDINGS_TEXT])
{
    put(text, "the file has %" PRIu64 " bytes, by the manifest it has %" PRIu64, f->size, f->want);
}

static void detail_of_swap(const struct scan *scan, const struct scan_finding *f,
                           char text[FINDINGS_TEXT])
{
    char of[FINDINGS_ORIGINAL];

    findings_original(f, of);
    put(text, "it identifies itself as %s", of);
}

static void detail_of_length(const struct scan *scan, const struct scan_finding *f,
                             char text[FINDINGS_TEXT])
{
    put(text, "the file is %s than its tile: %" PRIu64 " bytes instead of %" PRIu64,
        f->kind == SCAN_TILE_LONG ? "longer" : "shorter", f->size, f->want);
}

static void detail_of_bytes(const struct scan *scan, const struct scan_finding *f,
                            char text[FINDINGS_TEXT])
{
    put(text, "%" PRIu64 " bytes of it cannot be read, the first at %" PRIu64 ": %s", f->size,
        f->want, strerror(f->err));
}

static void detail_of_spare(const struct scan *scan, const struct scan_finding *f,
                            char text[FINDINGS_TEXT])
{
    if (f->kind == SCAN_SPARE_DAMAGED)
        put(text, "the copy of the index cannot be used: %s", f->why ? f->why : io_why(-f->err));
    else if (f->size != f->want)
        put(text,
            "the copy of the index differs from it: there the image has %" PRIu64
            " bytes, in the index %" PRIu64,
            f->size, f->want);
    else
        put(text, "the copy of the index differs from it: its bands have another size");
}

static void detail_of_links(const struct scan *scan, const struct scan_finding *f,
                            char text[FINDINGS_TEXT])
{
    put(text,
        "tiles that have other names, too (hard links): %" PRIu64 "; the drive shows them, and "
        "writing to them fails",
        f->size);
}

static void detail_of_unusable(const struct scan *scan, const struct scan_finding *f,
                               char text[FINDINGS_TEXT])
{
    put(text, "the index cannot be used: %s; the copy of it can", f->why);
}

static void detail_of_head(const struct scan *scan, const struct scan_finding *f,
                           char text[FINDINGS_TEXT])
{
    put(text, "the tile cannot be used: %s",
        f->why ? f->why : "the data that identifies it is damaged");
}

/* Strays rather than half an archive. */
bool findings_few_rivals(const struct scan *scan, const struct scan_finding *f)
{
    return !scan->rivals_filled || (f->want + f->both) * FEW <= f->size + f->both;
}

static void detail_of_mixture(const struct scan *scan, const struct scan_finding *f,
                              char text[FINDINGS_TEXT])
{
    char ours[LAYOUT_PATH], other[LAYOUT_PATH] = "";

    scan->layout->tile_path(0, ours);
    if (scan->layout->rival_path)
        (void)!scan->layout->rival_path(0, 0, other);
    if (findings_few_rivals(scan, f)) {
        uint64_t n = f->want + f->both;

        put(text,
            "%" PRIu64 " file%s%s named as tiles of another layout are ('%s'): %" PRIu64
            " beside tiles that are there, %" PRIu64 " where there is none%s",
            n, n == 1 ? "" : "s", n == 1 ? " is" : " are", other, (uint64_t)f->both, f->want,
            scan->rivals_filled ? ""
            : n == 1            ? "; it is empty"
                                : "; all are empty");
        return;
    }
    put(text,
        "its tiles are named in two ways: %" PRIu64 " only like '%s', %" PRIu64
        " only like '%s', %" PRIu32 " in both ways",
        f->size, ours, f->want, other, f->both);
}

static void detail_of_journal(const struct scan *scan, const struct scan_finding *f,
                              char text[FINDINGS_TEXT])
{
    if (f->err)
        put(text, "the journal of changed tiles cannot be read: %s", strerror(f->err));
    else if (f->why)
        put(text, "the journal of changed tiles cannot be used: %s", f->why);
    else
        put(text, "the journal of changed tiles has damaged sectors: %" PRIu64, f->size);
}

static void detail_of_no_journal(const struct scan *scan, const struct scan_finding *f,
                                 char text[FINDINGS_TEXT])
{
    if (f->why)
        put(text, "the journal of changed tiles %s: everything may have changed", f->why);
    else
        put(text, "there is no journal of changed tiles: everything may have changed");
}

static void detail_of_service(const struct scan *scan, const struct scan_finding *f,
                              char text[FINDINGS_TEXT])
{
    put(text, "it belongs to %s and is left alone", f->program);
}

static void detail_of_stale(const struct scan *scan, const struct scan_finding *f,
                            char text[FINDINGS_TEXT])
{
    put(text,
        f->mounted ? "process %d, which had the archive mounted, ended without unmounting"
                   : "process %d, which worked on the archive without mounting it, was interrupted",
        (int)f->pid);
}

static void detail_of_other_host(const struct scan *scan, const struct scan_finding *f,
                                 char text[FINDINGS_TEXT])
{
    put(text, "host '%s' %s the archive%s (process %d), or %s when it ended", f->host,
        f->mounted ? "has" : "works on", f->mounted ? " mounted" : "", (int)f->pid,
        f->mounted ? "had" : "did");
}

static void detail_of_user(const struct scan *scan, const struct scan_finding *f,
                           char text[FINDINGS_TEXT])
{
    put(text,
        "this user may not write to the archive (%s): whether its owner can write to all tiles was "
        "not checked",
        strerror(f->err));
}

static void detail_of_cover(const struct scan *scan, const struct scan_finding *f,
                            char text[FINDINGS_TEXT])
{
    put(text, "the record of the source of the covers cannot be read: %s",
        f->err ? io_why(-f->err) : "it is damaged");
}

#define NO_DIRECTORY "it is not a directory"

/* What follows the sentence. */
enum ending { NOTHING, WHY, OPENING, ERROR };

static const struct row {
    const char *text; /* NULL: tell() says it */
    enum ending ending;
    void (*tell)(const struct scan *scan, const struct scan_finding *f, char text[FINDINGS_TEXT]);
} rows[SCAN_KINDS] = {
    [SCAN_INDEX_MISSING] = {.text = "the index is missing"},
    [SCAN_INDEX_DAMAGED] = {.text = "the index is damaged", .ending = WHY},
    [SCAN_INDEX_UNREADABLE] = {.text = "the index cannot be read", .ending = OPENING},
    [SCAN_INDEX_UNUSABLE] = {.tell = detail_of_unusable},
    [SCAN_SPARE_DAMAGED] = {.tell = detail_of_spare},
    [SCAN_SPARE_DIFFERS] = {.tell = detail_of_spare},
    [SCAN_TOKEN_MISSING] = {.text = "the token is missing, which every sparse bundle has"},
    [SCAN_TOKEN_UNREADABLE] = {.text = "the token cannot be read", .ending = OPENING},
    [SCAN_TOKEN_ENCRYPTED] = {.text = "the sparse bundle is encrypted, and cannot be used here"},
    [SCAN_LOCK_DAMAGED] = {.text = "the record of the writer is damaged"},
    [SCAN_LOCK_STALE] = {.tell = detail_of_stale},
    [SCAN_LOCK_UNREADABLE] = {.text = "the record of the writer cannot be read", .ending = ERROR},
    [SCAN_JOURNAL_DAMAGED] = {.tell = detail_of_journal},
    [SCAN_COVER_DAMAGED] = {.tell = detail_of_cover},
    [SCAN_COVER_UNREADABLE] = {.tell = detail_of_cover},
    [SCAN_REINDEX_UNFINISHED] =
        {.text = "a reindex has not ended: places of tiles may be empty, so the "
                 "archive cannot be mounted"},
    [SCAN_ROLLBACK_UNFINISHED] =
        {.text = "a rollback has not ended: some tiles are those of the snapshot and others not "
                 "yet, so the archive cannot be mounted"},
    [SCAN_MANIFEST_DAMAGED] = {.tell = detail_of_manifest},
    [SCAN_PRIVATE_TYPE] = {.text = NO_DIRECTORY},
    [SCAN_LOST_TYPE] = {.text = NO_DIRECTORY},
    [SCAN_HARD_LINKS] = {.tell = detail_of_links},
    [SCAN_LAYOUTS_MIXED] = {.tell = detail_of_mixture},
    [SCAN_HEADS_UNKNOWN] = {.text = "the length of the pictures before its tiles is unknown: no "
                                    "complete picture was found, and no two of equal length"},
    [SCAN_FOLDER_MISSING] = {.text = "the folder of the tiles is missing"},
    [SCAN_FOLDER_TYPE] = {.text = "it is in the place of a folder of tiles and is not a directory"},
    [SCAN_FOLDER_UNREADABLE] = {.text = "the folder cannot be listed", .ending = ERROR},
    [SCAN_TILE_TYPE] = {.text = "it is in the place of a tile and is not a regular file"},
    [SCAN_TILE_UNREADABLE] = {.text = "the tile cannot be opened", .ending = OPENING},
    [SCAN_TILE_LONG] = {.tell = detail_of_length},
    [SCAN_TILE_SHORT] = {.tell = detail_of_length},
    [SCAN_TILE_CUT] = {.tell = detail_of_cut},
    [SCAN_TILE_HEAD] = {.tell = detail_of_head},
    [SCAN_TILE_NONE] = {.text = "it does not identify itself as a tile"},
    [SCAN_TILE_STRANGER] = {.text = "it identifies itself as a tile of another archive"},
    [SCAN_TILE_SWAPPED] = {.tell = detail_of_swap},
    [SCAN_UNWRITABLE] = {.text = "this user may not write to it", .ending = ERROR},
    [SCAN_TILE_BYTES] = {.tell = detail_of_bytes},
    [SCAN_PICTURE_CHANGED] = {.text = "the picture before the tile is not as it was written"},
    [SCAN_TILE_MISSING] = {.text = "the tile is missing: the manifest has it"},
    [SCAN_TILE_RESIZED] = {.tell = detail_of_resized},
    [SCAN_TILE_OTHER] = {.text = "the tile is not the one of the manifest: it is older or newer, "
                                 "or not complete"},
    [SCAN_TILE_ADDED] = {.text = "the manifest does not have this tile"},
    [SCAN_TILE_OUTSIDE] = {.text = "a tile behind the end of the image"},
    [SCAN_TILE_MISPLACED] = {.tell = detail_of_copy},
    [SCAN_SPELLING] = {.tell = detail_of_copy},
    [SCAN_LAYOUT] = {.tell = detail_of_copy},
    [SCAN_CONFLICT] = {.tell = detail_of_copy},
    [SCAN_UNFINISHED] = {.tell = detail_of_copy},
    [SCAN_TEMPORARY] = {.tell = detail_of_copy},
    [SCAN_FOREIGN] = {.text = "it does not belong to the archive"},
    [SCAN_SERVICE] = {.tell = detail_of_service},
    [SCAN_RESERVED] = {.text = "its name is reserved for future versions; it is left alone"},
    [SCAN_LOCK_ELSEWHERE] = {.tell = detail_of_other_host},
    [SCAN_JOURNAL_MISSING] = {.tell = detail_of_no_journal},
    [SCAN_SPARE_MISSING] =
        {.text = "the bundle has no such copy of 'Info.plist', which it need not have"},
    [SCAN_NOT_OURS] = {.tell = detail_of_user},
};

static void detail(const struct scan *scan, const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    const struct row *row = &rows[f->kind];

    switch (row->ending) {
    case NOTHING:
        if (row->tell)
            row->tell(scan, f, text);
        else
            put(text, "%s", row->text);
        break;
    case WHY:
        put(text, "%s: %s", row->text, f->why);
        break;
    case OPENING:
        put(text, "%s: %s", row->text, io_why(-f->err));
        break;
    case ERROR:
        put(text, "%s: %s", row->text, strerror(f->err));
    }
}

void findings_detail(const struct scan *scan, const struct scan_finding *f,
                     char text[FINDINGS_TEXT])
{
    size_t len;

    detail(scan, f, text);
    len = strlen(text);
    if (scan_kinds_note(f->kind))
        return;
    if (f->claim == SCAN_CLAIMS_OTHER)
        snprintf(text + len, FINDINGS_TEXT - len,
                 "; it identifies itself as a tile of another archive");
    else if (f->claim == SCAN_CLAIMS_SOME)
        snprintf(text + len, FINDINGS_TEXT - len,
                 "; it was written as a tile, but which one cannot be read");
    else if (f->claim == SCAN_CLAIMS_OURS && f->kind != SCAN_TILE_MISPLACED)
        snprintf(text + len, FINDINGS_TEXT - len,
                 "; it identifies itself as a tile of this archive");
}
