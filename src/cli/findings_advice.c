/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The next step for each finding. It says how to get the bytes back before it
 * says how to get rid of something, and never advises what could lose the only
 * copy of a tile.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/findings_impl.h"
#include "format/format.h"
#include "format/tags.h"

#define BY_REPAIR "; 'mosaicfs check --repair' moves it away"
#define NOT_IN_JOURNAL ", and remove '" FORMAT_JOURNAL_NAME "', which does not contain that change"
#define BRING_BACK "restore the tile from a mirror" NOT_IN_JOURNAL
#define NOT_MOVED ". It is not moved away, because that part of the drive would then read as zeros"
#define FINISH "let the program that copies finish, or run it again"
#define REINDEX "'mosaicfs reindex ARCHIVE' puts each tile where it belongs"

#define TORN                                                                                      \
    "if the archive is still being copied, wait for the end of that; else restore the tile from " \
    "where it came from; 'mosaicfs verify' lists all that differs from the manifest"

/* That is always the same; "": none. */
static const char *const fixed[SCAN_KINDS] = {
    [SCAN_TOKEN_MISSING] = "create an empty file 'token', unless the bundle is encrypted: then "
                           "restore it, because it contains the key",
    [SCAN_TOKEN_UNREADABLE] = "run this as the owner of the archive",
    [SCAN_TOKEN_ENCRYPTED] =
        "use it on a Mac, or make a copy there that is not encrypted (hdiutil convert)",
    [SCAN_LOCK_DAMAGED] = "make sure that no machine uses the archive",
    [SCAN_LOCK_UNREADABLE] = "run this as the owner of the archive",
    [SCAN_JOURNAL_DAMAGED] = "compare all tiles when you mirror the drive next, as if "
                             "everything had changed",
    [SCAN_COVER_DAMAGED] = "mount once with --cover, which writes it again",
    [SCAN_COVER_UNREADABLE] = "run this as the owner of the archive",
    [SCAN_REINDEX_UNFINISHED] = "if none is under way, run 'mosaicfs reindex ARCHIVE' again, with "
                                "the same files",
    [SCAN_ROLLBACK_UNFINISHED] = "if none is under way, run 'mosaicfs snapshot rollback ARCHIVE "
                                 "NAME' again; the file says which",
    [SCAN_MANIFEST_DAMAGED] =
        "if the archive is still being copied, wait for the end of that; else "
        "put back both files from a mirror, or let 'mosaicfs manifest' write "
        "new ones",
    [SCAN_PRIVATE_TYPE] =
        "find out what it is and move it elsewhere; a directory is created when it is needed",
    [SCAN_LOST_TYPE] = "find out what it is and move it elsewhere by hand; a repair needs a "
                       "directory there, and creates it",
    [SCAN_HARD_LINKS] = "put a copy in the place of each (cp -p; see mosaicfs(1)); "
                        "'find ARCHIVE -links +1 -type f' lists them",
    [SCAN_HEADS_UNKNOWN] = "the archive cannot be mounted; restore tiles from a mirror or a "
                           "backup: two complete ones are enough",
    [SCAN_FOLDER_MISSING] =
        "the archive cannot be mounted; restore the folder from a mirror" NOT_IN_JOURNAL
        "; if nothing was ever written, an empty one is enough",
    [SCAN_FOLDER_TYPE] = "its tiles cannot be read; restore the folder from a mirror" NOT_IN_JOURNAL
                         ". It is not moved away, because all of them would then read as zeros",
    [SCAN_FOLDER_UNREADABLE] = "run this as the owner of the archive; if that does not help, "
                               "restore the folder from a mirror" NOT_IN_JOURNAL,
    [SCAN_TILE_TYPE] = BRING_BACK NOT_MOVED,
    [SCAN_TILE_UNREADABLE] = "run this as the owner of the archive; if that does not help, restore "
                             "the tile from a mirror" NOT_IN_JOURNAL,
    [SCAN_TILE_CUT] = BRING_BACK NOT_MOVED,
    [SCAN_TILE_HEAD] = BRING_BACK NOT_MOVED,
    [SCAN_TILE_NONE] =
        "a program or a service that rewrites pictures destroys what is behind them; " BRING_BACK
            NOT_MOVED,
    [SCAN_TILE_STRANGER] = "move it to the archive to which it belongs, where 'mosaicfs reindex' "
                           "puts it into its place; " BRING_BACK,
    [SCAN_TILE_SWAPPED] = REINDEX,
    [SCAN_UNWRITABLE] = "the drive shows what is in it, and writes that need it fail; as root, "
                        "'chown -R --reference=ARCHIVE ARCHIVE' gives all of it to the archive's "
                        "owner",
    [SCAN_TILE_BYTES] = "the disk below is failing: copy the archive to another one, and restore "
                        "this tile from a mirror" NOT_IN_JOURNAL,
    [SCAN_PICTURE_CHANGED] = "what changed it may have changed the tile's bytes, too: compare it "
                             "with a mirror; 'mosaicfs reindex --covers' gives all tiles new "
                             "pictures",
    [SCAN_TILE_MISSING] = TORN,
    [SCAN_TILE_RESIZED] = TORN,
    [SCAN_TILE_OTHER] = TORN,
    [SCAN_TILE_ADDED] = "if the archive is still being copied, wait for the end of that; "
                        "'mosaicfs verify' lists all that differs from the manifest",
    [SCAN_SERVICE] = "",
    [SCAN_RESERVED] = "",
    [SCAN_LOCK_ELSEWHERE] = "",
    [SCAN_JOURNAL_MISSING] = "",
    [SCAN_SPARE_MISSING] = "",
    [SCAN_NOT_OURS] = "",
};

static void advice_on_index(const struct scan *scan, const struct scan_finding *f,
                            char text[FINDINGS_TEXT])
{
    const char *index = scan->layout->index, *spare = scan->layout->spare_index;

    if (f->kind == SCAN_SPARE_DIFFERS)
        put(text, "find out which of the two is right, and copy it over the other; '%s' counts",
            index);
    else if (f->kind == SCAN_SPARE_DAMAGED)
        put(text,
            scan->indexed && !scan->unsure ? "copy '%s' to '%s'"
                                           : "when '%s' is good again, copy it to '%s'",
            index, spare);
    else if (f->kind == SCAN_INDEX_UNUSABLE)
        put(text,
            "if '%s' is right, copy it to '%s'; if a newer program made '%s', use that program; "
            "the tiles are untouched",
            spare, index, index);
    else if (scan->indexed) /* by the spare one */
        put(text, "copy '%s' to '%s'; the tiles are untouched", spare, index);
    else if (scan->layout->head == LAYOUT_PICTURE && f->kind != SCAN_INDEX_UNREADABLE)
        put(text, "'mosaicfs reindex ARCHIVE' rebuilds it from the tiles, which are untouched");
    else if (f->kind == SCAN_INDEX_MISSING && scan->layout->spare_index)
        put(text,
            "put back a good copy of '%s' or '%s', from a backup; else 'mosaicfs create --layout "
            "sparsebundle' makes one, in a new directory, for the same size of the image and of "
            "its bands; the tiles are untouched",
            index, spare);
    else
        put(text, "%sput back a good copy of '%s', from a mirror or a backup%s",
            f->kind == SCAN_INDEX_UNREADABLE
                ? "run this as the owner of the archive; if that does not help, "
                : "",
            index, f->kind == SCAN_INDEX_UNREADABLE ? "" : "; the tiles are untouched");
}

/* In format 1 bytes count from the end: whoever changes the length of a file shifts them. */
static void advice_on_tail(const struct scan *scan, const struct scan_finding *f,
                           char text[FINDINGS_TEXT])
{
    uint64_t head = scan->archive->head;
    uint64_t len = f->want - head;

    if (f->picture && f->picture == head)
        put(text,
            f->kind == SCAN_TILE_LONG
                ? "restore the tile from a mirror; if there is none, and its end alone has "
                  "grown, 'truncate -s %" PRIu64 "' cuts it" NOT_IN_JOURNAL
                : "restore the tile from a mirror; if none has it, 'truncate -s %" PRIu64
                  "' makes it readable, with zeros for what is lost" NOT_IN_JOURNAL,
            f->want);
    else if (f->picture && f->picture + len == f->size)
        put(text,
            "its bytes are whole, behind a picture of %" PRIu64 " bytes; before them must stand "
            "one of %" PRIu64 ", such as that of another tile: '(head -c %" PRIu64
            " OTHERTILE; tail -c %" PRIu64 " THISTILE) >NEW', and NEW into its "
            "place" NOT_IN_JOURNAL,
            f->picture, head, head, len);
    else
        put(text, BRING_BACK ". Do not change its length: its bytes are counted from the end, and "
                             "where they begin in this file cannot be told");
}

static void advice_on_length(const struct scan *scan, const struct scan_finding *f,
                             char text[FINDINGS_TEXT])
{
    if (scan->layout->head == LAYOUT_TAIL)
        advice_on_tail(scan, f, text);
    else if (f->kind == SCAN_TILE_LONG)
        put(text,
            "what is behind its end is ignored; unless it is the tile of another archive, "
            "'truncate -s %" PRIu64 "' cuts it",
            f->want);
    else
        put(text,
            "restore the tile from a mirror; if none has it, 'truncate -s %" PRIu64
            "' makes it readable, with zeros for what is lost" NOT_IN_JOURNAL,
            f->want);
}

/* Which kind is the drive, neither age nor number proves: what is moved away is kept. */
static void advice_on_mixture(const struct scan *scan, const struct scan_finding *f,
                              char text[FINDINGS_TEXT])
{
    if (!scan->indexed || scan->archive->index.format != FORMAT_ORIGINAL)
        put(text, "tiles that exist only under the other names cause read errors; see the advice "
                  "for each");
    else if (findings_few_rivals(scan, f))
        put(text, "the archive cannot be mounted with them: move them out of it, and keep them "
                  "until you have seen that the drive is right");
    else
        put(text,
            "the archive cannot be mounted: a program that reads one kind sees zeros in place of "
            "the other. If a conversion between the two was interrupted, complete it. Otherwise "
            "the drive is probably the kind with more tiles, and the other was written by a "
            "program that saw zeros there: move that out of the archive, keep it, mount with "
            "--read-only and look; if the drive is not right, exchange the two");
}

static void advice_on_lock(const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    put(text, f->mounted ? "check the file system on the drive when it is mounted next; that mount "
                           "clears the record, and so does 'mosaicfs check --repair'"
                         : "if that was 'mosaicfs reindex', 'check --repair' or 'snapshot "
                           "rollback', run it again; "
                           "that clears the record, and so does the next mount");
}

/* Nobody looks at such a file for a tile, reindex neither. */
static void advice_on_transfer(const struct scan *scan, const struct scan_finding *f,
                               char text[FINDINGS_TEXT])
{
    char of[FINDINGS_ORIGINAL];

    findings_original(f, of);
    if (f->claim == SCAN_CLAIMS_OURS && f->lone && f->of[0] && scan->layout->head == LAYOUT_PICTURE)
        put(text,
            FINISH "; if none does, and this is the only copy of %s, rename it to "
                   "'%s'" NOT_IN_JOURNAL,
            of, f->of);
    else
        put(text, "%s",
            f->kind == SCAN_TEMPORARY && f->claim == SCAN_CLAIMS_OURS ? "the drive does not show it"
                                                                      : FINISH);
}

static bool is_transfer(const struct scan_finding *f)
{
    bool says = f->claim == SCAN_CLAIMS_OURS || f->claim == SCAN_CLAIMS_OTHER;

    if (f->kind == SCAN_UNFINISHED)
        return !f->whole;
    return f->kind != SCAN_TILE_OUTSIDE && says && tags_unfinished(f->path);
}

/* It stays, unless somebody decides; of is what it is a copy of. */
static void advice_on_layout(const struct scan *scan, const struct scan_finding *f, const char *of,
                             char text[FINDINGS_TEXT])
{
    if (!scan->indexed)
        put(text, "repair the index first, then check again");
    else if (f->claim != SCAN_CLAIMS_NOTHING)
        put(text, "it may be the only copy of %s: check whether '%s' is the right one", of,
            scan->layout->index);
    else if (scan->archive->index.format == FORMAT_ORIGINAL)
        put(text, "decide on all files of that kind at once, as described for the archive");
    else
        put(text,
            "reads of %s fail while this file exists: restore the tile from a mirror, or move this "
            "file out of the archive if nobody needs it",
            of);
}

/* It stays, as it may be a folder of tiles or hold some. */
static void advice_on_directory(const struct scan *scan, char text[FINDINGS_TEXT])
{
    char folder[LAYOUT_PATH];

    scan->layout->folder_path(0, folder);
    if (scan->layout->head == LAYOUT_PICTURE)
        put(text, "it may contain tiles: 'mosaicfs reindex ARCHIVE' puts them where they belong; "
                  "then move it out of the archive");
    else
        put(text,
            "a folder of tiles is missing: if this is one under another name, rename it, as in "
            "'%s'; else move it out of the archive",
            folder);
}

/* What may be a copy of something, or something of strangers. */
static void advice_on_stray(const struct scan *scan, const struct scan_finding *f,
                            char text[FINDINGS_TEXT])
{
    bool stays = !scan_may_move(scan, f);
    char of[FINDINGS_ORIGINAL] = "a tile";

    if (f->of[0])
        findings_original(f, of);
    if (is_transfer(f))
        advice_on_transfer(scan, f, text);
    else if (f->claim == SCAN_CLAIMS_OTHER)
        put(text, "move it to that archive, where 'mosaicfs reindex' puts it into its place");
    else if (f->claim == SCAN_CLAIMS_SOME)
        put(text, "check whether a tile is missing, and keep it until none is");
    else if (f->kind == SCAN_LAYOUT && stays)
        advice_on_layout(scan, f, of, text);
    else if (f->kind == SCAN_TILE_OUTSIDE)
        put(text, "no part of the drive shows it; check whether '%s' is the right one",
            scan->layout->index);
    else if (f->claim && scan->layout->head == LAYOUT_PICTURE)
        put(text, REINDEX "%s", f->lone ? "" : ", and keeps the newer of two");
    else if (f->whole)
        put(text, "it is complete: if it belongs to this archive, rename it to '%s'", f->of);
    else if (f->lone && stays && f->of[0])
        put(text,
            "it may be the only copy of %s: if it belongs there, move it to '%s'%s; otherwise move "
            "it out of the archive",
            of, f->of, f->what == NAMES_A_TILE ? NOT_IN_JOURNAL : "");
    else if (f->kind == SCAN_FOREIGN && f->directory && stays && scan->indexed)
        advice_on_directory(scan, text);
    else if (f->kind == SCAN_FOREIGN)
        put(text, "check whether it is still needed");
    else if (f->directory && stays)
        put(text,
            "check whether anything in it is newer than in %s, and move it out of the archive", of);
    else if (f->kind == SCAN_CONFLICT)
        put(text,
            "two machines changed %s, and the other version is the one in use; make sure that only "
            "one side writes",
            of);
    else
        put(text, "the drive does not show it");
}

/* What to do with it, whether a repair moves it or not. */
static void advice(const struct scan *scan, const struct scan_finding *f, char text[FINDINGS_TEXT])
{
    if (f->kind == SCAN_FOLDER_UNREADABLE && !strcmp(f->path, FORMAT_PRIVATE_DIR))
        put(text, "run this as the owner of the archive");
    else if (fixed[f->kind])
        put(text, "%s", fixed[f->kind]);
    else if (f->kind <= SCAN_SPARE_DIFFERS)
        advice_on_index(scan, f, text);
    else if (f->kind == SCAN_TILE_LONG || f->kind == SCAN_TILE_SHORT)
        advice_on_length(scan, f, text);
    else if (f->kind == SCAN_LAYOUTS_MIXED)
        advice_on_mixture(scan, f, text);
    else if (f->kind == SCAN_LOCK_STALE)
        advice_on_lock(f, text);
    else
        advice_on_stray(scan, f, text);
}

void findings_advice(const struct scan *scan, const struct scan_finding *f,
                     char text[FINDINGS_TEXT])
{
    size_t len;

    advice(scan, f, text);
    len = strlen(text);
    /* What a Mac remembers of the tile, see store/bandmap.c. */
    if (strstr(text, NOT_IN_JOURNAL) && scan->layout->maps) {
        snprintf(text + len, FINDINGS_TEXT - len, "; remove its file in '%s', too, if it has one",
                 scan->layout->maps);
        len = strlen(text);
    }
    /* That of a stale lock says it already. */
    if (scan_may_move(scan, f) && f->kind != SCAN_LOCK_STALE)
        snprintf(text + len, FINDINGS_TEXT - len, BY_REPAIR);
}
