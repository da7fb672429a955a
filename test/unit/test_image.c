/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image over a store in memory that fails where it is told to. A flat
 * array beside it says what every byte should be.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../note.h"
#include "base/zero.h"
#include "image/image.h"
#include "store/fault.h"
#include "store/mem.h"

#define TILE UINT64_C(16384)
#define NTILES 64
#define LAST UINT64_C(4608) /* bytes of the last tile */
#define SIZE ((NTILES - 1) * TILE + LAST)
#define FOR_EVER UINT64_MAX

struct fixture {
    struct store *st; /* the fault store, owned by img */
    struct image *img;
    unsigned char flat[SIZE];
};

static struct fixture *open_fixture(uint32_t max_tiles, bool read_only)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct geometry geo;

    assert_non_null(f);
    assert_int_equal(geometry_init(&geo, SIZE, TILE), 0);
    assert_int_equal(mem_open(&geo, max_tiles, &f->st), 0);
    assert_int_equal(fault_open(f->st, &f->st), 0);
    assert_int_equal(image_open(f->st, read_only, &f->img), 0);
    return f;
}

static int setup(void **state)
{
    *state = open_fixture(NTILES, false);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    int rc = f->img ? image_close(f->img) : 0;

    free(f);
    return rc;
}

/* For tests that end with an image that takes no more writes. */
static int teardown_failed(void **state)
{
    struct fixture *f = *state;
    int rc = image_close(f->img);

    free(f);
    return rc == -EIO ? 0 : -1;
}

static void put(struct fixture *f, uint64_t off, uint64_t len, unsigned seed)
{
    for (uint64_t i = 0; i < len; i++)
        f->flat[off + i] = 1 + (i * 7 + i / 255 + seed * 13) % 255;
    assert_int_equal(image_write(f->img, off, f->flat + off, len), 0);
}

static void zero(struct fixture *f, uint64_t off, uint64_t len)
{
    memset(f->flat + off, 0, len);
    assert_int_equal(image_zero(f->img, off, len), 0);
}

static void assert_content(struct fixture *f)
{
    unsigned char *got = malloc(SIZE);

    assert_non_null(got);
    memset(got, 0xa5, SIZE);
    assert_int_equal(image_read(f->img, 0, got, SIZE), 0);
    assert_true(memcmp(got, f->flat, SIZE) == 0);
    free(got);
}

static uint32_t count_tiles(struct fixture *f)
{
    uint32_t n = 0, tile = 0;

    while (store_next(f->st, tile, store_geometry(f->st)->ntiles, &tile) == 0) {
        n++;
        tile++;
    }
    return n;
}

static bool present(struct fixture *f, uint32_t tile)
{
    uint32_t found;

    return store_next(f->st, tile, store_geometry(f->st)->ntiles, &found) == 0 && found == tile;
}

static void impose(struct fixture *f, enum fault_op op, int err)
{
    fault_set(f->st, op, err, 0, FOR_EVER);
}

static void lift(struct fixture *f, enum fault_op op)
{
    fault_set(f->st, op, 0, 0, 0);
}

static uint64_t calls(struct fixture *f, enum fault_op op)
{
    uint64_t n, failed;

    fault_counts(f->st, op, &n, &failed);
    return n;
}

static void absent_reads_as_zeros(void **state)
{
    struct fixture *f = *state;

    assert_content(f);
    put(f, 5 * TILE + 100, 1, 1);
    assert_content(f);
    assert_int_equal(count_tiles(f), 1);
}

static void zeros_to_absent_tiles_allocate_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(image_write(f->img, 0, f->flat, SIZE), 0);
    assert_int_equal(count_tiles(f), 0);
    assert_int_equal(calls(f, FAULT_CREATE), 0);
    /* Of a request over three tiles, only the one with data is made. */
    f->flat[2 * TILE] = 1;
    assert_int_equal(image_write(f->img, TILE, f->flat + TILE, 3 * TILE), 0);
    assert_int_equal(count_tiles(f), 1);
    assert_true(present(f, 2));
    assert_content(f);
}

static void zeros_to_a_present_tile_are_written(void **state)
{
    struct fixture *f = *state;

    put(f, 0, TILE, 1);
    memset(f->flat + 100, 0, 5000);
    assert_int_equal(image_write(f->img, 100, f->flat + 100, 5000), 0);
    assert_content(f);
}

static void past_the_end_is_refused(void **state)
{
    struct fixture *f = *state;
    char buf[8] = "xxxxxxx";

    put(f, SIZE - 4, 4, 1);
    assert_int_equal(image_write(f->img, SIZE, buf, 1), -ENOSPC);
    assert_int_equal(image_write(f->img, SIZE - 3, buf, 4), -ENOSPC);
    assert_int_equal(image_write(f->img, UINT64_MAX, buf, 1), -ENOSPC);
    assert_int_equal(image_write(f->img, UINT64_MAX - 3, buf, 8), -ENOSPC);
    assert_int_equal(image_allocate(f->img, SIZE - 3, 4), -ENOSPC);
    assert_int_equal(image_allocate(f->img, 4, UINT64_MAX), -ENOSPC);
    assert_int_equal(image_read(f->img, SIZE - 3, buf, 4), -EINVAL);
    assert_int_equal(image_read(f->img, UINT64_MAX, buf, 2), -EINVAL);
    assert_content(f);
    assert_int_equal(image_zero(f->img, SIZE, 1), 0);
    assert_int_equal(image_zero(f->img, UINT64_MAX, UINT64_MAX), 0);
    assert_content(f);
    zero(f, SIZE - 2, 2);
    assert_content(f);
    assert_int_equal(image_zero(f->img, SIZE - 4, UINT64_MAX), 0);
    assert_int_equal(count_tiles(f), 0);
}

static void requests_span_tiles(void **state)
{
    struct fixture *f = *state;

    put(f, TILE - 1, 2, 1);
    put(f, 3 * TILE + 5, 4 * TILE, 2);
    put(f, SIZE - LAST - TILE - 7, TILE + LAST + 7, 3);
    assert_content(f);
    put(f, 0, SIZE, 4);
    assert_content(f);
    zero(f, TILE / 2, 3 * TILE);
    zero(f, SIZE - LAST - 1, LAST + 1);
    assert_content(f);
}

/* One step of a random walk: write, zero or zeros written, anywhere. */
static void random_step(struct fixture *f, unsigned *seed)
{
    uint64_t off = (uint64_t)rand_r(seed) % SIZE;
    uint64_t len = 1 + (uint64_t)rand_r(seed) % (3 * TILE);

    len = len < SIZE - off ? len : SIZE - off;
    switch (rand_r(seed) % 4) {
    case 0:
        zero(f, off, len);
        break;
    case 1:
        memset(f->flat + off, 0, len);
        assert_int_equal(image_write(f->img, off, f->flat + off, len), 0);
        break;
    default:
        put(f, off, len, *seed);
    }
}

static void random_requests_match_a_flat_array(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 20160401;

    for (int i = 0; i < 2000; i++) {
        random_step(f, &seed);
        if (i % 50 == 0)
            assert_content(f);
    }
    assert_content(f);
}

/* Requests that need a certain operation of the store. */
static int do_read(struct fixture *f)
{
    char buf[100];

    return image_read(f->img, 5 * TILE - 50, buf, sizeof(buf));
}

static int do_write(struct fixture *f)
{
    return image_write(f->img, 4 * TILE, f->flat + 4 * TILE, 100);
}

static int do_write_new(struct fixture *f)
{
    int rc = image_write(f->img, 9 * TILE, "x", 1);

    f->flat[9 * TILE] = rc ? 0 : 'x';
    return rc;
}

static int do_zero_tile(struct fixture *f)
{
    int rc = image_zero(f->img, 6 * TILE, TILE);

    if (!rc)
        memset(f->flat + 6 * TILE, 0, TILE);
    return rc;
}

static int do_zero_part(struct fixture *f)
{
    int rc = image_zero(f->img, 4 * TILE + 10, 10);

    if (!rc)
        memset(f->flat + 4 * TILE + 10, 0, 10);
    return rc;
}

static int do_allocate(struct fixture *f)
{
    return image_allocate(f->img, 4 * TILE, TILE);
}

static int do_seek_data(struct fixture *f)
{
    uint64_t found;

    return image_seek(f->img, 0, STORE_DATA, &found);
}

static int do_seek_hole(struct fixture *f)
{
    uint64_t found;

    return image_seek(f->img, 4 * TILE, STORE_HOLE, &found);
}

static int do_count(struct fixture *f)
{
    return image_count(f->img);
}

static int do_usage(struct fixture *f)
{
    struct image_usage usage;

    /* Something was written since it was last asked. */
    return image_write(f->img, 4 * TILE, f->flat + 4 * TILE, 1) ?: image_usage(f->img, 0, &usage);
}

static int do_space(struct fixture *f)
{
    struct statvfs space;

    return image_space(f->img, &space);
}

static const struct {
    enum fault_op op;
    int (*request)(struct fixture *f);
} needs[] = {
    {FAULT_READ, do_read},        {FAULT_WRITE, do_write},       {FAULT_WRITE, do_write_new},
    {FAULT_CREATE, do_write_new}, {FAULT_REMOVE, do_zero_tile},  {FAULT_NEXT, do_zero_tile},
    {FAULT_ZERO, do_zero_part},   {FAULT_ALLOCATE, do_allocate}, {FAULT_SEEK, do_seek_data},
    {FAULT_SEEK, do_seek_hole},   {FAULT_NEXT, do_seek_data},    {FAULT_STAT, do_usage},
    {FAULT_STAT, do_count},       {FAULT_EACH, do_count},        {FAULT_MTIME, do_count},
    {FAULT_SPACE, do_space},
};

/* The caller gets the errno, nothing else changes, and it works once the cause is gone. */
static void assert_error_is_told(unsigned i, int err)
{
    struct fixture *f = open_fixture(NTILES, false);
    void *state = f;

    put(f, 4 * TILE, 3 * TILE, 1);
    impose(f, needs[i].op, err);
    assert_int_equal(needs[i].request(f), -err);
    assert_int_equal(needs[i].request(f), -err);
    lift(f, needs[i].op);
    assert_content(f);
    assert_int_equal(needs[i].request(f), 0);
    assert_content(f);
    put(f, 0, SIZE, 2);
    assert_content(f);
    assert_int_equal(teardown(&state), 0);
}

static void every_error_reaches_the_caller(void **state)
{
    static const int errs[] = {EIO, ENOSPC, EACCES, EDQUOT};

    for (unsigned i = 0; i < ARRAY_LEN(needs); i++)
        for (unsigned e = 0; e < ARRAY_LEN(errs); e++)
            assert_error_is_told(i, errs[e]);
}

/* Whichever tile of a long request fails. */
static void no_error_is_lost_on_the_way(void **state)
{
    struct fixture *f = *state;
    unsigned char *buf = malloc(8 * TILE);

    assert_non_null(buf);
    put(f, 0, 8 * TILE, 1);
    for (int i = 0; i < 8; i++) {
        fault_set(f->st, FAULT_READ, EIO, i, 1);
        assert_int_equal(image_read(f->img, 0, buf, 8 * TILE), -EIO);
        fault_set(f->st, FAULT_WRITE, EIO, i, 1);
        assert_int_equal(image_write(f->img, 0, f->flat, 8 * TILE), -EIO);
        fault_set(f->st, FAULT_REMOVE, EIO, i, 1);
        assert_int_equal(image_zero(f->img, 0, 8 * TILE), -EIO);
        assert_int_equal(image_write(f->img, 0, f->flat, 8 * TILE), 0);
    }
    assert_content(f);
    free(buf);
}

/* A tile made for a write that failed would be read as data of somebody. */
static void failed_first_write_leaves_no_tile(void **state)
{
    struct fixture *f = *state;

    impose(f, FAULT_WRITE, ENOSPC);
    assert_int_equal(image_write(f->img, 0, "x", 1), -ENOSPC);
    assert_int_equal(count_tiles(f), 0);
    impose(f, FAULT_ALLOCATE, ENOSPC);
    assert_int_equal(image_allocate(f->img, 0, 1), -ENOSPC);
    assert_int_equal(count_tiles(f), 0);
    assert_content(f);
    lift(f, FAULT_WRITE);
    put(f, 0, 1, 1);
    assert_content(f);
}

/*
 * A request that found no space is repeated as it was: whatever of it had been
 * done, in the end it is done, once, and nothing else is.
 */
static void what_found_no_space_can_be_repeated(void **state)
{
    static const enum fault_op all[] = {FAULT_NOTE, FAULT_CREATE, FAULT_WRITE, FAULT_ZERO,
                                        FAULT_REMOVE};
    struct fixture *f = *state;
    char epoch[STORE_EPOCH];

    for (size_t i = 0; i < 4 * ARRAY_LEN(all); i++) {
        enum fault_op op = all[i / 4];
        uint64_t off = TILE / 2 + i, len = 3 * TILE;

        zero(f, 0, SIZE);
        put(f, TILE, 2 * TILE, 7);
        assert_int_equal(image_mark(f->img, epoch), 0); /* there is something to note again */
        fault_set(f->st, op, ENOSPC, i % 4, 1);
        for (uint64_t k = 0; k < len; k++)
            f->flat[off + k] = 1 + (k + i) % 255;
        while (image_write(f->img, off, f->flat + off, len) == -ENOSPC)
            ;
        assert_content(f);
        memset(f->flat + off, 0, len - TILE);
        while (image_zero(f->img, off, len - TILE) == -ENOSPC)
            ;
        lift(f, op);
        assert_content(f);
        assert_true(!present(f, 1) && present(f, 2) && present(f, 3));
    }
}

/* On a full disk a hole may need space, and whole tiles still give theirs back. */
static void zeroing_goes_on_without_space(void **state)
{
    struct fixture *f = *state;

    put(f, 0, 4 * TILE, 1);
    impose(f, FAULT_ZERO, ENOSPC);
    assert_int_equal(image_zero(f->img, TILE / 2, 3 * TILE), -ENOSPC);
    memset(f->flat + TILE, 0, 2 * TILE);
    assert_int_equal(count_tiles(f), 2);
    assert_content(f);
    impose(f, FAULT_ZERO, EIO);
    assert_int_equal(image_zero(f->img, TILE / 2, TILE), -EIO);
    lift(f, FAULT_ZERO);
    assert_content(f);
}

/* The store ends the program when a tile is changed that is not noted. */
static void what_cannot_be_noted_is_not_changed(void **state)
{
    struct fixture *f = *state;
    char epoch[STORE_EPOCH];

    put(f, 0, TILE + 100, 1);
    assert_int_equal(image_mark(f->img, epoch), 0);
    impose(f, FAULT_NOTE, ENOSPC);
    assert_int_equal(image_write(f->img, 5, "x", 1), -ENOSPC);
    assert_int_equal(image_write(f->img, 5, "\0", 1), -ENOSPC);
    assert_int_equal(image_write(f->img, 3 * TILE, "x", 1), -ENOSPC);
    assert_int_equal(image_zero(f->img, 0, TILE), -ENOSPC);
    assert_int_equal(image_zero(f->img, TILE, 50), -ENOSPC);
    assert_int_equal(image_allocate(f->img, 4 * TILE, 1), -ENOSPC);
    assert_int_equal(count_tiles(f), 2);
    assert_content(f);
    lift(f, FAULT_NOTE);
    put(f, 5, 1, 2);
    assert_content(f);
}

static void a_tile_is_noted_once_per_epoch_and_only_when_it_changes(void **state)
{
    struct fixture *f = *state;
    char epoch[STORE_EPOCH];
    uint64_t calls, before, failed;

    fault_counts(f->st, FAULT_NOTE, &before, &failed);
    put(f, 0, 100, 1);
    put(f, 50, 100, 2);
    assert_int_equal(image_write(f->img, 2 * TILE, "\0\0\0", 3), 0);
    assert_int_equal(image_zero(f->img, 3 * TILE + 1, 5 * TILE - 2), 0);
    fault_counts(f->st, FAULT_NOTE, &calls, &failed);
    assert_int_equal(calls, before + 1);
    assert_int_equal(image_mark(f->img, epoch), 0);
    assert_int_equal(image_zero(f->img, 0, 10), 0);
    put(f, 50, 100, 3);
    fault_counts(f->st, FAULT_NOTE, &calls, &failed);
    assert_int_equal(calls, before + 2);
}

static void mark_brings_all_to_disk_first(void **state)
{
    struct fixture *f = *state;
    char epoch[STORE_EPOCH];
    uint64_t calls, failed;

    put(f, 0, 2 * TILE, 1);
    assert_int_equal(image_mark(f->img, epoch), 0);
    fault_counts(f->st, FAULT_FLUSH, &calls, &failed);
    assert_true(calls >= 2);
    impose(f, FAULT_MARK, EIO);
    assert_int_equal(image_mark(f->img, epoch), -EIO);
    lift(f, FAULT_MARK);
    put(f, 0, TILE, 2);
    impose(f, FAULT_FLUSH, EIO);
    assert_int_equal(image_mark(f->img, epoch), -EIO);
    fault_counts(f->st, FAULT_MARK, &calls, &failed);
    assert_int_equal(calls, 2); /* none after the failed flush */
    lift(f, FAULT_FLUSH);
    assert_int_equal(image_mark(f->img, epoch), -EROFS);
    assert_int_equal(image_close(f->img), -EIO);
    f->img = NULL;
}

static void a_full_disk_is_enospc_until_there_is_room(void **state)
{
    struct fixture *f = open_fixture(2, false);
    void *own = f;

    put(f, 0, TILE, 1);
    put(f, 7 * TILE, TILE, 1);
    assert_int_equal(image_write(f->img, 3 * TILE, "x", 1), -ENOSPC);
    assert_content(f);
    put(f, 7 * TILE, TILE, 2); /* what is there can be written */
    zero(f, 0, TILE);
    put(f, 3 * TILE, 1, 1);
    assert_content(f);
    assert_int_equal(teardown(&own), 0);
}

/* Absent, where we know better, is damage and not zeros. */
static void a_vanished_tile_is_eio(void **state)
{
    struct fixture *f = *state;
    uint64_t found;
    char byte;

    put(f, 3 * TILE, TILE, 1);
    note_all(f->st);
    assert_int_equal(store_remove(f->st, 3), 0); /* behind the image's back */
    assert_int_equal(image_read(f->img, 3 * TILE, &byte, 1), -EIO);
    assert_int_equal(image_write(f->img, 3 * TILE, "x", 1), -EIO);
    assert_int_equal(image_write(f->img, 3 * TILE, "", 1), -EIO);
    assert_int_equal(image_zero(f->img, 3 * TILE, 1), -EIO);
    assert_int_equal(image_seek(f->img, 0, STORE_DATA, &found), -EIO);
    assert_int_equal(image_seek(f->img, 3 * TILE, STORE_HOLE, &found), -EIO);
    assert_int_equal(count_tiles(f), 0);
    /* To give it up for good is the user's to say: a whole tile zeroed is a hole again. */
    zero(f, 3 * TILE, TILE);
    assert_content(f);
}

/* A flush asks for every dirty tile, once. */
static void flush_reaches_every_dirty_tile(void **state)
{
    struct fixture *f = *state;
    uint64_t before;

    for (uint32_t tile = 0; tile < NTILES; tile += 3)
        put(f, tile * TILE, 1, tile);
    assert_int_equal(image_flush(f->img), 0);
    assert_int_equal(calls(f, FAULT_FLUSH), (NTILES + 2) / 3);
    assert_int_equal(calls(f, FAULT_FLUSH_ENTRIES), 1);
    assert_int_equal(image_flush(f->img), 0);
    assert_int_equal(calls(f, FAULT_FLUSH), (NTILES + 2) / 3);
    before = calls(f, FAULT_FLUSH);
    put(f, 0, 1, 1);
    zero(f, 3 * TILE, 1);
    put(f, 6 * TILE, 100, 1);
    assert_int_equal(image_allocate(f->img, 50 * TILE, 1), 0);
    assert_int_equal(image_flush(f->img), 0);
    assert_true(calls(f, FAULT_FLUSH) >= before + 3);
    assert_int_equal(image_close(f->img), 0);
    f->img = NULL;
}

/* Removals are made durable too. */
static void flush_covers_removed_tiles(void **state)
{
    struct fixture *f = *state;

    put(f, 0, TILE, 1);
    assert_int_equal(image_flush(f->img), 0);
    zero(f, 0, TILE);
    impose(f, FAULT_FLUSH_ENTRIES, EIO);
    assert_int_equal(image_flush(f->img), -EIO);
}

static void assert_failed_for_good(struct fixture *f)
{
    for (int i = 0; i < 3; i++) {
        assert_int_equal(image_flush(f->img), -EIO);
        assert_true(image_failed(f->img));
        assert_int_equal(image_write(f->img, 0, "x", 1), -EROFS);
        assert_int_equal(image_write(f->img, 20 * TILE, "", 1), -EROFS);
        assert_int_equal(image_zero(f->img, 0, TILE), -EROFS);
        assert_int_equal(image_allocate(f->img, 0, 1), -EROFS);
        assert_content(f);
    }
}

static void failed_flush_is_final(struct fixture *f, enum fault_op op)
{
    put(f, 0, 2 * TILE, 1);
    assert_int_equal(image_flush(f->img), 0);
    put(f, 0, 2 * TILE, 2);
    assert_false(image_failed(f->img));
    fault_set(f->st, op, EIO, 0, 1);
    assert_int_equal(image_flush(f->img), -EIO);
    assert_failed_for_good(f);
}

static void failed_flush_start_is_final(void **state)
{
    failed_flush_is_final(*state, FAULT_FLUSH_START);
}

static void failed_flush_of_a_tile_is_final(void **state)
{
    failed_flush_is_final(*state, FAULT_FLUSH);
}

static void failed_flush_of_entries_is_final(void **state)
{
    failed_flush_is_final(*state, FAULT_FLUSH_ENTRIES);
}

/* One tile's failure does not keep the others from disk. */
static void failed_flush_goes_on_with_the_rest(void **state)
{
    struct fixture *f = *state;

    put(f, 0, 10 * TILE, 1);
    fault_set(f->st, FAULT_FLUSH, EIO, 3, 1);
    assert_int_equal(image_flush(f->img), -EIO);
    assert_int_equal(calls(f, FAULT_FLUSH), 10);
    assert_int_equal(calls(f, FAULT_FLUSH_ENTRIES), 1);
}

static void close_tells_a_failed_flush(void **state)
{
    struct fixture *f = *state;

    put(f, 0, TILE, 1);
    impose(f, FAULT_FLUSH, EIO);
    assert_int_equal(image_close(f->img), -EIO);
    f->img = NULL;
}

static void zeroing_whole_tiles_removes_them(void **state)
{
    struct fixture *f = *state;

    put(f, 0, SIZE, 1);
    assert_int_equal(count_tiles(f), NTILES);
    zero(f, TILE, TILE);
    assert_false(present(f, 1));
    zero(f, 2 * TILE + 1, 3 * TILE);
    assert_true(present(f, 2));
    assert_false(present(f, 3) || present(f, 4));
    assert_true(present(f, 5));
    zero(f, SIZE - LAST, LAST);
    assert_false(present(f, NTILES - 1));
    assert_int_equal(count_tiles(f), NTILES - 4);
    assert_content(f);
    zero(f, 0, SIZE);
    assert_int_equal(count_tiles(f), 0);
    assert_content(f);
}

/* ext4 trims in its own pieces: a tile goes when the last of its data went. */
static void zeroing_the_last_data_removes_the_tile(void **state)
{
    struct fixture *f = *state;

    put(f, 4 * TILE, TILE, 1);
    zero(f, 4 * TILE + TILE / 2, TILE / 2);
    assert_int_equal(count_tiles(f), 1);
    zero(f, 4 * TILE, TILE / 2);
    assert_int_equal(count_tiles(f), 0);
    assert_content(f);
    put(f, 4 * TILE + 5, 1, 1);
    assert_content(f);
}

static void zeroing_what_is_absent_makes_nothing(void **state)
{
    struct fixture *f = *state;

    zero(f, 5, SIZE - 10);
    assert_int_equal(count_tiles(f), 0);
    assert_int_equal(calls(f, FAULT_CREATE), 0);
}

static void allocate_makes_tiles_of_zeros(void **state)
{
    struct fixture *f = *state;

    put(f, 2 * TILE, 10, 1);
    assert_int_equal(image_allocate(f->img, TILE / 2, 2 * TILE), 0);
    assert_int_equal(count_tiles(f), 3);
    assert_content(f);
    assert_int_equal(image_allocate(f->img, 0, SIZE), 0);
    assert_int_equal(count_tiles(f), NTILES);
    assert_content(f);
}

static uint64_t seek(struct fixture *f, uint64_t off, enum store_seek what)
{
    uint64_t found;

    assert_int_equal(image_seek(f->img, off, what, &found), 0);
    return found;
}

static void seek_finds_data_and_holes(void **state)
{
    struct fixture *f = *state;
    uint64_t found;

    assert_int_equal(image_seek(f->img, 0, STORE_DATA, &found), -ENXIO);
    assert_int_equal(seek(f, 0, STORE_HOLE), 0);
    assert_int_equal(seek(f, SIZE - 1, STORE_HOLE), SIZE - 1);
    put(f, 3 * TILE, 2 * TILE, 1);
    put(f, 9 * TILE + 4096, 4096, 1);
    assert_int_equal(seek(f, 0, STORE_DATA), 3 * TILE);
    assert_int_equal(seek(f, 3 * TILE + 7, STORE_DATA), 3 * TILE + 7);
    assert_int_equal(seek(f, 3 * TILE, STORE_HOLE), 5 * TILE);
    assert_int_equal(seek(f, 5 * TILE, STORE_DATA), 9 * TILE + 4096);
    assert_int_equal(seek(f, 9 * TILE + 4096, STORE_HOLE), 9 * TILE + 8192);
    assert_int_equal(image_seek(f->img, 9 * TILE + 8192, STORE_DATA, &found), -ENXIO);
    put(f, SIZE - LAST, LAST, 1);
    assert_int_equal(seek(f, 10 * TILE, STORE_DATA), SIZE - LAST);
    assert_int_equal(seek(f, SIZE - 1, STORE_DATA), SIZE - 1);
    assert_int_equal(seek(f, SIZE - LAST, STORE_HOLE), SIZE);
}

static void seek_past_the_end_is_enxio(void **state)
{
    static const uint64_t offs[] = {SIZE, SIZE + 1, UINT64_MAX};
    struct fixture *f = *state;
    uint64_t found;

    put(f, 0, SIZE, 1);
    for (size_t i = 0; i < ARRAY_LEN(offs); i++) {
        assert_int_equal(image_seek(f->img, offs[i], STORE_DATA, &found), -ENXIO);
        assert_int_equal(image_seek(f->img, offs[i], STORE_HOLE, &found), -ENXIO);
    }
}

/* The slow and sure way: what stat says of every tile. */
static void brute_force(struct fixture *f, struct image_usage *out)
{
    struct store_stat stat;
    uint32_t tile = 0;

    *out = (struct image_usage){0};
    for (; store_next(f->st, tile, store_geometry(f->st)->ntiles, &tile) == 0; tile++) {
        assert_int_equal(store_stat(f->st, tile, &stat), 0);
        out->tiles++;
        out->blocks += stat.blocks;
    }
}

static void assert_usage_exact(struct fixture *f)
{
    struct image_usage want, got;

    assert_int_equal(image_usage(f->img, 0, &got), 0);
    brute_force(f, &want);
    assert_true(got.complete);
    assert_int_equal(got.tiles, want.tiles);
    assert_int_equal(got.blocks, want.blocks);
}

static void usage_is_exact(void **state)
{
    struct fixture *f = *state;
    unsigned seed = 7;

    note_all(f->st);
    assert_int_equal(store_create(f->st, 11), 0); /* there before the image looked */
    assert_int_equal(store_write(f->st, 11, 0, "x", 1), 0);
    f->flat[11 * TILE] = 'x';
    put(f, 0, 3 * TILE, 1);
    assert_int_equal(image_count(f->img), 0);
    assert_usage_exact(f);
    for (int i = 0; i < 500; i++) {
        random_step(f, &seed);
        if (i % 20 == 0)
            assert_usage_exact(f);
    }
    fault_set(f->st, FAULT_WRITE, EIO, 1, 1);
    assert_int_equal(image_write(f->img, 0, f->flat, 2 * TILE), -EIO);
    assert_usage_exact(f);
    assert_int_equal(image_zero(f->img, 0, SIZE), 0);
    assert_usage_exact(f);
}

static void usage_says_when_it_is_not_complete(void **state)
{
    struct fixture *f = *state;
    struct image_usage usage;

    assert_int_equal(image_usage(f->img, 10, &usage), 0);
    assert_false(usage.complete);
    fault_set(f->st, FAULT_EACH, EIO, 0, 1);
    assert_int_equal(image_count(f->img), -EIO);
    assert_int_equal(image_usage(f->img, 10, &usage), 0);
    assert_false(usage.complete);
    assert_int_equal(image_count(f->img), 0);
    assert_int_equal(image_usage(f->img, 10, &usage), 0);
    assert_true(usage.complete);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* mtime moves with every change and with nothing else. */
static void mtime_follows_changes(void **state)
{
    struct fixture *f = *state;
    struct image_usage was, is;

    put(f, 0, TILE, 1);
    assert_int_equal(image_count(f->img), 0);
    assert_int_equal(image_usage(f->img, 0, &was), 0);
    for (int i = 0; i < 3; i++) {
        usleep(20000);
        assert_content(f);
        assert_int_equal(image_flush(f->img), 0);
        assert_int_equal(image_usage(f->img, 0, &is), 0);
        assert_memory_equal(&is.mtime, &was.mtime, sizeof(is.mtime));
        if (i == 0)
            put(f, 5, 1, 1);
        else
            zero(f, 0, i == 1 ? 1 : TILE);
        assert_int_equal(image_usage(f->img, 0, &is), 0);
        assert_true(later(&is.mtime, &was.mtime));
        was = is;
    }
}

static void a_read_only_image_changes_nothing(void **state)
{
    struct fixture *f = open_fixture(NTILES, true);
    void *own = f;

    note_all(f->st);
    assert_int_equal(store_create(f->st, 1), 0);
    assert_int_equal(store_write(f->st, 1, 0, "x", 1), 0);
    f->flat[TILE] = 'x';
    assert_content(f);
    assert_int_equal(image_write(f->img, 0, "x", 1), -EROFS);
    assert_int_equal(image_zero(f->img, 0, SIZE), -EROFS);
    assert_int_equal(image_allocate(f->img, 0, 1), -EROFS);
    assert_int_equal(image_flush(f->img), 0);
    assert_false(image_failed(f->img));
    assert_content(f);
    assert_int_equal(calls(f, FAULT_FLUSH_ENTRIES), 0);
    assert_int_equal(teardown(&own), 0);
}

/* Of this thread's processor time: other work on the machine does not count. */
static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

/* blkdiscard of a large and nearly empty image must not walk it block by block. */
static void zeroing_ten_tebibytes_is_fast(void **state)
{
    const uint64_t tile = UINT64_C(16) << 20, size = UINT64_C(10) << 40;
    struct geometry geo;
    struct store *st;
    struct image *img;
    uint32_t found;
    double began;

    assert_int_equal(geometry_init(&geo, size, tile), 0);
    assert_int_equal(mem_open(&geo, 100, &st), 0);
    assert_int_equal(image_open(st, false, &img), 0);
    assert_int_equal(image_count(img), 0);
    for (uint64_t off = 0; off < size; off += size / 9)
        assert_int_equal(image_write(img, off, "x", 1), 0);
    began = seconds();
    assert_int_equal(image_zero(img, 0, size), 0);
    assert_int_equal(image_zero(img, 1, size - 2), 0);
    assert_true(seconds() - began < 1);
    assert_int_equal(store_next(st, 0, store_geometry(st)->ntiles, &found), -ENOENT);
    assert_int_equal(image_close(img), 0);
}

struct worker {
    pthread_t thread;
    struct fixture *f;
    unsigned id;
    int rc;
};

/* Its own tiles, written and removed over and over; cmocka's asserts are for the main thread. */
static void *write_and_remove(void *arg)
{
    struct worker *w = arg;
    struct image_usage usage;

    for (unsigned i = 0; i < 400 && !w->rc; i++) {
        uint64_t off = (w->id + i % 8 * 8) * TILE;

        w->rc = image_write(w->f->img, off + i % 1000, "data", 4);
        if (!w->rc && i % 3 == 0)
            w->rc = image_zero(w->f->img, off, TILE);
        if (!w->rc && i % 20 == 0)
            w->rc = image_usage(w->f->img, 0, &usage);
        if (!w->rc && i % 50 == 0)
            w->rc = image_flush(w->f->img);
    }
    return NULL;
}

/* Counting runs beside all else and is exact in the end. */
static void usage_is_exact_after_a_crowd(void **state)
{
    struct fixture *f = *state;
    struct worker workers[7]; /* the last tile is partial: leave its column alone */
    int rc;

    for (unsigned i = 0; i < ARRAY_LEN(workers); i++) {
        workers[i] = (struct worker){.f = f, .id = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, write_and_remove, &workers[i]),
                         0);
    }
    rc = image_count(f->img);
    for (unsigned i = 0; i < ARRAY_LEN(workers); i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    assert_int_equal(rc, 0);
    for (unsigned i = 0; i < ARRAY_LEN(workers); i++)
        assert_int_equal(workers[i].rc, 0);
    assert_usage_exact(f);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define FAILED(f) cmocka_unit_test_setup_teardown(f, setup, teardown_failed)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(absent_reads_as_zeros),
        TEST(zeros_to_absent_tiles_allocate_nothing),
        TEST(zeros_to_a_present_tile_are_written),
        TEST(past_the_end_is_refused),
        TEST(requests_span_tiles),
        TEST(random_requests_match_a_flat_array),
        cmocka_unit_test(every_error_reaches_the_caller),
        TEST(no_error_is_lost_on_the_way),
        TEST(failed_first_write_leaves_no_tile),
        cmocka_unit_test(a_full_disk_is_enospc_until_there_is_room),
        TEST(a_vanished_tile_is_eio),
        TEST(flush_reaches_every_dirty_tile),
        FAILED(flush_covers_removed_tiles),
        FAILED(failed_flush_start_is_final),
        FAILED(failed_flush_of_a_tile_is_final),
        FAILED(failed_flush_of_entries_is_final),
        FAILED(failed_flush_goes_on_with_the_rest),
        TEST(close_tells_a_failed_flush),
        TEST(zeroing_whole_tiles_removes_them),
        TEST(zeroing_the_last_data_removes_the_tile),
        TEST(zeroing_what_is_absent_makes_nothing),
        TEST(allocate_makes_tiles_of_zeros),
        TEST(seek_finds_data_and_holes),
        TEST(seek_past_the_end_is_enxio),
        TEST(what_found_no_space_can_be_repeated),
        TEST(zeroing_goes_on_without_space),
        TEST(what_cannot_be_noted_is_not_changed),
        TEST(a_tile_is_noted_once_per_epoch_and_only_when_it_changes),
        TEST(mark_brings_all_to_disk_first),
        TEST(usage_is_exact),
        TEST(usage_says_when_it_is_not_complete),
        TEST(mtime_follows_changes),
        cmocka_unit_test(a_read_only_image_changes_nothing),
        cmocka_unit_test(zeroing_ten_tebibytes_is_fast),
        TEST(usage_is_exact_after_a_crowd),
    };

    return cmocka_run_group_tests_name("image", tests, NULL, NULL) ? 1 : 0;
}
