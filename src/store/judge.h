/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is wrong with one name in an archive: the part of scan that knows what
 * an archive should look like.
 */
#ifndef STORE_JUDGE_H
#define STORE_JUDGE_H

#include <stdint.h>
#include <sys/stat.h>

#include "store/scan.h"

#define JUDGE_LOST "lost+found" /* in .mosaicfs: what a repair took away */

/* A directory whose names are judged. */
struct judge_place {
    enum names_where where;
    uint32_t folder;
    char path[LAYOUT_PATH]; /* "." for the archive itself */
    int fd;
};

/* The archive's layout or, without an index, the likeliest. */
const struct layout *judge_layout(const struct scan *scan);

/*
 * Sets f, without a path; SCAN_FINE also when the name is gone. *st is that of
 * the file, which is not followed; unchanged when there is none.
 */
void judge_name(const struct scan *scan, const struct judge_place *place, const char *name,
                struct scan_finding *f, struct stat *st);

#endif
