/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is wrong with one name in an archive: the part of scan that knows what
 * an archive should look like.
 */
#ifndef CHECK_INSPECT_H
#define CHECK_INSPECT_H

#include <stdint.h>
#include <sys/stat.h>

#include "check/scan.h"

#define INSPECT_LOST "lost+found" /* in .mosaicfs: what a repair took away */

/* A directory whose names are inspected. */
struct inspect_place {
    enum names_where where;
    uint32_t folder;
    char path[LAYOUT_PATH]; /* "." for the archive itself */
    int fd;
};

/* Tiles of the image; without an index, of any. */
uint32_t inspect_ntiles(const struct scan *scan);

/* And its folders. */
uint32_t inspect_nfolders(const struct scan *scan);

/*
 * Sets f, without a path; SCAN_FINE also when the name is gone. *st is that of
 * the file, which is not followed; unchanged when there is none.
 */
void inspect_name(const struct scan *scan, const struct inspect_place *place, const char *name,
                  struct scan_finding *f, struct stat *st);

/* 0, or -errno: why we may not write to name, or make and remove files in it. */
int inspect_writable(int dirfd, const char *name);

/* The part of it for what bears the name of a tile of the image, in the right place. */
void inspect_tile(const struct scan *scan, const struct inspect_place *place, const char *name,
                  uint32_t tile, const struct stat *st, struct scan_finding *f);

/* Nothing is wrong with that tile; without its length, who knows. */
bool inspect_tile_is_good(const struct scan *scan, uint32_t tile);

/* What f is about is, or is a copy of, that tile. */
void inspect_tile_name(const struct scan *scan, uint32_t tile, struct scan_finding *f);

/*
 * Reads what a file says of itself that has no business where it lies, and
 * corrects what its name has told about it. f->lone is set already.
 */
void inspect_tile_claim(const struct scan *scan, const struct inspect_place *place,
                        const char *name, struct scan_finding *f);

/*
 * The nth file that must be at the top of such an archive, the index first, or
 * NULL. inspect_name() inspects it, too, when it is missing.
 */
const char *inspect_index_nth(const struct scan *scan, unsigned n);
bool inspect_index_has(const struct scan *scan, const char *name);

/* The part of it for such a file. */
void inspect_index(const struct scan *scan, const char *name, struct scan_finding *f);

#endif
