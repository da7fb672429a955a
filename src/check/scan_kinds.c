/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "check/scan_kinds.h"

static const struct kind {
    const char *word;
    bool note;
    enum scan_kinds_move move;
} kinds[SCAN_KINDS] = {
    [SCAN_INDEX_MISSING] = {"index-missing", false, SCAN_KINDS_STAYS},
    [SCAN_INDEX_DAMAGED] = {"index-damaged", false, SCAN_KINDS_STAYS},
    [SCAN_INDEX_UNREADABLE] = {"index-unreadable", false, SCAN_KINDS_STAYS},
    [SCAN_INDEX_UNUSABLE] = {"index-unusable", false, SCAN_KINDS_STAYS},
    [SCAN_SPARE_DAMAGED] = {"spare-index-damaged", false, SCAN_KINDS_STAYS},
    [SCAN_SPARE_DIFFERS] = {"spare-index-differs", false, SCAN_KINDS_STAYS},
    [SCAN_TOKEN_MISSING] = {"token-missing", false, SCAN_KINDS_STAYS},
    [SCAN_TOKEN_UNREADABLE] = {"token-unreadable", false, SCAN_KINDS_STAYS},
    [SCAN_TOKEN_ENCRYPTED] = {"token-encrypted", false, SCAN_KINDS_STAYS},
    [SCAN_LOCK_DAMAGED] = {"lock-damaged", false, SCAN_KINDS_GOES},
    [SCAN_LOCK_STALE] = {"lock-stale", false, SCAN_KINDS_GOES},
    [SCAN_LOCK_UNREADABLE] = {"lock-unreadable", false, SCAN_KINDS_STAYS},
    [SCAN_JOURNAL_DAMAGED] = {"journal-damaged", false, SCAN_KINDS_GOES},
    [SCAN_COVER_DAMAGED] = {"cover-damaged", false, SCAN_KINDS_GOES},
    [SCAN_COVER_UNREADABLE] = {"cover-unreadable", false, SCAN_KINDS_STAYS},
    [SCAN_REINDEX_UNFINISHED] = {"reindex-unfinished", false, SCAN_KINDS_STAYS},
    [SCAN_ROLLBACK_UNFINISHED] = {"rollback-unfinished", false, SCAN_KINDS_STAYS},
    [SCAN_MANIFEST_DAMAGED] = {"manifest-damaged", false, SCAN_KINDS_STAYS},
    [SCAN_PRIVATE_TYPE] = {"private-type", false, SCAN_KINDS_STAYS},
    [SCAN_LOST_TYPE] = {"lost-found-type", false, SCAN_KINDS_STAYS},
    [SCAN_HARD_LINKS] = {"hard-links", false, SCAN_KINDS_STAYS},
    [SCAN_LAYOUTS_MIXED] = {"layouts-mixed", false, SCAN_KINDS_STAYS},
    [SCAN_HEADS_UNKNOWN] = {"pictures-differ", false, SCAN_KINDS_STAYS},
    [SCAN_FOLDER_MISSING] = {"folder-missing", false, SCAN_KINDS_STAYS},
    [SCAN_FOLDER_TYPE] = {"folder-type", false, SCAN_KINDS_STAYS},
    [SCAN_FOLDER_UNREADABLE] = {"folder-unreadable", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_TYPE] = {"tile-type", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_UNREADABLE] = {"tile-unreadable", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_LONG] = {"tile-too-long", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_SHORT] = {"tile-too-short", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_CUT] = {"tile-cut", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_HEAD] = {"tile-head-damaged", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_NONE] = {"tile-is-none", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_STRANGER] = {"tile-of-other-archive", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_SWAPPED] = {"tile-of-other-number", false, SCAN_KINDS_STAYS},
    [SCAN_UNWRITABLE] = {"not-writable", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_BYTES] = {"tile-bytes-unreadable", false, SCAN_KINDS_STAYS},
    [SCAN_PICTURE_CHANGED] = {"picture-changed", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_MISSING] = {"tile-missing", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_RESIZED] = {"tile-resized", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_OTHER] = {"tile-other", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_ADDED] = {"tile-added", false, SCAN_KINDS_STAYS},
    [SCAN_TILE_OUTSIDE] = {"tile-outside", false, SCAN_KINDS_OUTSIDE},
    [SCAN_TILE_MISPLACED] = {"tile-misplaced", false, SCAN_KINDS_COPY},
    [SCAN_SPELLING] = {"other-spelling", false, SCAN_KINDS_COPY},
    [SCAN_LAYOUT] = {"tile-of-other-layout", false, SCAN_KINDS_LAYOUT},
    [SCAN_CONFLICT] = {"conflict-copy", false, SCAN_KINDS_COPY},
    [SCAN_UNFINISHED] = {"unfinished-transfer", false, SCAN_KINDS_TRANSFER},
    [SCAN_TEMPORARY] = {"temporary-file", false, SCAN_KINDS_TRANSFER},
    [SCAN_FOREIGN] = {"foreign-file", false, SCAN_KINDS_FOREIGN},
    [SCAN_SERVICE] = {"service-file", true, SCAN_KINDS_STAYS},
    [SCAN_RESERVED] = {"reserved-name", true, SCAN_KINDS_STAYS},
    [SCAN_LOCK_ELSEWHERE] = {"lock-elsewhere", true, SCAN_KINDS_STAYS},
    [SCAN_JOURNAL_MISSING] = {"journal-missing", true, SCAN_KINDS_STAYS},
    [SCAN_SPARE_MISSING] = {"spare-index-missing", true, SCAN_KINDS_STAYS},
    [SCAN_NOT_OURS] = {"archive-not-writable", true, SCAN_KINDS_STAYS},
};

const char *scan_kinds_word(enum scan_kind kind)
{
    return kinds[kind].word;
}

bool scan_kinds_note(enum scan_kind kind)
{
    return kinds[kind].note;
}

enum scan_kinds_move scan_kinds_move(enum scan_kind kind)
{
    return kinds[kind].move;
}
