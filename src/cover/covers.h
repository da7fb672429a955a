/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pictures that new tiles of a layout with pictures show. They come from
 * one file or, a random one for each tile, from the files of a directory;
 * .mosaicfs/cover remembers where that is, on this machine. Where it is not
 * known or nothing there can be used, a new tile shows what another tile of the
 * archive shows.
 */
#ifndef COVER_COVERS_H
#define COVER_COVERS_H

#include <stddef.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/cover.h"

struct covers;

/* What is remembered. */
struct covers_source {
    char path[PATH_MAX];   /* absolute; "": nothing */
    uint64_t max;          /* bytes of a picture, at most */
    char skip[COVER_SKIP]; /* pictures of a directory that are not to be taken: cover_skip() */
};

/* Reads .mosaicfs/cover. 0, also when there is none; else -errno, logged. */
MUST_CHECK int covers_source_recall(const struct archive *archive, struct covers_source *source);

/* Writes it, durably. 0 or -errno, logged. */
MUST_CHECK int covers_source_remember(const struct archive *archive,
                                      const struct covers_source *source);

/*
 * Gets covers ready for an archive of a layout with pictures: the directory is
 * listed, one picture is tried. Warns when the source cannot be used; that alone is no
 * error. 0 or -errno, logged. Free with covers_free(), which takes NULL.
 */
MUST_CHECK int covers_open(const struct archive *archive, const struct covers_source *source,
                           struct covers **out);
void covers_free(struct covers *covers);

/* The open file or directory that pictures come from, or -1: a confined process may go on reading
 * there. */
int covers_fd(const struct covers *covers);

/* Is given the len bytes of a head, which are gone when it returns. 0 or -errno. */
typedef int covers_use(void *arg, const void *head, size_t len);

/*
 * Makes the head of a new tile and calls use with it; other threads wait for that long.
 * What use returns; -ENODATA when there is no picture at all; else -errno. What went
 * wrong with single pictures is logged, not more than once a picture. covers may be
 * NULL: there is no picture.
 */
MUST_CHECK int covers_make(struct covers *covers, uint32_t tile, covers_use *use, void *arg);

/* The image has so many tiles now. Nobody makes a head meanwhile. NULL is fine. */
void covers_grow(struct covers *covers, uint32_t ntiles);

#endif
