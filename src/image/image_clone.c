/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Bytes that go from file to file without coming by here: a range is lent as the files of its
 * tiles, and one is taken over from another file, whose blocks it then shares.
 */
#include <errno.h>

#include "image/impl.h"

/* The stripe is held meanwhile: no tile goes while it is lent, and none is created. */
static int lend_piece(struct image *img, const struct geometry_piece *piece, store_use_file *use,
                      void *arg)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    int rc;

    rwlock_shared(lock);
    rc = store_lend_file(img->store, piece->tile, piece->off, piece->len, use, arg);
    if (!rc)
        image_met(img, piece->tile);
    else if (rc == -ENOENT)
        rc = image_absent(img, piece->tile);
    rwlock_unshare(lock);
    return rc;
}

int image_clone_lend(struct image *img, uint64_t off, uint64_t len, store_use_file *use, void *arg)
{
    const struct geometry *geo = image_geometry(img); /* the same for all of it */
    int rc = off <= geo->size && len <= geo->size - off ? 0 : -EINVAL;

    while (!rc && len > 0) {
        struct geometry_piece piece = geometry_first(geo, off, len);

        rc = lend_piece(img, &piece, use, arg);
        off += piece.len;
        len -= piece.len;
    }
    return rc;
}

/* -EMLINK: a snapshot holds the tile. */
static int clone_piece(struct image *img, const struct geometry_piece *piece, int fd,
                       uint64_t fd_off)
{
    struct rwlock *lock = image_stripe(img, piece->tile);
    bool made = false;
    int rc;

    rwlock_exclusive(lock);
    rc = image_note(img, piece->tile);
    if (!rc)
        rc = store_clone(img->store, piece->tile, piece->off, piece->len, fd, fd_off);
    if (rc == -ENOENT) {
        rc = image_absent(img, piece->tile);
        if (!rc)
            rc = image_ensure(img, piece->tile, &made);
        if (!rc)
            rc = store_clone(img->store, piece->tile, piece->off, piece->len, fd, fd_off);
    }
    if (!rc)
        image_met(img, piece->tile);
    if (rc != -EMLINK)
        image_touched(img, piece->tile);
    if (rc && made)
        image_unmake(img, piece->tile);
    rwlock_unlock(lock);
    return rc;
}

int image_clone(struct image *img, uint64_t off, uint64_t len, int fd, uint64_t fd_off)
{
    const struct geometry *geo = image_geometry(img); /* the same for all of it */
    int rc = image_writable(img);

    if (!rc && (off > geo->size || len > geo->size - off))
        rc = -ENOSPC;
    while (!rc && len > 0) {
        struct geometry_piece piece = geometry_first(geo, off, len);

        do
            rc = clone_piece(img, &piece, fd, fd_off);
        while (image_snapshot_again(img, piece.tile, &rc));
        off += piece.len;
        len -= piece.len;
        fd_off += piece.len;
    }
    return rc;
}
