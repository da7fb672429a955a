/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a name tells that does not belong where it was found: which program put
 * it there, and what it is a copy of. Pure: a name in, a verdict out.
 */
#ifndef FORMAT_NAMES_H
#define FORMAT_NAMES_H

/* The directory of an archive that the name was found in. */
enum names_where { NAMES_TOP, NAMES_FOLDER, NAMES_PRIVATE };

enum names_kind {
    NAMES_FOREIGN,    /* nothing is known about it */
    NAMES_OURS,       /* exactly a name of ours; of a tile: perhaps in the wrong folder */
    NAMES_SPELLING,   /* a name of ours but for upper case */
    NAMES_PICTURE,    /* a tile of the original's JPEG variant */
    NAMES_CONFLICT,   /* the version of it that lost when two machines had changed it */
    NAMES_UNFINISHED, /* a transfer that has not ended */
    NAMES_TEMPORARY,  /* left by us at a crash */
    NAMES_SERVICE,    /* what another program keeps in a directory that it copies */
    NAMES_RESERVED,   /* begins as names of ours do: perhaps of a newer version */
};

#define NAMES_OF 16

struct names {
    enum names_kind kind;
    const char *program; /* that gave the name, or NULL: not known; static storage */
    /* "00", "0000", "mosaicfs.index" and so on: what it is, or is a copy of; "": nothing of ours */
    char of[NAMES_OF];
};

/* name: any bytes, without a slash. */
void names_recognise(enum names_where where, const char *name, struct names *out);

#endif
