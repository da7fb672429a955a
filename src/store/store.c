/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The only way into a store. Every wrapper asserts that the caller stays
 * inside the tile and that the implementation keeps the result convention, so
 * neither side has to check the other again. What it asserts are mistakes of
 * ours: nothing here depends on bytes from a disk.
 */
#include "store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ERRNO_MAX 4095 /* as the kernel's MAX_ERRNO */

void store_init(struct store *st, const struct store_ops *ops, const struct geometry *geo,
                uint32_t tiles_max)
{
    *st = (struct store){.ops = ops, .tiles_max = tiles_max, .first = {*geo, NULL}};
    st->newest = &st->first;
    atomic_init(&st->geometry, &st->first.geometry);
}

static void check_tile(const struct store *st, uint32_t tile)
{
    assert(tile < store_geometry(st)->ntiles);
}

static void check_range(const struct store *st, uint32_t tile, uint64_t off, uint64_t len)
{
    check_tile(st, tile);
    assert(len > 0);
    assert(off < geometry_tile_len(store_geometry(st), tile));
    assert(len <= geometry_tile_len(store_geometry(st), tile) - off);
}

static int checked(int rc)
{
    assert(rc <= 0 && rc >= -ERRNO_MAX);
    return rc;
}

int store_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len)
{
    check_range(st, tile, off, len);
    return checked(st->ops->read(st, tile, off, buf, len));
}

int store_lend(struct store *st, uint32_t tile, uint64_t off, size_t len, store_use *use, void *arg)
{
    check_range(st, tile, off, len);
    return st->ops->lend ? checked(st->ops->lend(st, tile, off, len, use, arg)) : -EAGAIN;
}

int store_lend_file(struct store *st, uint32_t tile, uint64_t off, uint64_t len,
                    store_use_file *use, void *arg)
{
    check_range(st, tile, off, len);
    return st->ops->lend_file ? checked(st->ops->lend_file(st, tile, off, len, use, arg))
                              : -EOPNOTSUPP;
}

int store_clone(struct store *st, uint32_t tile, uint64_t off, uint64_t len, int fd,
                uint64_t fd_off)
{
    check_range(st, tile, off, len);
    return st->ops->clone ? checked(st->ops->clone(st, tile, off, len, fd, fd_off)) : -EOPNOTSUPP;
}

int store_write(struct store *st, uint32_t tile, uint64_t off, const void *buf, size_t len)
{
    check_range(st, tile, off, len);
    return checked(st->ops->write(st, tile, off, buf, len));
}

int store_create(struct store *st, uint32_t tile)
{
    int rc;

    check_tile(st, tile);
    rc = checked(st->ops->create(st, tile));
    assert(rc != -ENOENT);
    return rc;
}

int store_remove(struct store *st, uint32_t tile)
{
    check_tile(st, tile);
    return checked(st->ops->remove(st, tile));
}

int store_unshare(struct store *st, uint32_t tile)
{
    check_tile(st, tile);
    return st->ops->unshare ? checked(st->ops->unshare(st, tile)) : -EOPNOTSUPP;
}

int store_zero(struct store *st, uint32_t tile, uint64_t off, uint64_t len, bool *empty)
{
    check_range(st, tile, off, len);
    return checked(st->ops->zero(st, tile, off, len, empty));
}

int store_allocate(struct store *st, uint32_t tile, uint64_t off, uint64_t len)
{
    check_range(st, tile, off, len);
    return checked(st->ops->allocate(st, tile, off, len));
}

int store_seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what, uint64_t *found)
{
    int rc;

    check_range(st, tile, off, 1);
    assert(what == STORE_DATA || what == STORE_HOLE);
    rc = checked(st->ops->seek(st, tile, off, what, found));
    assert(rc || (*found >= off && *found <= geometry_tile_len(store_geometry(st), tile)));
    return rc;
}

int store_stat(struct store *st, uint32_t tile, struct store_stat *out)
{
    return store_stat_at(st, tile, NULL, out);
}

int store_stat_at(struct store *st, uint32_t tile, const struct store_place *place,
                  struct store_stat *out)
{
    check_tile(st, tile);
    return checked(st->ops->stat(st, tile, place, out));
}

int store_blocks(struct store *st, uint32_t tile, struct store_blocks *out)
{
    int rc;

    check_tile(st, tile);
    *out = (struct store_blocks){.size = 4096};
    rc = st->ops->blocks ? checked(st->ops->blocks(st, tile, out)) : 0;
    assert(rc || (out->size > 0 && (out->size & (out->size - 1)) == 0));
    return rc;
}

int store_holes(struct store *st, uint32_t tile)
{
    check_tile(st, tile);
    return st->ops->holes ? checked(st->ops->holes(st, tile)) : 0;
}

/* A walk ends with an empty range: no store has to think of that. */
int store_next(struct store *st, uint32_t from, uint32_t end, uint32_t *found)
{
    int rc;

    assert(from <= end && end <= store_geometry(st)->ntiles);
    if (from == end)
        return -ENOENT;
    rc = checked(st->ops->next(st, from, end, found));
    assert(rc || (*found >= from && *found < end));
    return rc;
}

int store_each(struct store *st, uint32_t from, uint32_t end, store_met *met, void *arg)
{
    assert(from <= end && end <= store_geometry(st)->ntiles);
    return from == end ? 0 : checked(st->ops->each(st, from, end, met, arg));
}

bool store_noted(struct store *st, uint32_t tile)
{
    check_tile(st, tile);
    return st->ops->noted(st, tile);
}

int store_note(struct store *st, const uint32_t *tiles, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_tile(st, tiles[i]);
    return checked(st->ops->note(st, tiles, n));
}

int store_mark(struct store *st)
{
    return checked(st->ops->mark(st));
}

int store_tell(struct store *st, char epoch[STORE_EPOCH])
{
    return checked(st->ops->tell(st, epoch));
}

int store_snapshot_begin(struct store *st)
{
    return st->ops->snapshot_begin ? checked(st->ops->snapshot_begin(st)) : -EOPNOTSUPP;
}

int store_snapshot_tile(struct store *st, uint32_t tile)
{
    check_tile(st, tile);
    return checked(st->ops->snapshot_tile(st, tile));
}

void store_snapshot_hold(struct store *st)
{
    st->ops->snapshot_hold(st);
}

void store_links_begin(struct store *st)
{
    if (st->ops->links_begin)
        st->ops->links_begin(st);
}

void store_links_end(struct store *st)
{
    if (st->ops->links_end)
        st->ops->links_end(st);
}

int store_resize_tile(struct store *st, uint32_t tile, const struct geometry *to)
{
    check_tile(st, tile);
    return st->ops->resize_tile ? checked(st->ops->resize_tile(st, tile, to)) : 0;
}

/* Memory first: nothing can fail once the new size is on disk. */
int store_resize_begin(struct store *st, const struct geometry *to, bool over)
{
    struct store_geometry *next;
    int rc;

    assert(!st->next && to->size > store_geometry(st)->size && to->ntiles <= st->tiles_max);
    if (!st->ops->resize_begin)
        return -EOPNOTSUPP;
    next = malloc(sizeof(*next));
    if (!next)
        return -ENOMEM;
    *next = (struct store_geometry){*to, st->newest};
    rc = checked(st->ops->resize_begin(st, to, over));
    if (rc)
        free(next);
    else
        st->next = next;
    return rc;
}

void store_resize(struct store *st)
{
    st->ops->resize(st, &st->next->geometry);
    st->newest = st->next;
    st->next = NULL;
    atomic_store_explicit(&st->geometry, &st->newest->geometry, memory_order_release);
}

int store_flush_start(struct store *st, uint32_t tile)
{
    check_tile(st, tile);
    return checked(st->ops->flush_start(st, tile));
}

int store_flush(struct store *st, uint32_t tile)
{
    check_tile(st, tile);
    return checked(st->ops->flush(st, tile));
}

int store_flush_entries(struct store *st)
{
    return checked(st->ops->flush_entries(st));
}

int store_space(struct store *st, struct statvfs *out)
{
    return checked(st->ops->space(st, out));
}

int store_mtime(struct store *st, struct timespec *out)
{
    return checked(st->ops->mtime(st, out));
}

int store_replaced(struct store *st, struct store_replaced *out)
{
    *out = (struct store_replaced){0};
    return st->ops->replaced ? checked(st->ops->replaced(st, out)) : 0;
}

void store_close(struct store *st)
{
    const struct store_geometry *first;
    struct store_geometry *next, *geo, *older;

    if (!st)
        return;
    first = &st->first;
    next = st->next;
    geo = st->newest;
    st->ops->close(st); /* which may still ask for the geometry */
    free(next);
    for (; geo != first; geo = older) {
        older = geo->older;
        free(geo);
    }
}
