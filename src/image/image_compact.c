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
 *   1 which of its blocks are stored, and which of these are all zeros, is found out beside all
 *     else (image_window.c): the tile's stripe is held, shared, for one short read at a time
 *   2 each run of zeros is given back in pieces of up to PIECE bytes: with the stripe held
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
#include "image/image_window.h"

#define PIECE UINT64_C(1048576) /* bytes of zeros given back at a time */
#define RUN_MIN 16384 /* bytes between data that are worth a hole; see doc/performance.md */
#define LIST 16384    /* bytes that a list of extents may occupy, of a tile that had many */
#define AHEAD 65536   /* tiles that one step passes over if they are absent */

/* A tile, and a window of it. */
struct look {
    struct image *img;
    struct image_compact *step;
    struct image_window window; /* fixed while runs are given back */
    bool no_holes;              /* the file system has none; asked when it matters */
    bool asked;
    unsigned char bytes[PIECE];
};

/* --- giving back ------------------------------------------------------------------------------ */

/* Whether the file system has holes. Asked only of a tile that is about to get one. */
static int ask_holes(struct look *look)
{
    const struct image_window *w = &look->window;
    int rc = look->asked ? 0 : store_holes(look->img->store, w->tile);

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
    const struct image_window *w = &look->window;
    struct store_stat stat;
    int rc = store_stat(look->img->store, w->tile, &stat);

    *bytes = rc ? 0 : stat.blocks * 512;
    look->step->removed = rc == -ENOENT;
    return rc == -ENOENT ? 0 : rc;
}

/* The stripe is held exclusively. -EMLINK: a snapshot holds the tile. */
static int zero_locked(struct look *look, uint64_t off, uint64_t len)
{
    const struct image_window *w = &look->window;
    const struct geometry_piece piece = {w->tile, off, len};
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
    const struct image_window *w = &look->window;
    struct store *st = look->img->store;
    uint64_t data = w->len;
    int rc = store_read(st, w->tile, off, look->bytes, end - off);

    *zeros = !rc && zero_is(look->bytes, end - off);
    if (*zeros)
        rc = store_seek(st, w->tile, off, STORE_DATA, &data);
    *zeros = *zeros && data < end;
    if (!rc)
        rc = image_window_is_last(look->img, w, end, last);
    return rc == -ENOENT ? image_absent(look->img, w->tile) : rc;
}

static int give_back_locked(struct look *look, uint64_t off, uint64_t end)
{
    const struct image_window *w = &look->window;
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
    rc = zero_locked(look, off, (last ? w->len : end) - off);
    if (!rc)
        *(last ? &step->tails : &step->holes) += end - off;
    return rc;
}

/* Which may take a sync: before others are kept off the tile. */
static int note(struct look *look)
{
    const struct image_window *w = &look->window;
    struct rwlock *lock = image_stripe(look->img, w->tile);
    int rc;

    rwlock_shared(lock);
    rc = image_note_present(look->img, w->tile);
    rwlock_unshare(lock);
    return rc == -ENOENT ? 0 : rc;
}

static int give_back(struct look *look, uint64_t off, uint64_t end, bool last)
{
    const struct image_window *w = &look->window;
    struct rwlock *lock = image_stripe(look->img, w->tile);
    int rc;

    if (look->step->dry) {
        *(last ? &look->step->tails : &look->step->holes) += end - off;
        return 0;
    }
    rc = note(look);
    if (rc)
        return rc;
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
    const struct image_window *w = &look->window;
    int rc = 0;

    while (!rc && end > from) {
        size_t start = end;

        while (start > from && w->data[start - 1] &&
               image_window_at(w, end) - image_window_at(w, start - 1) <= PIECE)
            start--;
        if (start < end)
            rc = give_back(look, image_window_at(w, start), image_window_at(w, end), last);
        end = start < end ? start : end - 1;
    }
    return rc;
}

static int do_run(struct look *look, size_t from, size_t end, bool held)
{
    const struct image_window *w = &look->window;
    struct image_compact *step = look->step;
    bool last = w->last && end == w->n;
    bool within = from > 0 && end < w->n; /* else it may go on in the next window */
    uint64_t stored = 0;
    int rc = 0;

    for (size_t i = from; i < end; i++)
        stored += w->data[i] ? image_window_at(w, i + 1) - image_window_at(w, i) : 0;
    if (!stored)
        return 0;
    if (held) {
        step->held += stored;
        return 0;
    }
    if (within && image_window_at(w, end) - image_window_at(w, from) < RUN_MIN) {
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
    const struct image_window *w = &look->window;
    int rc = 0;

    for (size_t end = w->n, from; !rc && end > 0; end = from) {
        from = end;
        while (from > 0 && w->zero[from - 1])
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
    const struct image_window *w = &look->window;
    struct store *st = look->img->store;
    uint64_t shared = w->head ? w->block - w->head : 0;
    uint64_t from = shared < w->len ? shared : w->len, data = w->len;
    int rc = from ? store_read(st, w->tile, 0, look->bytes, from) : 0;

    *empty = !rc && zero_is(look->bytes, from);
    if (*empty && from < w->len)
        rc = store_seek(st, w->tile, from, STORE_DATA, &data);
    *empty = *empty && data == w->len;
    return rc;
}

/*
 * One that has space reserved is not empty. But some that it occupies may be that of its list of
 * extents, which outlives them on ext4, so that image_zero_locked() takes it for reserved.
 */
static int drop_locked(struct look *look, const struct store_blocks *blocks)
{
    const struct image_window *w = &look->window;
    struct image *img = look->img;
    uint64_t own = (blocks->head + w->block - 1) / w->block * w->block, bytes;
    bool empty;
    int rc;

    if (geometry_tile_len(image_geometry(img), w->tile) != w->len)
        return 0; /* it has just grown, and may have data there */
    rc = is_empty_locked(look, &empty);
    if (!rc && empty)
        rc = occupied(look, &bytes);
    if (rc || !empty || bytes > own + LIST)
        return rc;
    rc = image_note(img, w->tile);
    if (!rc)
        rc = image_snapshot_settle(img, w->tile);
    if (!rc)
        rc = store_remove(img->store, w->tile);
    if (rc)
        return rc;
    image_gone(img, w->tile);
    look->step->removed = true;
    look->step->freed += bytes;
    return 0;
}

static int drop(struct look *look, const struct store_blocks *blocks)
{
    const struct image_window *w = &look->window;
    struct rwlock *lock = image_stripe(look->img, w->tile);
    int rc;

    rwlock_exclusive(lock);
    rc = drop_locked(look, blocks);
    rwlock_unlock(lock);
    return rc == -EMLINK || rc == -ENOENT || rc == -EBUSY ? 0 : rc;
}

/* --- a step ----------------------------------------------------------------------------------- */

static int do_window(struct look *look, const struct store_blocks *blocks)
{
    struct image_window *w = &look->window;
    struct image_compact *step = look->step;
    int rc = image_window_look(look->img, w, look->bytes);

    step->data = w->nonzero;
    if (!rc)
        rc = do_runs(look, blocks->held);
    /* The last of its windows: is it a tile without data, which could not go with the last? */
    if (!rc && w->lo == 0 && !step->data && !step->dry && !step->removed && !blocks->held &&
        !blocks->stays)
        rc = drop(look, blocks);
    return rc;
}

/* Under the stripe; *blocks and, of a tile that begins, what it occupies. */
static int learn(struct look *look, uint32_t tile, struct store_blocks *blocks)
{
    struct rwlock *lock = image_stripe(look->img, tile);
    int rc;

    rwlock_shared(lock);
    rc = store_blocks(look->img->store, tile, blocks);
    image_window_init(&look->window, image_geometry(look->img), tile, blocks);
    if (rc == -ENOENT)
        rc = image_absent(look->img, tile);
    else if (!rc && !look->step->left)
        rc = occupied(look, &look->step->stored);
    if (!rc && blocks->unsure && !image_writable(look->img))
        rc = image_flush_tile(look->img, tile);
    rwlock_unshare(lock);
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
    struct image_window *w = &look->window;
    struct image_compact *step = look->step;
    struct store_blocks blocks;
    int rc = learn(look, step->tile, &blocks);

    step->met = step->tile;
    if (!rc) {
        image_window_place(w, step->left ? step->left : w->len);
        rc = do_window(look, &blocks);
    }
    step->error = rc;
    go_on(step, rc || step->removed ? 0 : w->lo);
}

static bool is_place(const struct image *img, const struct image_compact *step)
{
    const struct geometry *geo = image_geometry(img);

    return step->tile < geo->ntiles ? step->left <= geometry_tile_len(geo, step->tile)
                                    : step->tile == geo->ntiles && !step->left;
}

/* The tile that step begins with. It may be none of the next AHEAD, or the end. */
static bool find(struct image *img, struct image_compact *step)
{
    uint32_t ntiles = image_geometry(img)->ntiles;
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
    if (step->tile == image_geometry(img)->ntiles || (!step->left && !find(img, step)))
        return 0;
    look = calloc(1, sizeof(*look));
    if (!look)
        return -ENOMEM;
    look->img = img;
    look->step = step;
    look_at(look);
    free(look);
    return 0;
}
