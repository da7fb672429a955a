/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tiles as files of an archive directory.
 */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "archive/archive.h"
#include "store/store.h"

#define DIR_OPEN_MIN 64

struct covers;

struct dir_config {
    bool read_only;
    bool unlisted;         /* the archive is still being made: no list of changed tiles yet */
    unsigned max_open;     /* descriptors held open, at least DIR_OPEN_MIN */
    struct covers *covers; /* for new tiles behind pictures, or NULL: as covers_make() then does */
};

/*
 * archive, and covers, must outlive the store; archive->index changes when the store is resized. 0
 * or -errno, logged. Close with store_close().
 */
MUST_CHECK int dir_open(struct archive *archive, const struct dir_config *config,
                        struct store **out);

#endif
