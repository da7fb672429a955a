/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Files that may be tiles of layout jpeg, wherever they lie and whatever they
 * are called: what each says of itself, and what is to become of it. Reads
 * only. Names are anybody's, bytes are hostile; nothing but directories and
 * regular files is opened, and no symbolic link in a directory is followed.
 */
#ifndef REINDEX_STRAYS_H
#define REINDEX_STRAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/jpeg.h"

enum stray_kind {
    STRAY_SOUND,      /* a tile; its picture is as it was made */
    STRAY_ALTERED,    /* a tile; the picture has been changed, perhaps more */
    STRAY_CUT,        /* it ends before the tile's bytes begin */
    STRAY_DAMAGED,    /* once a tile: what it says of itself is damaged */
    STRAY_NEWER,      /* a newer version made it */
    STRAY_STRANGER,   /* no tile */
    STRAY_UNFINISHED, /* by its name: of a transfer that has not ended */
    STRAY_UNREADABLE, /* err; of a directory, all that is in it */
    STRAY_TYPE,       /* no regular file, in the place of a tile */
    STRAY_ARCHIVE,    /* a directory that is an archive of its own: not looked into */
};

enum stray_fate {
    STRAY_LEFT,      /* it is of no use, and stays where it is */
    STRAY_IN_PLACE,  /* it is where it belongs */
    STRAY_PUT,       /* it goes where it belongs */
    STRAY_DUPLICATE, /* another file is that tile, and it stays where it is */
    STRAY_DISPLACED, /* it stands where another belongs, and makes room */
    STRAY_ELSEWHERE, /* a tile of another archive */
    STRAY_OUTSIDE,   /* a tile behind the end of the image */
};

struct stray {
    char *path;  /* below the archive, or as the user calls it; any bytes */
    char *found; /* what path was at first, when it is another one now; else NULL */
    bool inside; /* the archive */
    enum stray_kind kind;
    enum stray_fate fate;
    bool in_the_way;     /* STRAY_PUT, and stands where another belongs */
    bool copied;         /* from outside; path is that of the copy */
    int err;             /* a positive errno */
    struct jpeg_tag tag; /* of STRAY_SOUND, _ALTERED and _CUT */
    struct timespec mtime;
    /* that it was one and the same file when it is copied */
    dev_t dev;
    ino_t ino;
    uint64_t size;
};

struct strays {
    const struct archive *archive; /* that they are looked at for */
    struct stray *list;
    size_t n, cap;
    /* Unless NULL: hears now and then how many files have been looked at. */
    void (*tell)(size_t looked, void *arg);
    void *arg;
};

/*
 * All files of the archive, .mosaicfs and other archives aside, on its file
 * system. 0 or -errno, logged.
 */
MUST_CHECK int strays_find(struct strays *strays);

/*
 * A file, or all files below a directory, that the user named; those of the
 * archive are left out, and an archive that somebody writes to is refused. 0 or
 * -errno, logged.
 */
MUST_CHECK int strays_add(struct strays *strays, const char *path);

/* Keeps nothing but archive and tell. */
void strays_release(struct strays *strays);

/* A tile of any archive, whose bytes can be used. */
bool strays_is_tile(const struct stray *stray);

/* The tile of the archive that stray stands in the place of. */
bool strays_place(const struct stray *stray, const struct layout *layout, uint32_t *tile);

/*
 * Decides about each: of several files that are one tile of the archive index
 * speaks of, altered ones that are not in its place come last, else the newest is
 * taken. Sorts the list by tile, then by rank; what is no tile comes last, by path.
 */
void strays_decide(struct strays *strays, const struct index *index);

#endif
