/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A store keeps the bytes of tiles, by number. It knows nothing of requests
 * that span tiles, of zeros that need not be written, or of who may run beside
 * whom: that is image/.
 *
 * The contract, for every operation of every store:
 *
 * - Offsets and lengths are bytes within one tile and lie inside it; the
 *   wrappers in store.c assert so, and implementations rely on it.
 * - The result is 0 or -errno. -ENOENT has one meaning only: the tile is
 *   absent. A tile that is there and cannot be used is -EIO, -EACCES, ... and
 *   never -ENOENT. A failed operation has logged the tile's name; but want of
 *   space is no matter of one tile and hits many requests at once: except by
 *   flush it is not logged, who answers them tells it.
 * - Bytes of a present tile that were never written read as zeros.
 * - Callers may run read, lend, write, stat, seek and flush of one tile at the same
 *   time. create, remove, zero, allocate and clone of a tile exclude everything else
 *   on that tile except flush_start and flush; image/ sees to it with its stripes. Anything may
 *   run at the same time on different tiles.
 * - Before create, write, remove, zero, allocate or clone of a tile, its caller has
 *   noted it in the running epoch.
 * - write, zero, allocate and clone of a tile that a snapshot holds are -EMLINK: nothing is
 *   done, nothing logged, and unshare makes it possible. unshare excludes what create does.
 * - Two writes of one tile that overlap may run at the same time. Each aligned
 *   4 KiB block then holds one or the other, never a mixture.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/compiler.h"
#include "format/geometry.h"

struct store;

struct store_stat {
    uint64_t bytes;  /* length of the tile's file: what a mirror has to move */
    uint64_t blocks; /* of 512 bytes: what it occupies */
    struct timespec mtime;
};

/* How a tile lies on its file system, and what stands in the way of giving space back. */
struct store_blocks {
    uint64_t size; /* of a block in bytes, a power of two: space is given back in such */
    uint64_t head; /* bytes in its file before its own */
    bool stays;    /* remove() is -EBUSY */
    bool held;     /* its file has another name: write() is -EMLINK, or refused */
    bool unsure;   /* seek() may tell a hole for one only after a flush */
};

struct store_replaced {
    uint32_t tiles;
    char first[64]; /* the name of one, or "" */
};

/*
 * Does something with bytes that are lent to it: 0 or -errno. It leaves looking at
 * them to a system call, since they may go away meanwhile: -EFAULT tells of that.
 */
typedef int store_use(void *arg, const void *bytes, size_t len);

/*
 * Does something with a range of an open file, such as a tile's, which is lent to it and stays
 * as long as that: 0 or -errno.
 */
typedef int store_use_file(void *arg, int fd, uint64_t off, uint64_t len);

/* Where each() has met a tile: lets stat find it there at once. Ends with the call of fn. */
struct store_place;

/* Is told of a present tile; anything but 0 ends the walk. */
typedef int store_met(void *arg, uint32_t tile, const struct store_place *place);

/* Room for the word of an epoch, with its NUL. */
#define STORE_EPOCH 29

enum store_seek { STORE_DATA, STORE_HOLE };

struct store_ops {
    const char *name;

    /* Fills all of buf. */
    int (*read)(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len);
    /*
     * Instead of a copy, lets use have the bytes where they lie, and calls it once:
     * then the result is 0, whatever use returns. -EAGAIN: not now, or never; read
     * may do it. NULL: never.
     */
    int (*lend)(struct store *st, uint32_t tile, uint64_t off, size_t len, store_use *use,
                void *arg);
    /*
     * Lends use the file that holds the range, and calls it once: returns what use does. NULL:
     * tiles are no files.
     */
    int (*lend_file)(struct store *st, uint32_t tile, uint64_t off, uint64_t len,
                     store_use_file *use, void *arg);
    /* Writes all of buf, in place. -ENOENT when absent: never creates. */
    int (*write)(struct store *st, uint32_t tile, uint64_t off, const void *buf, size_t len);
    /* Makes an absent tile that reads as zeros. -EEXIST when it is there. */
    int (*create)(struct store *st, uint32_t tile);
    /* -EBUSY: this one has to stay, whatever its bytes are. Not logged. */
    int (*remove)(struct store *st, uint32_t tile);
    /*
     * Gives the tile a file of its own, with the same bytes, if a snapshot holds the one it has.
     * The old one has been flushed. NULL: there are no snapshots.
     */
    int (*unshare)(struct store *st, uint32_t tile);
    /*
     * The range reads as zeros afterwards, and its space is given back where
     * the file system can. *empty tells that no data is left in the tile.
     * empty NULL: instead, the space that the range occupies is kept for later writes.
     */
    int (*zero)(struct store *st, uint32_t tile, uint64_t off, uint64_t len, bool *empty);
    /*
     * Reserves space, so that later writes to the range cannot fail for want of
     * it, until a zero() reaches from before or in the range to the end of the
     * tile's data.
     */
    int (*allocate)(struct store *st, uint32_t tile, uint64_t off, uint64_t len);
    /*
     * The range becomes what file fd has at fd_off, which has all of it: by sharing its blocks,
     * not by copying. -EOPNOTSUPP where that cannot be, and nothing is done or logged; NULL: never.
     */
    int (*clone)(struct store *st, uint32_t tile, uint64_t off, uint64_t len, int fd,
                 uint64_t fd_off);
    /*
     * *found is the first offset >= off that is data (or a hole), or the tile's
     * length when there is none.
     */
    int (*seek)(struct store *st, uint32_t tile, uint64_t off, enum store_seek what,
                uint64_t *found);
    /* place: of each(), or NULL. */
    int (*stat)(struct store *st, uint32_t tile, const struct store_place *place,
                struct store_stat *out);
    /* NULL: blocks of 4 KiB, no head, nothing in the way. */
    int (*blocks)(struct store *st, uint32_t tile, struct store_blocks *out);
    /*
     * 0, or -EOPNOTSUPP: zero() of a range that ends before the tile's data does gives no space
     * back. Runs beside what seek does; may try it where the tile has no bytes. NULL: it does.
     */
    int (*holes)(struct store *st, uint32_t tile);
    /*
     * *found is the first present tile >= from and < end; -ENOENT when there is none.
     * Costs what lies between the two, not what lies behind. Any thread.
     */
    int (*next)(struct store *st, uint32_t from, uint32_t end, uint32_t *found);
    /*
     * Calls met for the present tiles >= from and < end, in ascending order, each once; of a
     * tile that comes or goes meanwhile it may or may not be told. Returns what met
     * returned if that was not 0, else the first error: what cannot be listed is passed over,
     * and all the rest is told. Costs less than next() for each of them. Any thread; met may
     * do with tiles what it wants.
     */
    int (*each)(struct store *st, uint32_t from, uint32_t end, store_met *met, void *arg);
    /*
     * Whether the tile has been noted in the running epoch. Any thread. The answer
     * holds as long as no epoch is begun.
     */
    bool (*noted)(struct store *st, uint32_t tile);
    /*
     * The tiles are going to change: the list of changed tiles has them, on stable
     * storage, when this returns 0. Any thread.
     */
    int (*note)(struct store *st, const uint32_t *tiles, size_t n);
    /*
     * Begins a new epoch, in which no tile is noted yet. No tile changes meanwhile,
     * and all that was written is flushed.
     */
    int (*mark)(struct store *st);
    /*
     * The word of the running epoch, of which nobody knew before. May look at every tile; any
     * thread, beside anything.
     */
    int (*tell)(struct store *st, char epoch[STORE_EPOCH]);
    /*
     * The three steps of a snapshot, see image_snapshot.c; one caller at a time. From begin
     * on, the new snapshot's directory is known. tile has the tile in it as it is in the
     * archive: absent, or the same file; nobody makes, removes or unshares it meanwhile. From
     * hold on, during which no tile changes, the snapshot holds its tiles. NULL: there are none.
     */
    int (*snapshot_begin)(struct store *st);
    int (*snapshot_tile)(struct store *st, uint32_t tile);
    void (*snapshot_hold)(struct store *st);
    /*
     * Between the two the files of tiles get names in snapshots, or lose them, which is no change
     * of a tile. One caller at a time, beside all else. NULL: there are no files.
     */
    void (*links_begin)(struct store *st);
    void (*links_end)(struct store *st);
    /*
     * The image is going to grow to that geometry, of the same tile size: makes of the tile's file
     * what it has to be then, and is already allowed to be. Bytes between the tile's end and the
     * one it will have read as zeros, also if it is absent and made later. -ENOENT; -EMLINK as
     * write. The tile is noted here, if anything is done. NULL: there is nothing to do.
     */
    int (*resize_tile)(struct store *st, uint32_t tile, const struct geometry *to);
    /*
     * The new size is on stable storage when this returns 0; after an error the old one is, or
     * after -EIO either. Tiles may change meanwhile. NULL: the image cannot grow.
     */
    int (*resize_begin)(struct store *st, const struct geometry *to, bool over);
    /* All that looks at the number of tiles knows the new one from now on. No tile changes. */
    void (*resize)(struct store *st, const struct geometry *to);
    /* Starts writing the tile's bytes back, without waiting. May do nothing. */
    int (*flush_start)(struct store *st, uint32_t tile);
    /* What was written to the tile before the call is on stable storage after it. */
    int (*flush)(struct store *st, uint32_t tile);
    /*
     * All creates and removes that returned before the call are on stable
     * storage after it. Also returns, once, an error that hit written bytes of
     * any tile outside flush(). One caller at a time.
     */
    int (*flush_entries)(struct store *st);
    /* Of the file system below. f_bsize is also the granularity of trim. */
    int (*space)(struct store *st, struct statvfs *out);
    /* When tiles were last added or removed, as far as the store knows. */
    int (*mtime)(struct store *st, struct timespec *out);
    /*
     * Which tiles in use others have replaced or removed. Looks for some time at all that
     * were used, open or not. Any thread. NULL: there are no others.
     */
    int (*replaced)(struct store *st, struct store_replaced *out);
    void (*close)(struct store *st);
};

/* A geometry that a store has, or had: whoever still looks at an old one may go on to. */
struct store_geometry {
    struct geometry geometry;
    struct store_geometry *older;
};

/* The first member of every implementation. Made by store_init(). */
struct store {
    /* fixed after open */
    const struct store_ops *ops;
    uint32_t tiles_max;          /* that the image can grow to, while it is in use */
    struct store_geometry first; /* with which it was opened */
    /* of who resizes, one at a time */
    struct store_geometry *newest;
    struct store_geometry *next; /* between store_resize_begin() and store_resize() */
    /*
     * Replaced as a whole, while no tile changes. Whoever needs two of its numbers that fit each
     * other loads it once.
     */
    _Atomic(const struct geometry *) geometry;
};

/* For who implements one: a store of that geometry, which cannot grow beyond tiles_max. */
void store_init(struct store *st, const struct store_ops *ops, const struct geometry *geo,
                uint32_t tiles_max);

/* As it is now; lasts as long as the store. Any thread. */
static inline const struct geometry *store_geometry(const struct store *st)
{
    return atomic_load_explicit(&st->geometry, memory_order_acquire);
}

MUST_CHECK int store_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len);
MUST_CHECK int store_lend(struct store *st, uint32_t tile, uint64_t off, size_t len, store_use *use,
                          void *arg);
MUST_CHECK int store_lend_file(struct store *st, uint32_t tile, uint64_t off, uint64_t len,
                               store_use_file *use, void *arg);
MUST_CHECK int store_write(struct store *st, uint32_t tile, uint64_t off, const void *buf,
                           size_t len);
MUST_CHECK int store_clone(struct store *st, uint32_t tile, uint64_t off, uint64_t len, int fd,
                           uint64_t fd_off);
MUST_CHECK int store_create(struct store *st, uint32_t tile);
MUST_CHECK int store_remove(struct store *st, uint32_t tile);
MUST_CHECK int store_unshare(struct store *st, uint32_t tile);
MUST_CHECK int store_zero(struct store *st, uint32_t tile, uint64_t off, uint64_t len, bool *empty);
MUST_CHECK int store_allocate(struct store *st, uint32_t tile, uint64_t off, uint64_t len);
MUST_CHECK int store_seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what,
                          uint64_t *found);
MUST_CHECK int store_stat(struct store *st, uint32_t tile, struct store_stat *out);
/* place: of store_each(), or NULL. */
MUST_CHECK int store_stat_at(struct store *st, uint32_t tile, const struct store_place *place,
                             struct store_stat *out);
MUST_CHECK int store_blocks(struct store *st, uint32_t tile, struct store_blocks *out);
MUST_CHECK int store_holes(struct store *st, uint32_t tile);
/* from <= end. */
MUST_CHECK int store_next(struct store *st, uint32_t from, uint32_t end, uint32_t *found);
MUST_CHECK int store_each(struct store *st, uint32_t from, uint32_t end, store_met *met, void *arg);
bool store_noted(struct store *st, uint32_t tile);
MUST_CHECK int store_note(struct store *st, const uint32_t *tiles, size_t n);
MUST_CHECK int store_mark(struct store *st);
MUST_CHECK int store_tell(struct store *st, char epoch[STORE_EPOCH]);
MUST_CHECK int store_snapshot_begin(struct store *st);
MUST_CHECK int store_snapshot_tile(struct store *st, uint32_t tile);
void store_snapshot_hold(struct store *st);
void store_links_begin(struct store *st);
void store_links_end(struct store *st);
MUST_CHECK int store_resize_tile(struct store *st, uint32_t tile, const struct geometry *to);
/* After 0 comes store_resize(), or close. One caller at a time. -EOPNOTSUPP: it cannot grow. */
MUST_CHECK int store_resize_begin(struct store *st, const struct geometry *to, bool over);
void store_resize(struct store *st);
MUST_CHECK int store_flush_start(struct store *st, uint32_t tile);
MUST_CHECK int store_flush(struct store *st, uint32_t tile);
MUST_CHECK int store_flush_entries(struct store *st);
MUST_CHECK int store_space(struct store *st, struct statvfs *out);
MUST_CHECK int store_mtime(struct store *st, struct timespec *out);
MUST_CHECK int store_replaced(struct store *st, struct store_replaced *out);
/* NULL is fine. */
void store_close(struct store *st);

#endif
