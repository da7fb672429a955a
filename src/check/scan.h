/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looks at an archive and lists what is wrong with it. Reads only, takes no
 * lock, and holds against nobody what comes and goes in a mounted archive: who
 * reports calls scan_again() first.
 *
 * Nothing is opened but directories and regular files, and no symbolic link is
 * followed: the archive may be a stranger's.
 */
#ifndef CHECK_SCAN_H
#define CHECK_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/names.h"
#include "format/record.h"

/* What holds for each stands in scan_kinds.c. */
enum scan_kind {
    SCAN_FINE,
    /* the archive as a whole */
    SCAN_INDEX_MISSING,
    SCAN_INDEX_DAMAGED,    /* why says how */
    SCAN_INDEX_UNREADABLE, /* err */
    SCAN_INDEX_UNUSABLE,   /* why: of a newer version, or too large */
    SCAN_SPARE_DAMAGED,    /* why or err */
    SCAN_SPARE_DIFFERS,    /* size by the copy, want by the index */
    SCAN_TOKEN_MISSING,    /* of a sparse bundle */
    SCAN_TOKEN_UNREADABLE, /* err */
    SCAN_TOKEN_ENCRYPTED,
    SCAN_LOCK_DAMAGED,
    SCAN_LOCK_STALE, /* pid, mounted */
    SCAN_LOCK_UNREADABLE,
    SCAN_JOURNAL_DAMAGED, /* why or err; size damaged sectors */
    SCAN_COVER_DAMAGED,   /* err, or 0 */
    SCAN_COVER_UNREADABLE,
    SCAN_REINDEX_UNFINISHED,  /* it was interrupted: the archive is refused until it is run again */
    SCAN_ROLLBACK_UNFINISHED, /* likewise */
    SCAN_MANIFEST_DAMAGED,    /* why */
    SCAN_PRIVATE_TYPE,        /* .mosaicfs is no directory */
    SCAN_LOST_TYPE,           /* nor is its lost+found */
    SCAN_HARD_LINKS,          /* size tiles */
    SCAN_LAYOUTS_MIXED,       /* tiles by which names: both, size only ours, want only another's */
    SCAN_HEADS_UNKNOWN,       /* nobody can tell how long the pictures before the tiles are */
    /* in the place of a tile or a folder */
    SCAN_FOLDER_MISSING, /* where there is but one */
    SCAN_FOLDER_TYPE,
    SCAN_FOLDER_UNREADABLE, /* err */
    SCAN_TILE_TYPE,
    SCAN_TILE_UNREADABLE, /* err */
    SCAN_TILE_LONG,       /* size, should be at most want; picture */
    SCAN_TILE_SHORT,      /* size, should be want; picture */
    SCAN_TILE_CUT,      /* size: the file ends before the tile's bytes, which begin at want or 0 */
    SCAN_TILE_HEAD,     /* why: what the file says of itself is of no use */
    SCAN_TILE_NONE,     /* nothing in the file says that it is a tile */
    SCAN_TILE_STRANGER, /* it says that it is of another archive */
    SCAN_TILE_SWAPPED,  /* it says that it is another tile: of */
    SCAN_UNWRITABLE,    /* err: we may not write to it, or make and remove files in it */
    SCAN_TILE_BYTES,    /* err: size bytes of it cannot be read, the first at want */
    SCAN_PICTURE_CHANGED, /* the picture before the tile is not as it was written */
    SCAN_TILE_MISSING,    /* the manifest has it */
    SCAN_TILE_RESIZED,    /* size, the manifest says want */
    SCAN_TILE_OTHER,      /* not with the bytes of the manifest */
    SCAN_TILE_ADDED,      /* the manifest does not have it */
    /* beside the tiles */
    SCAN_TILE_OUTSIDE,
    SCAN_TILE_MISPLACED, /* of */
    SCAN_SPELLING,       /* of */
    SCAN_LAYOUT,         /* of: a tile by the name that another layout gives it */
    SCAN_CONFLICT,       /* of, program */
    SCAN_UNFINISHED,     /* of, program */
    SCAN_TEMPORARY,      /* of */
    SCAN_FOREIGN,
    /* worth saying, and nothing wrong */
    SCAN_SERVICE, /* program */
    SCAN_RESERVED,
    SCAN_LOCK_ELSEWHERE, /* host, pid, mounted */
    SCAN_JOURNAL_MISSING,
    SCAN_SPARE_MISSING, /* the copy of an index: no program needs it as long as that is good */
    SCAN_NOT_OURS,      /* err: we may not write to the archive at all */
    SCAN_KINDS
};

/* What a file that bears no name of ours says of itself, whatever its name. */
enum scan_claim {
    SCAN_CLAIMS_NOTHING,
    SCAN_CLAIMS_OURS,  /* it is a tile of this archive */
    SCAN_CLAIMS_OTHER, /* of another one */
    SCAN_CLAIMS_SOME,  /* of which, is damaged or of a newer version */
};

struct scan_finding {
    enum scan_kind kind;
    enum names_where where;
    uint32_t folder; /* with NAMES_FOLDER */
    char *path;      /* below the archive; any bytes */
    enum names_what what;
    uint32_t tile; /* when of is one */
    char of[LAYOUT_PATH];
    const char *program; /* static storage */
    enum scan_claim claim;
    bool lone;       /* what it is a copy of does not exist, or is damaged */
    bool directory;  /* of names other than ours */
    bool whole;      /* a good index under another name */
    bool mounted;    /* by a process that did not just repair or reindex */
    const char *why; /* static storage */
    int err;         /* a positive errno */
    uint64_t size, want;
    uint64_t picture; /* LAYOUT_TAIL: length of the one that the file begins with, or 0 */
    uint32_t both;
    char host[RECORD_HOST];
    int32_t pid;
    /* set by who repairs */
    char *moved; /* below the archive, or NULL */
};

struct scan {
    struct archive *archive;
    bool in_use;     /* a process of this machine writes */
    int write_err;   /* why we may not write to the archive, or 0; a positive errno */
    bool indexed;    /* archive->index is good; else sizes and numbers are not known */
    bool unsure;     /* there is another index that says otherwise, or only a spare one */
    bool reindexing; /* places of tiles may be empty that are not to be */
    int index_err;   /* of archive_index_find() */
    const char *why; /* likewise, or NULL */
    const struct layout *layout; /* the index's or, without one, the likeliest */
    uint32_t tiles;              /* of the image that can be opened */
    uint32_t linked;             /* of these, how many have other names, too */
    uint64_t bytes;              /* of these: what they occupy, or their length when that is less */
    uint32_t folders;            /* how many of those of the image there are */
    unsigned char *present;      /* a bit for each of these */
    unsigned char *rivals;       /* a bit for each tile that there is by another layout's name */
    bool rivals_filled;          /* there is something in one of them */
    struct scan_finding *list;
    size_t n, cap;
};

/*
 * archive is as archive_open_dir() leaves it; its index is read here. 0, or
 * -errno, logged, when it could not be looked at as a whole. Release in any case.
 */
MUST_CHECK int scan_run(struct archive *archive, struct scan *scan);
void scan_release(struct scan *scan);

/*
 * What was scanned is an archive, of a version that we know. 0; -ENOENT, -ENOTSUP, or -errno,
 * logged.
 */
MUST_CHECK int scan_is_archive(const struct scan *scan);

/* Looks at each finding a second time, a moment later; what is no longer so goes. Sorts them. */
void scan_again(struct scan *scan);

/* The finding is still so, as far as that can be seen without reading tiles. */
bool scan_still(const struct scan *scan, const struct scan_finding *finding);

/* What is known about the finding is added to the list; folder "." for the archive. 0 or -ENOMEM.
 */
MUST_CHECK int scan_add(struct scan *scan, const struct scan_finding *finding, const char *folder,
                        const char *name);

/* The tile turned out to be damaged: what may be a copy of it may be its only good one. */
void scan_spoiled(struct scan *scan, uint32_t tile);

/*
 * The file can be moved away: no byte that the image shows changes, and it is
 * nobody's only copy.
 */
bool scan_may_move(const struct scan *scan, const struct scan_finding *finding);

#endif
