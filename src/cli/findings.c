/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the word of each kind of finding and the sentence that describes one. The next
 * step is findings_advice.c's.
 */
#include "cli/findings.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "cli/findings_impl.h"
#include "format/format.h"

#define FEW 8 /* so many times fewer than tiles */

static const char *const words[SCAN_KINDS] = {
    [SCAN_INDEX_MISSING] = "index-missing",
    [SCAN_INDEX_DAMAGED] = "index-damaged",
    [SCAN_INDEX_UNREADABLE] = "index-unreadable",
    [SCAN_INDEX_UNUSABLE] = "index-unusable",
    [SCAN_SPARE_MISSING] = "spare-index-missing",
    [SCAN_SPARE_DAMAGED] = "spare-index-damaged",
    [SCAN_SPARE_DIFFERS] = "spare-index-differs",
    [SCAN_TOKEN_MISSING] = "token-missing",
    [SCAN_TOKEN_UNREADABLE] = "token-unreadable",
    [SCAN_TOKEN_ENCRYPTED] = "token-encrypted",
    [SCAN_LOCK_DAMAGED] = "lock-damaged",
    [SCAN_LOCK_STALE] = "lock-stale",
    [SCAN_LOCK_UNREADABLE] = "lock-unreadable",
    [SCAN_JOURNAL_DAMAGED] = "journal-damaged",
    [SCAN_COVER_DAMAGED] = "cover-damaged",
    [SCAN_COVER_UNREADABLE] = "cover-unreadable",
    [SCAN_REINDEX_UNFINISHED] = "reindex-unfinished",
    [SCAN_PRIVATE_TYPE] = "private-type",
    [SCAN_LOST_TYPE] = "lost-found-type",
    [SCAN_HARD_LINKS] = "hard-links",
    [SCAN_LAYOUTS_MIXED] = "layouts-mixed",
    [SCAN_HEADS_UNKNOWN] = "pictures-differ",
    [SCAN_FOLDER_MISSING] = "folder-missing",
    [SCAN_FOLDER_TYPE] = "folder-type",
    [SCAN_FOLDER_UNREADABLE] = "folder-unreadable",
    [SCAN_TILE_TYPE] = "tile-type",
    [SCAN_TILE_UNREADABLE] = "tile-unreadable",
    [SCAN_TILE_LONG] = "tile-too-long",
    [SCAN_TILE_SHORT] = "tile-too-short",
    [SCAN_TILE_CUT] = "tile-cut",
    [SCAN_TILE_HEAD] = "tile-head-damaged",
    [SCAN_TILE_NONE] = "tile-is-none",
    [SCAN_TILE_STRANGER] = "tile-of-other-archive",
    [SCAN_TILE_SWAPPED] = "tile-of-other-number",
    [SCAN_UNWRITABLE] = "not-writable",
    [SCAN_TILE_BYTES] = "tile-bytes-unreadable",
    [SCAN_PICTURE_CHANGED] = "picture-changed",
    [SCAN_TILE_OUTSIDE] = "tile-outside",
    [SCAN_TILE_MISPLACED] = "tile-misplaced",
    [SCAN_SPELLING] = "other-spelling",
    [SCAN_LAYOUT] = "tile-of-other-layout",
    [SCAN_CONFLICT] = "conflict-copy",
    [SCAN_UNFINISHED] = "unfinished-transfer",
    [SCAN_TEMPORARY] = "temporary-file",
    [SCAN_FOREIGN] = "foreign-file",
    [SCAN_SERVICE] = "service-file",
    [SCAN_RESERVED] = "reserved-name",
    [SCAN_LOCK_ELSEWHERE] = "lock-elsewhere",
    [SCAN_JOURNAL_MISSING] = "journal-missing",
    [SCAN_NOT_OURS] = "archive-not-writable",
};

const char *findings_word(enum scan_kind kind)
{
    return words[kind];
}

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
            f->claim ? "it says that it is %s and lies elsewhere%s"
                     : "it is named like %s and lies elsewhere%s",
            of, that_one);
    else if (f->kind == SCAN_SPELLING)
        put(text, "it is named like %s, but %s%s", of, spelling(f), that_one);
    else if (f->kind == SCAN_LAYOUT)
        put(text, "%s by a name of another layout%s", of,
            lone            ? "; under its own it is missing or damaged"
            : scan->indexed ? "; under its own it is there, too"
                            : "");
    else if (f->kind == SCAN_CONFLICT)
        put(text, "a conflict copy of %s%s%s%s", of, absent, as, program);
    else if (f->kind == SCAN_UNFINISHED)
        put(text, "a transfer of %s that has not ended%s%s%s", of, as, program,
            f->claim ? that_one : "");
    else
        put(text, "a temporary file of %s that a crash left%s%s", of,
            f->whole ? "; it is a whole index" : "", f->claim ? that_one : "");
}

/* In the place of a tile behind a picture. */
static void detail_of_picture(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    char of[FINDINGS_ORIGINAL];

    switch (f->kind) {
    case SCAN_TILE_CUT:
        if (f->want)
            put(text,
                "it has been cut short: the picture before the tile has %" PRIu64
                " bytes, the file %" PRIu64,
                f->want, f->size);
        else
            put(text, "it has been cut short: the file has %" PRIu64 " bytes", f->size);
        break;
    case SCAN_TILE_HEAD:
        put(text, "the tile cannot be used: %s",
            f->why ? f->why : "what it says of itself is damaged");
        break;
    case SCAN_TILE_NONE:
        put(text, "it says nowhere that it is a tile");
        break;
    case SCAN_TILE_STRANGER:
        put(text, "it says that it is a tile of another archive");
        break;
    case SCAN_TILE_SWAPPED:
        findings_original(f, of);
        put(text, "it says that it is %s", of);
        break;
    default:
        put(text, "the picture before the tile is not as it was written");
    }
}

static void detail_of_tile(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    switch (f->kind) {
    case SCAN_TILE_TYPE:
        put(text, "it is in the place of a tile and is not a regular file");
        break;
    case SCAN_TILE_UNREADABLE:
        put(text, "the tile cannot be opened: %s", io_why(-f->err));
        break;
    case SCAN_TILE_LONG:
        put(text, "the file is longer than its tile: %" PRIu64 " bytes instead of %" PRIu64,
            f->size, f->want);
        break;
    case SCAN_TILE_SHORT:
        put(text, "the file is shorter than its tile: %" PRIu64 " bytes instead of %" PRIu64,
            f->size, f->want);
        break;
    case SCAN_TILE_BYTES:
        put(text, "%" PRIu64 " bytes of it cannot be read, the first at %" PRIu64 ": %s", f->size,
            f->want, strerror(f->err));
        break;
    case SCAN_TILE_OUTSIDE:
        put(text, "a tile behind the end of the image");
        break;
    default:
        detail_of_picture(f, text);
    }
}

static void detail_of_index(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    switch (f->kind) {
    case SCAN_INDEX_MISSING:
        put(text, "the index is missing");
        break;
    case SCAN_INDEX_DAMAGED:
        put(text, "the index is damaged: %s", f->why);
        break;
    case SCAN_INDEX_UNREADABLE:
        put(text, "the index cannot be read: %s", io_why(-f->err));
        break;
    case SCAN_INDEX_UNUSABLE:
        put(text, "the index cannot be used: %s; the copy of it can", f->why);
        break;
    case SCAN_SPARE_DAMAGED:
        put(text, "the copy of the index cannot be used: %s", f->why ? f->why : io_why(-f->err));
        break;
    case SCAN_SPARE_DIFFERS:
        if (f->size != f->want)
            put(text,
                "the copy of the index differs from it: there the image has %" PRIu64
                " bytes, in the index %" PRIu64,
                f->size, f->want);
        else
            put(text, "the copy of the index differs from it: its bands have another size");
        break;
    case SCAN_TOKEN_MISSING:
        put(text, "the token is missing, which each sparse bundle has");
        break;
    case SCAN_TOKEN_UNREADABLE:
        put(text, "the token cannot be read: %s", io_why(-f->err));
        break;
    default:
        put(text, "the sparse bundle is encrypted, and cannot be used here");
    }
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

static void detail_of_journal(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    if (f->err)
        put(text, "the journal of changed tiles cannot be read: %s", strerror(f->err));
    else if (f->why)
        put(text, "the journal of changed tiles cannot be used: %s", f->why);
    else
        put(text, "the journal of changed tiles has damaged sectors: %" PRIu64, f->size);
}

static void detail_of_note(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    if (f->kind == SCAN_SERVICE)
        put(text, "it belongs to %s and is left alone", f->program);
    else if (f->kind == SCAN_RESERVED)
        put(text, "its name is reserved for versions to come; it is left alone");
    else if (f->kind == SCAN_LOCK_ELSEWHERE)
        put(text, "host '%s' %s the archive%s (process %d), or %s when it ended", f->host,
            f->mounted ? "has" : "works on", f->mounted ? " mounted" : "", (int)f->pid,
            f->mounted ? "had" : "did");
    else if (f->kind == SCAN_SPARE_MISSING)
        put(text, "the bundle has no such copy of 'Info.plist', which it need not have");
    else if (f->kind == SCAN_NOT_OURS)
        put(text,
            "this user may not write to the archive (%s): whether its owner can write to all tiles "
            "was not looked at",
            strerror(f->err));
    else if (f->why)
        put(text, "the journal of changed tiles %s: everything may have changed", f->why);
    else
        put(text, "there is no journal of changed tiles: everything may have changed");
}

/* In .mosaicfs. */
static void detail_of_private(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    switch (f->kind) {
    case SCAN_LOCK_DAMAGED:
        put(text, "the record of the writer is damaged");
        break;
    case SCAN_LOCK_STALE:
        put(text,
            f->mounted
                ? "process %d, which had the archive mounted, ended without unmounting"
                : "process %d, which was at work on the archive without mounting it, ended early",
            (int)f->pid);
        break;
    case SCAN_LOCK_UNREADABLE:
        put(text, "the record of the writer cannot be read: %s", strerror(f->err));
        break;
    case SCAN_JOURNAL_DAMAGED:
        detail_of_journal(f, text);
        break;
    case SCAN_COVER_DAMAGED:
    case SCAN_COVER_UNREADABLE:
        put(text, "the note where covers come from cannot be read: %s",
            f->err ? io_why(-f->err) : "it is damaged");
        break;
    case SCAN_REINDEX_UNFINISHED:
        put(text, "a reindex has not ended: places of tiles may be empty, so the archive cannot be "
                  "mounted");
        break;
    default:
        put(text, "it is not a directory");
    }
}

static void detail_of_folder(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    switch (f->kind) {
    case SCAN_FOLDER_MISSING:
        put(text, "the folder of the tiles is missing");
        break;
    case SCAN_FOLDER_TYPE:
        put(text, "it is in the place of a folder of tiles and is not a directory");
        break;
    default:
        put(text, "the folder cannot be listed: %s", strerror(f->err));
    }
}

static void detail(const struct scan *scan, const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    switch (f->kind) {
    case SCAN_INDEX_MISSING:
    case SCAN_INDEX_DAMAGED:
    case SCAN_INDEX_UNREADABLE:
    case SCAN_INDEX_UNUSABLE:
    case SCAN_SPARE_DAMAGED:
    case SCAN_SPARE_DIFFERS:
    case SCAN_TOKEN_MISSING:
    case SCAN_TOKEN_UNREADABLE:
    case SCAN_TOKEN_ENCRYPTED:
        detail_of_index(f, text);
        break;
    case SCAN_LOCK_DAMAGED:
    case SCAN_LOCK_STALE:
    case SCAN_LOCK_UNREADABLE:
    case SCAN_JOURNAL_DAMAGED:
    case SCAN_COVER_DAMAGED:
    case SCAN_COVER_UNREADABLE:
    case SCAN_REINDEX_UNFINISHED:
    case SCAN_PRIVATE_TYPE:
    case SCAN_LOST_TYPE:
        detail_of_private(f, text);
        break;
    case SCAN_LAYOUTS_MIXED:
        detail_of_mixture(scan, f, text);
        break;
    case SCAN_HEADS_UNKNOWN:
        put(text, "how long the pictures before its tiles are cannot be told: no whole one was "
                  "found, and no two of one length");
        break;
    case SCAN_FOLDER_MISSING:
    case SCAN_FOLDER_TYPE:
    case SCAN_FOLDER_UNREADABLE:
        detail_of_folder(f, text);
        break;
    case SCAN_TILE_MISPLACED:
    case SCAN_SPELLING:
    case SCAN_LAYOUT:
    case SCAN_CONFLICT:
    case SCAN_UNFINISHED:
    case SCAN_TEMPORARY:
        detail_of_copy(scan, f, text);
        break;
    case SCAN_UNWRITABLE:
        put(text, "this user may not write to it: %s", strerror(f->err));
        break;
    case SCAN_FOREIGN:
        put(text, "it does not belong to the archive");
        break;
    case SCAN_HARD_LINKS:
        put(text,
            "tiles that have other names, too (hard links): %" PRIu64 "; the drive shows them, and "
            "writing to them fails",
            f->size);
        break;
    default:
        detail_of_tile(f, text);
    }
}

void findings_detail(const struct scan *scan, const struct scan_finding *f,
                     char text[FINDINGS_TEXT])
{
    size_t len;

    if (scan_is_note(f->kind)) {
        detail_of_note(f, text);
        return;
    }
    detail(scan, f, text);
    len = strlen(text);
    if (f->claim == SCAN_CLAIMS_OTHER)
        snprintf(text + len, FINDINGS_TEXT - len, "; it says that it is a tile of another archive");
    else if (f->claim == SCAN_CLAIMS_SOME)
        snprintf(text + len, FINDINGS_TEXT - len,
                 "; it was made as a tile, of which one is damaged");
    else if (f->claim == SCAN_CLAIMS_OURS && f->kind != SCAN_TILE_MISPLACED)
        snprintf(text + len, FINDINGS_TEXT - len, "; it says that it is a tile of this archive");
}
