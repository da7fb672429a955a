/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looks at an archive and lists what is wrong with it. Reads only, takes no
 * lock, and holds against nobody what comes and goes in a mounted archive: who
 * reports calls scan_again() first.
 *
 * Nothing is opened but directories and regular files, and no symbolic link is
 * followed: the archive may be a stranger's.
 */
#ifndef STORE_SCAN_H
#define STORE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "format/names.h"
#include "format/record.h"
#include "store/archive.h"

enum scan_kind {
    SCAN_FINE,
    /* the archive as a whole */
    SCAN_INDEX_MISSING,
    SCAN_INDEX_DAMAGED,    /* why says how */
    SCAN_INDEX_UNREADABLE, /* err */
    SCAN_LOCK_DAMAGED,
    SCAN_LOCK_STALE, /* pid */
    SCAN_LOCK_UNREADABLE,
    SCAN_JOURNAL_DAMAGED, /* why or err; size damaged sectors */
    SCAN_PRIVATE_TYPE,    /* .mosaicfs is no directory */
    SCAN_LOST_TYPE,       /* nor is its lost+found */
    SCAN_HARD_LINKS,      /* size tiles */
    /* in the place of a tile or a folder */
    SCAN_FOLDER_TYPE,
    SCAN_FOLDER_UNREADABLE, /* err */
    SCAN_TILE_TYPE,
    SCAN_TILE_UNREADABLE, /* err */
    SCAN_TILE_LONG,       /* size, should be at most want */
    SCAN_TILE_SHORT,      /* size, should be want */
    SCAN_TILE_BYTES,      /* err: size bytes of it cannot be read, the first at want */
    /* beside the tiles */
    SCAN_TILE_OUTSIDE,
    SCAN_TILE_MISPLACED, /* of */
    SCAN_SPELLING,       /* of */
    SCAN_PICTURE,        /* of */
    SCAN_CONFLICT,       /* of, program */
    SCAN_UNFINISHED,     /* of, program */
    SCAN_TEMPORARY,      /* of */
    SCAN_FOREIGN,
    /* worth saying, and nothing wrong */
    SCAN_SERVICE, /* program */
    SCAN_RESERVED,
    SCAN_LOCK_ELSEWHERE, /* host, pid */
    SCAN_JOURNAL_MISSING,
    SCAN_KINDS
};

struct scan_finding {
    enum scan_kind kind;
    enum names_where where;
    uint32_t folder; /* with NAMES_FOLDER */
    char *path;      /* below the archive; any bytes */
    char of[NAMES_OF];
    const char *program; /* static storage */
    bool lone;           /* what it is a copy of does not exist, or is damaged */
    bool directory;      /* of names other than ours */
    bool whole;          /* a good index under another name */
    const char *why;     /* static storage */
    int err;             /* a positive errno */
    uint64_t size, want;
    char host[RECORD_HOST];
    int32_t pid;
    /* set by who repairs */
    char *moved; /* below the archive, or NULL */
};

struct scan {
    struct archive *archive;
    bool in_use;            /* a process of this machine writes */
    bool indexed;           /* archive->index is good; else sizes and numbers are not known */
    int index_err;          /* of archive_read_index() */
    const char *why;        /* likewise, or NULL */
    uint32_t tiles;         /* of the image that can be opened */
    uint32_t linked;        /* of these, how many have other names, too */
    uint64_t bytes;         /* of these: what they occupy, or their length when that is less */
    unsigned char *present; /* a bit for each of these */
    struct scan_finding *list;
    size_t n, cap;
};

/*
 * archive is as archive_open_dir() leaves it; its index is read here. 0, or
 * -errno, logged, when it could not be looked at as a whole. Release in any case.
 */
MUST_CHECK int scan_run(struct archive *archive, struct scan *scan);
void scan_release(struct scan *scan);

/* Looks at each finding a second time, a moment later; what is no longer so goes. Sorts them. */
void scan_again(struct scan *scan);

/* The finding is still so, as far as that can be seen without reading tiles. */
bool scan_still(const struct scan *scan, const struct scan_finding *finding);

/* What is known about the finding is added to the list; folder "." for the archive. 0 or -ENOMEM.
 */
MUST_CHECK int scan_add(struct scan *scan, const struct scan_finding *finding, const char *folder,
                        const char *name);

#define SCAN_ORIGINAL 32

/* The path below the archive of what finding->of names; that must not be "". */
void scan_original(const struct scan_finding *finding, char path[SCAN_ORIGINAL]);

/* Nothing wrong. */
bool scan_is_note(enum scan_kind kind);

/*
 * The file can be moved away: no byte that the image shows changes, and it is
 * nobody's only copy.
 */
bool scan_may_move(const struct scan *scan, const struct scan_finding *finding);

#endif
