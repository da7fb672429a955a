/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Digests of the bytes of a tile's file, range by range.
 */
#ifndef CHECK_TILE_DIGEST_H
#define CHECK_TILE_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/hash.h"

/* What one thread needs for it. */
struct tile_digest {
    struct hash *range;
    struct hash *whole; /* of all ranges since the last tile_digest_whole() */
    unsigned char *buf;
    unsigned char zeros[HASH_RAW]; /* of FORMAT_DIGESTS_BLOCK zeros */
    /* of the file */
    int fd;
    bool holes;     /* what it says of holes is true */
    uint64_t data;  /* no data lies before it */
    uint64_t bytes; /* read so far, of all files */
};

/* 0 or -ENOMEM; release in any case. */
MUST_CHECK int tile_digest_init(struct tile_digest *digest);
void tile_digest_release(struct tile_digest *digest);

/*
 * Begins with an open file. fresh: the bytes are to come from the disk, not from the cache of the
 * kernel.
 */
void tile_digest_begin(struct tile_digest *digest, int fd, bool fresh);

/*
 * The digest of bytes [off, off + len), as far as the file has them. whole: they are added to that
 * of the whole file, too. 0 or -errno, not logged.
 */
MUST_CHECK int tile_digest_range(struct tile_digest *digest, uint64_t off, uint64_t len, bool whole,
                                 unsigned char raw[HASH_RAW]);

/* Ends with the file; the kernel need not keep what was read of it. */
void tile_digest_end(struct tile_digest *digest);

/* 0 or -ENOMEM. */
MUST_CHECK int tile_digest_whole(struct tile_digest *digest, unsigned char raw[HASH_RAW]);

#endif
