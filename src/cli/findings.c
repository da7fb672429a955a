/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/findings.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "base/io.h"
#include "format/format.h"

#define BY_REPAIR "; 'mosaicfs check --repair' moves it away"
#define NOT_IN_JOURNAL ", and remove '" FORMAT_JOURNAL_NAME "', which does not know of that"

/* Of each kind: its word, and advice that is always the same. */
static const struct {
    const char *word;
    const char *advice;
} texts[SCAN_KINDS] = {
    [SCAN_INDEX_MISSING] = {"index-missing", "put back a good copy of 'mosaicfs.index', from a "
                                             "mirror or a backup; the tiles are untouched"},
    [SCAN_INDEX_DAMAGED] = {"index-damaged", "put back a good copy of 'mosaicfs.index', from a "
                                             "mirror or a backup; the tiles are untouched"},
    [SCAN_INDEX_UNREADABLE] = {"index-unreadable",
                               "run this as the owner of the archive; if that does not help, put "
                               "back a good copy of 'mosaicfs.index', from a mirror or a backup"},
    [SCAN_LOCK_DAMAGED] = {"lock-damaged", "make sure that no machine uses the archive"},
    [SCAN_LOCK_STALE] = {"lock-stale",
                         "check the file system on the drive when it is mounted next; that mount "
                         "clears the record, and so does 'mosaicfs check --repair'"},
    [SCAN_LOCK_UNREADABLE] = {"lock-unreadable", "run this as the owner of the archive"},
    [SCAN_JOURNAL_DAMAGED] = {"journal-damaged",
                              "compare all tiles when you mirror the drive next, as if "
                              "everything had changed"},
    [SCAN_PRIVATE_TYPE] = {"private-type",
                           "look what it is and move it elsewhere; a directory is made when it is "
                           "needed"},
    [SCAN_LOST_TYPE] = {"lost-found-type",
                        "look what it is and move it elsewhere by hand; a repair needs a "
                        "directory there, and makes it"},
    [SCAN_HARD_LINKS] = {"hard-links", "put a copy in the place of each (cp -p; see mosaicfs(1)); "
                                       "'find ARCHIVE -links +1 -type f' lists them"},
    [SCAN_FOLDER_TYPE] = {"folder-type",
                          "its tiles cannot be read; bring the folder back from a "
                          "mirror" NOT_IN_JOURNAL ". Without it all of them would read as zeros, "
                          "so it is not moved away"},
    [SCAN_FOLDER_UNREADABLE] = {"folder-unreadable",
                                "run this as the owner of the archive; if that does not help, "
                                "bring the folder back from a mirror" NOT_IN_JOURNAL},
    [SCAN_TILE_TYPE] = {"tile-type",
                        "bring the tile back from a mirror" NOT_IN_JOURNAL
                        ". Without it that part of the drive would read as zeros, so it is not "
                        "moved away"},
    [SCAN_TILE_UNREADABLE] = {"tile-unreadable",
                              "run this as the owner of the archive; if that does not help, bring "
                              "the tile back from a mirror" NOT_IN_JOURNAL},
    [SCAN_TILE_LONG] = {"tile-too-long", NULL},
    [SCAN_TILE_SHORT] = {"tile-too-short", NULL},
    [SCAN_TILE_BYTES] = {"tile-bytes-unreadable",
                         "the disk below is failing: copy the archive to another one, and bring "
                         "this tile back from a mirror" NOT_IN_JOURNAL},
    [SCAN_TILE_OUTSIDE] = {"tile-outside",
                           "no part of the drive shows it; see whether 'mosaicfs.index' is the "
                           "right one"},
    [SCAN_TILE_MISPLACED] = {"tile-misplaced", NULL},
    [SCAN_SPELLING] = {"other-spelling", NULL},
    [SCAN_PICTURE] = {"tile-picture", NULL},
    [SCAN_CONFLICT] = {"conflict-copy", NULL},
    [SCAN_UNFINISHED] = {"unfinished-transfer",
                         "let the program that copies finish, or run it again"},
    [SCAN_TEMPORARY] = {"temporary-file", NULL},
    [SCAN_FOREIGN] = {"foreign-file", "see whether somebody needs it"},
    [SCAN_SERVICE] = {"service-file", ""},
    [SCAN_RESERVED] = {"reserved-name", ""},
    [SCAN_LOCK_ELSEWHERE] = {"lock-elsewhere", ""},
    [SCAN_JOURNAL_MISSING] = {"journal-missing", ""},
};

const char *findings_word(enum scan_kind kind)
{
    return texts[kind].word;
}

static void put(char text[FINDINGS_TEXT], const char *fmt, ...) PRINTF(2, 3);
static void put(char text[FINDINGS_TEXT], const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, FINDINGS_TEXT, fmt, ap);
    va_end(ap);
}

/* "tile '00/0001'", "the index": what a file is a copy of. */
static void original(const struct scan_finding *f, char text[64])
{
    const char *what = strchr(f->of, '.') ? "file" : "folder";
    char path[SCAN_ORIGINAL];

    scan_original(f, path);
    if (!strcmp(f->of, FORMAT_INDEX_NAME)) {
        strcpy(text, "the index");
        return;
    }
    if (f->where == NAMES_PRIVATE)
        what = "file";
    else if (strchr(path, '/'))
        what = "tile";
    else if (!strcmp(f->of, FORMAT_PRIVATE_DIR))
        what = "directory";
    snprintf(text, 64, "%s '%s'", what, path);
}

/* Details that tell what a file is a copy of. */
static void detail_of_copy(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    const char *absent = f->lone ? ", which is missing or damaged" : "";
    const char *as = f->program ? ", as it is named by " : "";
    const char *program = f->program ? f->program : "";
    char of[64];

    original(f, of);
    if (f->kind == SCAN_TILE_MISPLACED)
        put(text, "it is named like %s and lies elsewhere%s", of,
            f->lone ? "; that one is missing or damaged" : "");
    else if (f->kind == SCAN_SPELLING)
        put(text, "it is named like %s, but in upper case%s", of,
            f->lone ? "; that one is missing or damaged" : "");
    else if (f->kind == SCAN_PICTURE)
        put(text, "%s as the JPEG variant of the original MosaicFS keeps it", of);
    else if (f->kind == SCAN_CONFLICT)
        put(text, "a conflict copy of %s%s%s%s", of, absent, as, program);
    else if (f->kind == SCAN_UNFINISHED)
        put(text, "a transfer of %s that has not ended%s%s", of, as, program);
    else
        put(text, "a temporary file of %s that a crash left%s", of,
            f->whole ? "; it is a whole index" : "");
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
    default:
        put(text, "a tile behind the end of the image");
    }
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
        put(text, "host '%s' has the archive mounted (process %d), or had when it ended", f->host,
            (int)f->pid);
    else
        put(text, "there is no journal of changed tiles: everything may have changed");
}

void findings_detail(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    if (scan_is_note(f->kind)) {
        detail_of_note(f, text);
        return;
    }
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
    case SCAN_LOCK_DAMAGED:
        put(text, "the record of the writer is damaged");
        break;
    case SCAN_LOCK_STALE:
        put(text, "process %d, which had the archive mounted, ended without unmounting",
            (int)f->pid);
        break;
    case SCAN_LOCK_UNREADABLE:
        put(text, "the record of the writer cannot be read: %s", strerror(f->err));
        break;
    case SCAN_JOURNAL_DAMAGED:
        detail_of_journal(f, text);
        break;
    case SCAN_PRIVATE_TYPE:
    case SCAN_LOST_TYPE:
        put(text, "it is not a directory");
        break;
    case SCAN_FOLDER_TYPE:
        put(text, "it is in the place of a folder of tiles and is not a directory");
        break;
    case SCAN_FOLDER_UNREADABLE:
        put(text, "the folder cannot be listed: %s", strerror(f->err));
        break;
    case SCAN_TILE_MISPLACED:
    case SCAN_SPELLING:
    case SCAN_PICTURE:
    case SCAN_CONFLICT:
    case SCAN_UNFINISHED:
    case SCAN_TEMPORARY:
        detail_of_copy(f, text);
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

/* What to do with it, whether a repair moves it or not. */
static void advice(const struct scan *scan, const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    char path[SCAN_ORIGINAL] = "", of[64] = "";

    if (f->of[0]) {
        scan_original(f, path);
        original(f, of);
    }
    if (f->kind == SCAN_FOLDER_UNREADABLE && !strcmp(f->path, FORMAT_PRIVATE_DIR))
        put(text, "run this as the owner of the archive");
    else if (texts[f->kind].advice)
        put(text, "%s", texts[f->kind].advice);
    else if (f->kind == SCAN_TILE_LONG)
        put(text,
            "what is behind its end is ignored; unless it is the tile of another archive, "
            "'truncate -s %" PRIu64 "' cuts it",
            f->want);
    else if (f->kind == SCAN_TILE_SHORT)
        put(text,
            "bring the tile back from a mirror; if none has it, 'truncate -s %" PRIu64
            "' makes it readable, with zeros for what is lost" NOT_IN_JOURNAL,
            f->want);
    else if (f->kind == SCAN_PICTURE && !scan_may_move(scan, f))
        put(text, "this version cannot read it, and refuses the archive or that tile; use the "
                  "program that wrote it, or move the file elsewhere if it is not needed");
    else if (f->whole)
        put(text, "it is whole: if it is of this archive, rename it to '%s'", path);
    else if (f->lone && !scan_may_move(scan, f))
        put(text,
            "it may be all there is of %s: if it belongs there, move it to '%s'%s; else move it "
            "out of the archive",
            of, path, strchr(path, '/') ? NOT_IN_JOURNAL : "");
    else if (f->directory && !scan_may_move(scan, f))
        put(text, "see whether something in it is newer than in %s, and move it out of the archive",
            of);
    else if (f->kind == SCAN_CONFLICT)
        put(text,
            "two machines changed %s, and the other version is the one in use; see that one "
            "side alone writes",
            of);
    else
        put(text, "the drive does not show it");
}

void findings_advice(const struct scan *scan, const struct scan_finding *f,
                     char text[FINDINGS_TEXT])
{
    size_t len;

    advice(scan, f, text);
    len = strlen(text);
    /* That of a stale lock says it already. */
    if (scan_may_move(scan, f) && f->kind != SCAN_LOCK_STALE)
        snprintf(text + len, FINDINGS_TEXT - len, BY_REPAIR);
}
