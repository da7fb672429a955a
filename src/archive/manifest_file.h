/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The manifest of an archive as it stands on disk, in two files: mosaicfs.manifest and
 * mosaicfs.digests. Each part is read when it is needed, and believed when the one above it has
 * its digest. Nothing is logged here but where said.
 */
#ifndef ARCHIVE_MANIFEST_FILE_H
#define ARCHIVE_MANIFEST_FILE_H

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/digests.h"
#include "format/manifest.h"

struct manifest_tile {
    struct digests_entry entry;
    uint64_t first; /* how many digests come before its list */
};

struct manifest_file {
    struct manifest manifest;
    size_t header; /* where the lines of tiles begin */
    struct digests_header head;
    unsigned char *index;        /* of the digests; NULL until it is needed */
    struct manifest_tile *tiles; /* ascending; NULL unless loaded */
    int text, digests;           /* the files, open */
};

/*
 * Opens both, and reads their heads: so much work whatever the archive's size. 0; -ENOENT: there
 * is no manifest; -EBADMSG when damaged or the two do not belong together, -ENOTSUP when of a newer
 * version; else -errno. *why: a sentence about "the manifest", without its subject, static. Release
 * in any case.
 */
MUST_CHECK int manifest_file_open(int dirfd, struct manifest_file *file, const char **why);

/* Reads which tiles there are: file->tiles. 0 or as above. */
MUST_CHECK int manifest_file_load(struct manifest_file *file, const char **why);

/* The tile in a manifest that is loaded, or NULL. */
const struct manifest_tile *manifest_file_find(const struct manifest_file *file, uint32_t tile);

/*
 * The same in one that need not be loaded: reads the index, and one page. 0; -ENOENT: the manifest
 * has no such tile; -EBADMSG, or -errno.
 */
MUST_CHECK int manifest_file_look(struct manifest_file *file, uint32_t number,
                                  struct manifest_tile *tile);

/* Reads the list of a tile: digests_count() of HASH_RAW bytes. 0, -EBADMSG, or -errno. Any thread.
 */
MUST_CHECK int manifest_file_list(const struct manifest_file *file,
                                  const struct manifest_tile *tile, unsigned char *list);

/*
 * Calls fn with the line of each tile, ascending; anything but 0 ends it. -EBADMSG, perhaps after
 * fn has heard of lines, when they are not as they were written.
 */
typedef int manifest_file_line(void *arg, uint32_t tile, const unsigned char raw[HASH_RAW]);
MUST_CHECK int manifest_file_lines(const struct manifest_file *file, manifest_file_line *fn,
                                   void *arg);

void manifest_file_release(struct manifest_file *file);

#endif
