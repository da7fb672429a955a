/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One fixed-size run of bytes over a store of tiles: the heart of the program.
 * It cuts requests into tiles, decides which tile must exist, holds the tile
 * locks, remembers what is not yet on disk, and never turns an error into
 * zeros. Knows nothing of FUSE, paths or tile names.
 *
 * All functions may be called by any number of threads at once unless said
 * otherwise. Offsets and lengths are bytes.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/compiler.h"
#include "store/store.h"

struct image;

struct image_usage {
    uint32_t tiles;        /* present */
    uint64_t blocks;       /* of 512 bytes, occupied by them */
    struct timespec mtime; /* last change of any byte, or what was set since */
    struct timespec atime; /* the same, as nobody notes reads, or what was set */
    struct timespec ctime; /* the later one of last change and last setting */
    bool complete;         /* false while the first count is still running */
};

/* Owns store from here on, also when it fails. 0 or -errno. */
MUST_CHECK int image_open(struct store *store, bool read_only, struct image **out);

/* Flushes what is not yet on disk. 0 or the error of that flush. Last call of all. */
MUST_CHECK int image_close(struct image *img);

uint64_t image_size(const struct image *img);
const struct geometry *image_geometry(const struct image *img);

/*
 * Fills all of buf. The range lies inside the image, else -EINVAL. 0 or -errno;
 * after an error the content of buf is undefined and must not be shown.
 */
MUST_CHECK int image_read(struct image *img, uint64_t off, void *buf, size_t len);

/*
 * Instead of a copy, lets use have the bytes where they lie; nothing else changes
 * or removes the tile meanwhile but writes to it. 0: use was called, once. -EAGAIN:
 * not possible now, so use image_read(). Else as image_read().
 */
MUST_CHECK int image_lend(struct image *img, uint64_t off, size_t len, store_use *use, void *arg);

/*
 * Calls use with each part of the range that lies in a tile's file, in ascending order, until it
 * fails; parts that lie in no tile are left out. Nothing else changes or removes the tile
 * meanwhile but writes to it. use must not come back to this image. 0; what use returned; -EINVAL
 * as image_read(); -EOPNOTSUPP when tiles are no files; else -errno.
 */
MUST_CHECK int image_clone_lend(struct image *img, uint64_t off, uint64_t len, store_use_file *use,
                                void *arg);

/*
 * The range becomes what the file fd, which is no tile of this image, has at fd_off: their blocks
 * are shared. -EOPNOTSUPP where that is not possible, be it for these offsets: it may be written
 * then. Else as image_write(); after an error any part may have been done.
 */
MUST_CHECK int image_clone(struct image *img, uint64_t off, uint64_t len, int fd, uint64_t fd_off);

/*
 * Writes all of buf. -ENOSPC when it goes past the end; -EROFS when read-only
 * or after a failed flush; else -errno of the store, and then any part of
 * the range may have been written.
 */
MUST_CHECK int image_write(struct image *img, uint64_t off, const void *buf, size_t len);

/*
 * The range reads as zeros afterwards; tiles that it empties are removed. What
 * exceeds the image is cut. -ENOSPC or -EDQUOT: all was done but the parts that
 * needed space.
 */
MUST_CHECK int image_zero(struct image *img, uint64_t off, uint64_t len);

/*
 * The same, but what the range occupies stays occupied, for what is written there
 * next; a tile that does not exist stays so. -ENOSPC or -EDQUOT: any part was done.
 */
MUST_CHECK int image_zero_keep(struct image *img, uint64_t off, uint64_t len);

/* Reserves space for the range. -ENOSPC past the end; -EOPNOTSUPP where the store cannot. */
MUST_CHECK int image_allocate(struct image *img, uint64_t off, uint64_t len);

/*
 * lseek(2) with SEEK_DATA or SEEK_HOLE. -ENXIO as there: off at or past the
 * end, or no data after off.
 */
MUST_CHECK int image_seek(struct image *img, uint64_t off, enum store_seek what, uint64_t *found);

/*
 * The first data at or after off: [*data, *end) lies in one tile. trust: what is told of holes in
 * it is believed, else all of a tile is data. -ENXIO: there is none. Else 0 or -errno.
 */
MUST_CHECK int image_seek_extent(struct image *img, uint64_t off, bool trust, uint64_t *data,
                                 uint64_t *end);

/*
 * Everything written by calls that returned before this one began is on stable
 * storage when it returns 0. The first failure is final: from then on it
 * returns -EIO, the image takes no more writes, and the log has said so once.
 */
MUST_CHECK int image_flush(struct image *img);

/* True after a failed flush. */
bool image_failed(const struct image *img);

/*
 * Begins a new epoch of the list of changed tiles and tells its word: all that
 * was written before is on disk, and every tile that changes from now on is
 * listed for it. Stops requests for the time of a short flush. 0 or -errno, as
 * image_flush(); -EROFS when read-only.
 */
MUST_CHECK int image_mark(struct image *img, char epoch[STORE_EPOCH]);

/*
 * A snapshot begins: from now on it is known which tiles come and go. Its directory is there;
 * whoever makes the snapshot then gives it all tiles that there are, beside anything. 0 or
 * -errno; -EROFS when read-only; -EOPNOTSUPP when the store has none.
 */
MUST_CHECK int image_snapshot_begin(struct image *img);

/*
 * The instant of the snapshot that has begun: 0, and its tiles hold what the image held then, on
 * disk when this returns; only the entries of its directory may not be. *stalled is for how many
 * nanoseconds requests were stopped. -EINVAL: none has begun; else -errno, and there is none.
 */
MUST_CHECK int image_snapshot_take(struct image *img, uint64_t *stalled);

/*
 * The image grows to size bytes, durably, while requests go on; what is new reads as zeros. All
 * that asks for the size from now on is told the new one. 0, also when it has that size. -EINVAL:
 * it is larger already; -ERANGE: it cannot have that size; -EROFS when read-only; else -errno:
 * then it has the old size, but after -EIO may be found with either when it is opened again.
 */
MUST_CHECK int image_resize(struct image *img, uint64_t size);

/* Around the deleting of a snapshot: as store_links_begin() and store_links_end(). */
void image_snapshot_links_begin(struct image *img);
void image_snapshot_links_end(struct image *img);

/*
 * A step of giving back the space of zeros that are stored. It looks at the next tile, or at some
 * MiB of it, reads no longer than others can wait for, and changes no byte of the image. A tile in
 * which there is nothing to win is not changed, nor noted.
 */
struct image_compact {
    bool dry; /* in: nothing is changed; told is what could be */
    /* In and out: where to go on, at first 0 and 0. The number of tiles: that was all. */
    uint32_t tile;
    uint64_t left; /* bytes of the tile, from its beginning, that remain; 0: it begins with all */
    /* Out. */
    uint32_t met;    /* the tile that was looked at, or IMAGE_NO_TILE */
    int error;       /* 0 or -errno, logged: the rest of this tile was passed over */
    bool removed;    /* it is gone */
    bool stays;      /* it could not be removed if it were all zeros */
    uint64_t block;  /* space comes in so many bytes */
    uint64_t stored; /* what the tile occupied, told with its first step */
    uint64_t data;   /* bytes that are in blocks which are not all zeros */
    /* Bytes of blocks that are all zeros, and stored: */
    uint64_t holes; /* given back in the middle of the tile */
    uint64_t tails; /* likewise behind its last data */
    uint64_t small; /* not given back: in runs that are not worth a hole */
    uint64_t fixed; /* not given back: the file system has no holes */
    uint64_t held;  /* not given back: a snapshot, or another name, has the same file */
    uint64_t freed; /* what the tile occupied before, less what it occupied afterwards */
};

#define IMAGE_NO_TILE UINT32_MAX

/* 0; -EINVAL: no such place in the image; -EROFS; -ENOMEM. */
MUST_CHECK int image_compact(struct image *img, struct image_compact *step);

/*
 * Counts all tiles once; later calls of image_usage() are exact from then on.
 * Runs beside all else; takes as long as listing and stat'ing every tile.
 */
MUST_CHECK int image_count(struct image *img);

/* A running image_count() ends soon, with -EINTR. */
void image_count_stop(struct image *img);

/* What is known now; waits up to wait_ms for a running or missing image_count(). */
MUST_CHECK int image_usage(struct image *img, unsigned wait_ms, struct image_usage *out);

/*
 * image_usage() tells these times until a byte changes; nothing of it is kept on disk. NULL:
 * as it is. 0 or -errno; -EROFS when read-only.
 */
MUST_CHECK int image_set_times(struct image *img, const struct timespec *atime,
                               const struct timespec *mtime);

/* Tiles that others have replaced or removed while they were in use here. 0 or -errno. */
MUST_CHECK int image_replaced(struct image *img, struct store_replaced *out);

/* Of the file system that holds the tiles. */
MUST_CHECK int image_space(struct image *img, struct statvfs *out);

#endif
