/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive of any layout in a private directory of its own below TMPDIR, for
 * tests that need real tile files. Failures end the test program: there is
 * nothing to test without it.
 */
#ifndef TEST_TEMPSTORE_H
#define TEST_TEMPSTORE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/archive.h"
#include "format/format.h"
#include "layouts.h"
#include "store/dir.h"
#include "tree.h"

struct tempstore {
    char base[PATH_MAX - 64]; /* removed with all in it by tempstore_remove() */
    char path[PATH_MAX];      /* of the archive, below base */
    char cover[PATH_MAX];     /* of new tiles, below base */
    char planted[PATH_MAX +
                 LAYOUT_PATH]; /* a tile that tells the layout, and goes when that is known */
    struct archive archive;    /* open after tempstore_open() */
    struct covers *covers;     /* likewise */
};

static inline void tempstore_must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static inline void tempstore_make(struct tempstore *temp)
{
    const char *tmp = getenv("TMPDIR");

    memset(temp, 0, sizeof(*temp));
    snprintf(temp->base, sizeof(temp->base), "%s/mosaicfs-test-XXXXXX", tmp ? tmp : "/tmp");
    tempstore_must(mkdtemp(temp->base) != NULL, temp->base);
    snprintf(temp->path, sizeof(temp->path), "%s/drive.img", temp->base);
    snprintf(temp->cover, sizeof(temp->cover), "%s/cover.jpg", temp->base);
}

/* A new archive without tiles. Format 1 has whole tiles only. */
static inline void tempstore_create_as(struct tempstore *temp, const struct geometry *geo,
                                       const struct layout *layout)
{
    char name[LAYOUT_PATH];
    struct index index;

    if (!layouts_original(layout)) {
        tempstore_must(layouts_index(layout, geo, &index) == 0, "uuid");
        tempstore_must(archive_create(temp->path, &index) == 0, temp->path);
        return;
    }
    tempstore_must(layouts_make_original(temp->path, layout, geo, 0, COVER_2017) == 0, temp->path);
    layout->tile_path(0, name);
    if (layout->head != LAYOUT_BARE)
        snprintf(temp->planted, sizeof(temp->planted), "%s/%s", temp->path, name);
}

static inline void tempstore_create(struct tempstore *temp, const struct geometry *geo)
{
    tempstore_create_as(temp, geo, &layout_plain);
}

static inline struct store *tempstore_open(struct tempstore *temp, bool read_only,
                                           unsigned max_open)
{
    struct dir_config config = {.read_only = read_only, .max_open = max_open};
    struct store *st = NULL;

    tempstore_must(archive_open(temp->path, &temp->archive) == 0, temp->path);
    if (!read_only)
        tempstore_must(layouts_covers(&temp->archive, temp->cover, &temp->covers) == 0,
                       temp->cover);
    if (temp->planted[0])
        tempstore_must(unlink(temp->planted) == 0, temp->planted);
    temp->planted[0] = '\0';
    config.covers = temp->covers;
    tempstore_must(dir_open(&temp->archive, &config, &st) == 0, temp->path);
    return st;
}

/* After the store was closed: the archive and its covers. Again is fine. */
static inline void tempstore_close(struct tempstore *temp)
{
    covers_free(temp->covers);
    temp->covers = NULL;
    archive_close(&temp->archive);
}

/* Likewise, and all files go. */
static inline void tempstore_remove(struct tempstore *temp)
{
    tempstore_close(temp);
    tempstore_must(tree_remove(temp->base) == 0, temp->base);
}

#endif
