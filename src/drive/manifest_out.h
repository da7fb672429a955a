/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The two files of a manifest, written once the digests of all tiles are known.
 */
#ifndef DRIVE_MANIFEST_OUT_H
#define DRIVE_MANIFEST_OUT_H

#include "archive/manifest_file.h"
#include "base/compiler.h"

/* A tile of the new manifest. */
struct manifest_row {
    struct digests_entry entry;
    uint64_t first;                     /* how many digests come before its list */
    unsigned char file[HASH_RAW];       /* of the whole file */
    const struct manifest_tile *before; /* in the manifest before, if the tile did not change */
};

/*
 * Writes pages, index and head of mosaicfs.digests, which has the lists already, and syncs it.
 * Sets manifest->digests. 0 or -errno, not logged.
 */
MUST_CHECK int manifest_out_digests(struct manifest *manifest, const struct manifest_row *rows,
                                    uint32_t n, uint64_t lists, int fd);

/*
 * Writes mosaicfs.manifest and syncs it. Sets manifest->lines and manifest->root. 0 or -errno, not
 * logged.
 */
MUST_CHECK int manifest_out_text(struct manifest *manifest, const struct manifest_row *rows,
                                 uint32_t n, int fd);

#endif
