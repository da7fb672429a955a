/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of mosaicfs.manifest: lines that begin with '#', which tell what it is of, and a line
 * for each tile's file as sha256sum(1) prints and verifies it. Pure; the specification is in
 * mosaicfs-format(5).
 *
 * The root digest is of the lines that come before it. These have the digest of all lines of
 * tiles, and of the head of mosaicfs.digests: so it covers both, and either can be verified
 * without the other.
 */
#ifndef FORMAT_MANIFEST_H
#define FORMAT_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "format/index.h"
#include "format/journal.h"
#include "format/layout.h"

#define MANIFEST_HEADER 4096 /* bytes of the lines with '#', at most */
/* A digest, two blanks, a path, a newline; with a NUL. */
#define MANIFEST_LINE (HASH_HEX + 2 + LAYOUT_PATH + 1)

#define MANIFEST_NEWEST 16 /* tiles that are told to be new, at most */
#define MANIFEST_ABSENT UINT32_MAX

/* Something that differs from the manifest before: by it an older copy is recognised at once. */
struct manifest_newest {
    uint32_t tile;
    uint32_t digest; /* which in the tile's list; MANIFEST_ABSENT: there is no such tile */
};

struct manifest {
    char uuid[HASH_UUID]; /* "" when the archive has none */
    const struct layout *layout;
    struct geometry geometry;
    int64_t created;           /* seconds since 1970 */
    char epoch[JOURNAL_EPOCH]; /* what changes after it is not in the manifest */
    uint32_t tiles;            /* lines of tiles */
    uint64_t bytes;            /* length of all their files */
    unsigned char lines[HASH_RAW];
    unsigned char digests[HASH_RAW];
    struct manifest_newest newest[MANIFEST_NEWEST];
    unsigned nnewest;
    unsigned char root[HASH_RAW];
};

/* Prints the lines with '#', and sets the root digest. *len bytes. 0 or -ENOMEM. */
MUST_CHECK int manifest_print(struct manifest *manifest, char text[MANIFEST_HEADER], size_t *len);

/*
 * From len hostile bytes, which are the beginning of the file, MANIFEST_HEADER of it or all.
 * *header is where the lines of tiles begin. 0; -EBADMSG when damaged, -ENOTSUP when of another
 * version, with *why, a sentence fragment, static; -ENOMEM.
 */
MUST_CHECK int manifest_parse(const char *text, size_t len, struct manifest *manifest,
                              size_t *header, const char **why);

/* The manifest is of that archive, which may have been resized: not of another one. */
bool manifest_is_of(const struct manifest *manifest, const struct index *index);

/* The line of a tile; returns its length. */
size_t manifest_print_line(const struct layout *layout, uint32_t tile,
                           const unsigned char raw[HASH_RAW], char line[MANIFEST_LINE]);

/* From a hostile line without its newline, which a NUL ends. 0 or -EBADMSG. */
MUST_CHECK int manifest_parse_line(const struct layout *layout, const char *line, uint32_t *tile,
                                   unsigned char raw[HASH_RAW]);

#endif
