/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of mosaicfs.digests: a digest for each MiB of each tile, such that one of them can be
 * verified without the others. Pure; the specification is in mosaicfs-format(5).
 *
 * The header has the digest of the index, the index that of each page, a page that of each tile's
 * list. A list has the digest of what stands before the tile's bytes in its file, if anything
 * does, and then one for each MiB of them, the last of which may be shorter: as the file is, so
 * that nothing but the file is needed to verify it. All digests are SHA-256.
 */
#ifndef FORMAT_DIGESTS_H
#define FORMAT_DIGESTS_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "format/format.h"

#define DIGESTS_HEADER 96 /* bytes */
#define DIGESTS_PAGE 48   /* of a row of the index */
#define DIGESTS_ENTRY 48  /* of a tile's row in a page */

struct digests_header {
    uint32_t tiles; /* rows in all pages */
    uint64_t lists; /* digests in all lists, at most DIGESTS_LISTS_MAX */
    unsigned char index[HASH_RAW];
};

#define DIGESTS_LISTS_MAX (UINT64_C(1) << 48)

/* A row of the index. */
struct digests_page {
    uint32_t tile;  /* the first in the page */
    uint64_t first; /* how many digests come before its list */
    unsigned char digest[HASH_RAW];
};

/* A tile's row. */
struct digests_entry {
    uint32_t tile;
    uint32_t payload; /* where the tile's bytes begin in its file */
    uint64_t length;  /* of the file, at least payload */
    unsigned char digest[HASH_RAW];
};

void digests_put_header(const struct digests_header *header, unsigned char out[DIGESTS_HEADER]);
void digests_put_page(const struct digests_page *page, unsigned char out[DIGESTS_PAGE]);
void digests_put_entry(const struct digests_entry *entry, unsigned char out[DIGESTS_ENTRY]);

/* From hostile bytes. 0; -EBADMSG when damaged, -ENOTSUP when of another version. */
MUST_CHECK int digests_get_header(const unsigned char in[DIGESTS_HEADER],
                                  struct digests_header *header);

void digests_get_page(const unsigned char in[DIGESTS_PAGE], struct digests_page *page);

/* From hostile bytes. 0 or -EBADMSG. */
MUST_CHECK int digests_get_entry(const unsigned char in[DIGESTS_ENTRY],
                                 struct digests_entry *entry);

/* How many digests the tile's list has. */
uint64_t digests_count(const struct digests_entry *entry);

/* What the nth of them is of: bytes [*off, *off + *len) of the file. n < digests_count(). */
void digests_range(const struct digests_entry *entry, uint64_t n, uint64_t *off, uint64_t *len);

/* Of so many tiles: how many pages there are, and where in the file pages and lists begin. */
uint32_t digests_pages(uint32_t tiles);
uint64_t digests_pages_at(uint32_t tiles);
uint64_t digests_lists_at(uint32_t tiles);

#endif
