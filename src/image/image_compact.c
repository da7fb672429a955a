/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Gives back the space of zeros that are stored, while the image is in use. No byte of it changes:
 * to compact a run of zeros is to zero a range that is zeros, so all that image_zero.c promises
 * holds: a tile is noted before it changes, what a tile's end holds is cut off, a tile without
 * data goes, and after a crash at any moment there are the same bytes.
 *
 * A tile is looked at in windows, the last one first, so that zeros at its end are cut off step by
 * step, also where the file system has no holes. Of a window:
 *
 *   1 which of its blocks are data, and which of these are all zeros, is found out beside all
 *     else: the tile's stripe is held, shared, for one read of CHUNK bytes at a time
 *   2 each run of zeros is given back in pieces of up to CHUNK bytes: with the stripe held
 *     exclusively the piece is read again, for somebody may have written to it meanwhile; if it
 *     still is zeros and is still stored, it is zeroed
 *
 * So whoever writes waits for one short read, most likely out of the page cache, and one hole.
 * Blocks are those of the file system, in the tile's file, where a head may stand before the
 * tile: what it shares its last block with is never given back alone. What is a hole already is
 * left alone, and so is space that is reserved but not written, unless it lies behind the last
 * data. A tile that a snapshot holds is looked at, and left alone: to unshare it would need space.
 *
 * The same image gives the same windows and the same runs, and what was given back is a hole then:
 * a second time there is nothing to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/zero.h"
#include "image/impl.h"

#define WINDOW (UINT64_C(4) << 20)
#define CHUNK UINT64_C(262144)
#define BLOCK_MIN 512
#define BLOCK_MAX 65536
#define BLOCKS_MAX (WINDOW / BLOCK_MIN + 2)
#define RUN_MIN 16384 /* bytes between data that are worth a hole; see doc/performance.md */
#define LIST 16384    /* bytes that a list of extents may occupy, of a tile that had many */
#define AHEAD 65536   /* tiles that one step passes over if they are absent */

/* A window of a tile. */
struct look {
    struct image *img;
    struct image_compact *step;
    uint32_t tile;
    uint64_t len;    /* of the tile */
    uint64_t lo, hi; /* the window */
    uint64_t block;  /* bytes */
    uint64_t before; /* bytes before the tile in its file */
    uint64_t head;   /* and of these in its first block */
    uint64_t first;  /* number of the block that lo is in, counted from that one */
    size_t n;        /* blocks of the window */
    bool last;       /* no data follow */
    bool no_holes;   /* the file system has none; asked when it matters */
    bool asked;
    bool data[BLOCKS_MAX], zero[BLOCKS_MAX];
    unsigned char bytes[CHUNK];
};

/* Where block i of the window begins, or with n the window ends. */
static uint64_t at(const struct look *look, size_t i)
{
    uint64_t off = (look->first + i) * look->block;

    off = off > look->head ? off - look->head : 0;
    off = off > look->lo ? off : look->lo;
    return off < look->hi ? off : look->hi;
}

static size_t block_of(const struct look *look, uint64_t off)
{
    return (size_t)((off + look->head) / look->block - look->first);
}

/* The window that ends at hi. It begins with a block, or with the tile. */
static void place(struct look *look, uint64_t hi)
{
    look->hi = hi;
    look->lo = 0;
    if (hi > WINDOW)
        look->lo =
            (hi - WINDOW + look->head + look->block - 1) / look->block * look->block - look->head;
    look->first = (look->lo + look->head) / look->block;
    look->n = block_of(look, hi - 1) + 1;
}

/* --- looking ---------------------------------------------------------------------------------- */

static int find_data(struct look *look)
{
    uint64_t off = look->lo, data, hole;

    while (off < look->hi) {
        int rc = image_seek_tile(look->img, look->tile, off, STORE_DATA, &data);

        if (!rc && data < look->hi)
            rc = image_seek_tile(look->img, look->tile, data, STORE_HOLE, &hole);
        if (rc || data >= look->hi)
            return rc;
        hole = hole < look->hi ? hole : look->hi;
        for (size_t i = block_of(look, data); hole > data && i <= block_of(look, hole - 1); i++)
            look->data[i] = true;
        off = hole > data ? hole : look->hi; /* else the tile has gone */
    }
    return 0;
}

/* The first block from i on whose data are not all, or which goes past a chunk. */
static size_t end_of_chunk(const struct look *look, size_t i)
{
    size_t end = i;

    while (end < look->n && look->data[end] && at(look, end + 1) - at(look, i) <= CHUNK)
        end++;
    return end;
}

static int find_zeros(struct look *look)
{
    uint64_t start = look->tile * look->img->geometry.tile_size;

    for (size_t i = 0, end; i < look->n; i = end) {
        uint64_t from = at(look, i);
        int rc;

        end = end_of_chunk(look, i);
        if (end == i) {
            look->zero[end++] = true;
            continue;
        }
        rc = image_read(look->img, start + from, look->bytes, at(look, end) - from);
        if (rc)
            return rc;
        for (size_t k = i; k < end; k++) {
            uint64_t len = at(look, k + 1) - at(look, k);

            look->zero[k] = zero_is(look->bytes + (at(look, k) - from), len);
            look->step->data += look->zero[k] ? 0 : len;
        }
    }
    /* It is not the tile's alone. */
    if (look->lo == 0 && look->head > 0 && look->zero[0])
        look->data[0] = false;
    return 0;
}

/* Whether no data follow end: there is no more of the file, or nothing but a hole. */
static int is_last_locked(struct look *look, uint64_t end, bool *last)
{
    struct store_stat stat;
    uint64_t data = look->len;
    int rc = end < look->len ? store_stat(look->img->store, look->tile, &stat) : 0;

    if (!rc && end < look->len && stat.bytes > look->before + end)
        rc = store_seek(look->img->store, look->tile, end, STORE_DATA, &data);
    *last = data == look->len;
    return rc;
}

static int find_end(struct look *look)
{
    struct rwlock *lock = image_stripe(look->img, look->tile);
    int rc;

    rwlock_shared(lock);
    rc = is_last_locked(look, look->hi, &look->last);
    rwlock_unshare(lock);
    return rc == -ENOENT ? image_absent(look->img, look->tile) : rc;
}

/* --- giving back ------------------------------------------------------------------------------ */

/* Whether the file system has holes. Asked only of a tile that is about to get one. */
static int ask_holes(struct look *look)
{
    int rc = look->asked ? 0 : store_holes(look->img->store, look->tile);

    if (rc == -EOPNOTSUPP) {
        look->no_holes = true;
        rc = 0;
    }
    look->asked = !rc;
    return rc;
}

/* What the tile occupies; 0: it is gone. Its stripe is held. */
static int occupied(struct look *look, uint64_t *bytes)
{
    struct store_stat stat;
    int rc = store_stat(look->img->store, look->tile, &stat);

    *bytes = rc ? 0 : stat.blocks * 512;
    look->step->removed = rc == -ENOENT;
    return rc == -ENOENT ? 0 : rc;
}

/* The stripe is held exclusively. -EMLINK: a snapshot holds the tile. */
static int zero_locked(struct look *look, uint64_t off, uint64_t len)
{
    const struct geometry_piece piece = {look->tile, off, len};
    uint64_t before, after;
    int rc = occupied(look, &before);

    if (!rc)
        rc = image_zero_locked(look->img, &piece, false);
    if (!rc)
        rc = occupied(look, &after);
    if (!rc)
        look->step->freed += before > after ? before - after : 0;
    return rc;
}

/* Whether [off, end) is still stored, all zeros, and the last of the tile's data. */
static int look_again_locked(struct look *look, uint64_t off, uint64_t end, bool *zeros, bool *last)
{
    struct store *st = look->img->store;
    uint64_t data = look->len;
    int rc = store_read(st, look->tile, off, look->bytes, end - off);

    *zeros = !rc && zero_is(look->bytes, end - off);
    if (*zeros)
        rc = store_seek(st, look->tile, off, STORE_DATA, &data);
    *zeros = *zeros && data < end;
    if (!rc)
        rc = is_last_locked(look, end, last);
    return rc == -ENOENT ? image_absent(look->img, look->tile) : rc;
}

static int give_back_locked(struct look *look, uint64_t off, uint64_t end)
{
    struct image_compact *step = look->step;
    bool zeros, last;
    int rc = look_again_locked(look, off, end, &zeros, &last);

    if (!rc && zeros && !last)
        rc = ask_holes(look);
    if (rc || !zeros)
        return rc;
    if (!last && look->no_holes) {
        step->fixed += end - off;
        return 0;
    }
    rc = zero_locked(look, off, (last ? look->len : end) - off);
    if (!rc)
        *(last ? &step->tails : &step->holes) += end - off;
    return rc;
}

static int give_back(struct look *look, uint64_t off, uint64_t end, bool last)
{
    struct rwlock *lock = image_stripe(look->img, look->tile);
    int rc;

    if (look->step->dry) {
        *(last ? &look->step->tails : &look->step->holes) += end - off;
        return 0;
    }
    rwlock_exclusive(lock);
    rc = give_back_locked(look, off, end);
    rwlock_unlock(lock);
    if (rc == -EMLINK) { /* since a moment ago */
        look->step->held += end - off;
        rc = 0;
    }
    return rc;
}

/* Blocks from to end - 1 are zeros: those that are stored, the last ones first. */
static int give_back_run(struct look *look, size_t from, size_t end, bool last)
{
    int rc = 0;

    while (!rc && end > from) {
        size_t start = end;

        while (start > from && look->data[start - 1] &&
               at(look, end) - at(look, start - 1) <= CHUNK)
            start--;
        if (start < end)
            rc = give_back(look, at(look, start), at(look, end), last);
        end = start < end ? start : end - 1;
    }
    return rc;
}

static int do_run(struct look *look, size_t from, size_t end, bool held)
{
    struct image_compact *step = look->step;
    bool last = look->last && end == look->n;
    bool within = from > 0 && end < look->n; /* else it may go on in the next window */
    uint64_t stored = 0;
    int rc = 0;

    for (size_t i = from; i < end; i++)
        stored += look->data[i] ? at(look, i + 1) - at(look, i) : 0;
    if (!stored)
        return 0;
    if (held) {
        step->held += stored;
        return 0;
    }
    if (within && at(look, end) - at(look, from) < RUN_MIN) {
        step->small += stored;
        return 0;
    }
    if (!last)
        rc = ask_holes(look);
    if (rc)
        return rc;
    if (!last && look->no_holes) {
        step->fixed += stored;
        return 0;
    }
    return give_back_run(look, from, end, last);
}

static int do_runs(struct look *look, bool held)
{
    int rc = 0;

    for (size_t end = look->n, from; !rc && end > 0; end = from) {
        from = end;
        while (from > 0 && look->zero[from - 1])
            from--;
        if (from < end)
            rc = do_run(look, from, end, held);
        else
            from--;
    }
    return rc;
}

/* Whether no data is left. What the tile shares its first block with is none of its bytes. */
static int is_empty_locked(struct look *look, bool *empty)
{
    struct store *st = look->img->store;
    uint64_t shared = look->head ? look->block - look->head : 0;
    uint64_t from = shared < look->len ? shared : look->len, data = look->len;
    int rc = from ? store_read(st, look->tile, 0, look->bytes, from) : 0;

    *empty = !rc && zero_is(look->bytes, from);
    if (*empty && from < look->len)
        rc = store_seek(st, look->tile, from, STORE_DATA, &data);
    *empty = *empty && data == look->len;
    return rc;
}

/*
 * One that has space reserved is not empty. But some that it occupies may be that of its list of
 * extents, which outlives them on ext4, so that image_zero_locked() takes it for reserved.
 */
static int drop_locked(struct look *look, const struct store_blocks *blocks)
{
    struct image *img = look->img;
    uint64_t own = (blocks->head + look->block - 1) / look->block * look->block, bytes;
    bool empty;
    int rc = is_empty_locked(look, &empty);

    if (!rc && empty)
        rc = occupied(look, &bytes);
    if (rc || !empty || bytes > own + LIST)
        return rc;
    rc = image_note(img, look->tile);
    if (!rc)
        rc = image_snapshot_settle(img, look->tile);
    if (!rc)
        rc = store_remove(img->store, look->tile);
    if (rc)
        return rc;
    image_gone(img, look->tile);
    look->step->removed = true;
    look->step->freed += bytes;
    return 0;
}

static int drop(struct look *look, const struct store_blocks *blocks)
{
    struct rwlock *lock = image_stripe(look->img, look->tile);
    int rc;

    rwlock_exclusive(lock);
    rc = drop_locked(look, blocks);
    rwlock_unlock(lock);
    return rc == -EMLINK || rc == -ENOENT || rc == -EBUSY ? 0 : rc;
}

/* --- a step ----------------------------------------------------------------------------------- */

static int do_window(struct look *look, const struct store_blocks *blocks)
{
    struct image_compact *step = look->step;
    int rc = find_end(look);

    if (!rc)
        rc = find_data(look);
    if (!rc)
        rc = find_zeros(look);
    if (!rc)
        rc = do_runs(look, blocks->held);
    /* The last of its windows: is it a tile without data, which could not go with the last? */
    if (!rc && look->lo == 0 && !step->data && !step->dry && !step->removed && !blocks->held &&
        !blocks->stays)
        rc = drop(look, blocks);
    return rc;
}

/* Under the stripe; *blocks and, of a tile that begins, what it occupies. */
static int learn(struct look *look, struct store_blocks *blocks)
{
    struct rwlock *lock = image_stripe(look->img, look->tile);
    int rc;

    rwlock_shared(lock);
    rc = store_blocks(look->img->store, look->tile, blocks);
    if (rc == -ENOENT)
        rc = image_absent(look->img, look->tile);
    else if (!rc && !look->step->left)
        rc = occupied(look, &look->step->stored);
    if (!rc && blocks->unsure && !image_writable(look->img))
        rc = image_flush_tile(look->img, look->tile);
    rwlock_unshare(lock);
    look->block = blocks->size < BLOCK_MIN   ? BLOCK_MIN
                  : blocks->size > BLOCK_MAX ? BLOCK_MAX
                                             : blocks->size;
    look->before = blocks->head;
    look->head = blocks->head % look->block;
    look->step->block = blocks->size;
    look->step->stays = blocks->stays;
    return rc;
}

static void go_on(struct image_compact *step, uint64_t left)
{
    step->tile += left == 0;
    step->left = left;
}

static void look_at(struct look *look)
{
    struct image_compact *step = look->step;
    struct store_blocks blocks;
    int rc = learn(look, &blocks);

    step->met = look->tile;
    look->lo = 0;
    if (!rc) {
        place(look, step->left ? step->left : look->len);
        rc = do_window(look, &blocks);
    }
    step->error = rc;
    go_on(step, rc || step->removed ? 0 : look->lo);
}

static bool is_place(const struct image *img, const struct image_compact *step)
{
    const struct geometry *geo = &img->geometry;

    return step->tile < geo->ntiles ? step->left <= geometry_tile_len(geo, step->tile)
                                    : step->tile == geo->ntiles && !step->left;
}

/* The tile that step begins with. It may be none of the next AHEAD, or the end. */
static bool find(struct image *img, struct image_compact *step)
{
    uint32_t ntiles = img->geometry.ntiles;
    uint32_t end = ntiles - step->tile > AHEAD ? step->tile + AHEAD : ntiles;
    uint32_t found = end;

    step->error = image_next(img, step->tile, end, &found);
    step->tile = step->error ? end : found;
    return found < end && !step->error;
}

int image_compact(struct image *img, struct image_compact *step)
{
    int rc = step->dry ? 0 : image_writable(img);
    struct look *look;

    if (!rc && !is_place(img, step))
        rc = -EINVAL;
    if (rc)
        return rc;
    *step = (struct image_compact){
        .dry = step->dry, .tile = step->tile, .left = step->left, .met = IMAGE_NO_TILE};
    if (step->tile == img->geometry.ntiles || (!step->left && !find(img, step)))
        return 0;
    look = calloc(1, sizeof(*look));
    if (!look)
        return -ENOMEM;
    look->img = img;
    look->step = step;
    look->tile = step->tile;
    look->len = geometry_tile_len(&img->geometry, step->tile);
    look_at(look);
    free(look);
    return 0;
}
