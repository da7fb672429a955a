/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive in a private directory of its own below TMPDIR, for tests that
 * need real tile files. Failures end the test program: there is nothing to
 * test without it.
 */
#ifndef TEST_TEMPSTORE_H
#define TEST_TEMPSTORE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "format/format.h"
#include "store/archive.h"
#include "store/dir.h"
#include "tree.h"

struct tempstore {
    char base[PATH_MAX - 64]; /* removed with all in it by tempstore_remove() */
    char path[PATH_MAX];      /* of the archive, below base */
    struct archive archive;   /* open after tempstore_open() */
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
}

/* Writes a new format 2 archive. */
static inline void tempstore_create(struct tempstore *temp, const struct geometry *geo)
{
    struct index index = {.format = FORMAT_CURRENT, .geometry = *geo, .layout = &layout_plain};

    tempstore_must(hash_uuid(index.uuid) == 0, "uuid");
    tempstore_must(archive_create(temp->path, &index) == 0, temp->path);
}

static inline struct store *tempstore_open(struct tempstore *temp, bool read_only,
                                           unsigned max_open)
{
    struct store *st = NULL;

    tempstore_must(archive_open(temp->path, &temp->archive) == 0, temp->path);
    tempstore_must(dir_open(&temp->archive, read_only, max_open, &st) == 0, temp->path);
    return st;
}

/* After the store was closed. */
static inline void tempstore_remove(struct tempstore *temp)
{
    archive_close(&temp->archive);
    tempstore_must(tree_remove(temp->base) == 0, temp->base);
}

#endif
