/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a name tells that does not belong where it was found: which program put
 * it there, and what it is a copy of. Pure: a name in, a verdict out.
 */
#ifndef FORMAT_NAMES_H
#define FORMAT_NAMES_H

#include <stdint.h>

#include "format/layout.h"

/* The directory of an archive that the name was found in. */
enum names_where { NAMES_TOP, NAMES_FOLDER, NAMES_PRIVATE };

enum names_kind {
    NAMES_FOREIGN,    /* nothing is known about it */
    NAMES_OURS,       /* exactly a name of ours; of a tile: perhaps in the wrong folder */
    NAMES_SPELLING,   /* a name of ours but for upper case, .jpeg, or zeros before a number */
    NAMES_LAYOUT,     /* what another layout calls that tile */
    NAMES_OUTSIDE,    /* a tile by a number that no image has */
    NAMES_CONFLICT,   /* the version of it that lost when two machines had changed it */
    NAMES_UNFINISHED, /* a transfer that has not ended */
    NAMES_TEMPORARY,  /* left by us at a crash */
    NAMES_SERVICE,    /* what another program keeps in a directory that it uses */
    NAMES_RESERVED,   /* begins as names of ours do: perhaps of a newer version */
};

/* What a name of ours is the name of. */
enum names_what {
    NAMES_NOTHING,
    NAMES_A_TILE,
    NAMES_A_FOLDER, /* of tiles */
    NAMES_THE_INDEX,
    NAMES_A_FILE,      /* some other */
    NAMES_A_DIRECTORY, /* likewise */
};

struct names {
    enum names_kind kind;
    const char *program; /* that gave the name, or NULL: not known; static storage */
    enum names_what what;
    uint32_t tile; /* when it is one */
    /* The path of what it is, or is a copy of: "00/0001.jpg", "mosaicfs.index"; "": of nothing. */
    char of[LAYOUT_PATH];
};

/* name: any bytes, without a slash. */
void names_recognise(const struct layout *layout, enum names_where where, const char *name,
                     struct names *out);

#endif
