/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A whole block that lies in a hole is not read: its digest is known.
 */
#include "check/tile_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "format/format.h"

#define PIECE (256u << 10) /* stays in the processor's cache between two digests */

int tile_digest_init(struct tile_digest *digest)
{
    int rc;

    *digest = (struct tile_digest){.fd = -1, .buf = calloc(1, FORMAT_DIGESTS_BLOCK)};
    rc = digest->buf ? hash_begin(&digest->range) : -ENOMEM;
    if (!rc)
        rc = hash_begin(&digest->whole);
    return rc ? rc : hash_raw(digest->buf, FORMAT_DIGESTS_BLOCK, digest->zeros);
}

void tile_digest_release(struct tile_digest *digest)
{
    hash_free(digest->range);
    hash_free(digest->whole);
    free(digest->buf);
}

void tile_digest_begin(struct tile_digest *digest, int fd, bool fresh)
{
    digest->fd = fd;
    digest->holes = fs_known(fd);
    digest->data = 0;
    if (fresh)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
}

void tile_digest_end(struct tile_digest *digest)
{
    (void)posix_fadvise(digest->fd, 0, 0, POSIX_FADV_DONTNEED);
    digest->fd = -1;
}

/* A whole block without data, which the file has. */
static bool is_hole(struct tile_digest *digest, uint64_t off, uint64_t len)
{
    if (!digest->holes || len != FORMAT_DIGESTS_BLOCK)
        return false;
    if (digest->data <= off) {
        off_t data = lseek(digest->fd, (off_t)off, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            data = lseek(digest->fd, 0, SEEK_END);
        digest->data = data < 0 ? off : (uint64_t)data;
    }
    return digest->data >= off + len;
}

int tile_digest_range(struct tile_digest *digest, uint64_t off, uint64_t len, bool whole,
                      unsigned char raw[HASH_RAW])
{
    if (!whole && is_hole(digest, off, len)) {
        memcpy(raw, digest->zeros, HASH_RAW);
        return 0;
    }
    while (len) {
        size_t piece = len < PIECE ? (size_t)len : PIECE, got;
        int rc = io_pread(digest->fd, digest->buf, piece, off, &got);

        if (rc) {
            (void)!hash_end(digest->range, raw);
            return rc;
        }
        hash_add(digest->range, digest->buf, got);
        if (whole)
            hash_add(digest->whole, digest->buf, got);
        digest->bytes += got;
        off += got;
        len = got < piece ? 0 : len - got;
    }
    return hash_end(digest->range, raw);
}

int tile_digest_whole(struct tile_digest *digest, unsigned char raw[HASH_RAW])
{
    return hash_end(digest->whole, raw);
}
