/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "conformance.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../note.h"
#include "base/zero.h"

#define BLOCK 4096
#define MIB (1024 * 1024)
#define PERIOD (251 * 255) /* of pattern(); an odd number: no block repeats */
#define NTILES 6000        /* six folders of 1024, the last one partly used */

/* 6000 tiles each; the last is partial where sectors allow it. */
static const struct {
    uint64_t tile_size;
    uint64_t last;
} shapes[] = {
    {512, 512},
    {4096, 512},
    {3 * MIB, 2 * MIB + 512},
    {1000, 1}, /* not for stores that need sectors */
};

static const struct conformance *tested;
static struct geometry shape;

static int setup(void **state)
{
    *state = tested->open(&shape);
    note_all(*state);
    return 0;
}

static int teardown(void **state)
{
    tested->close(*state);
    return 0;
}

/* The file system's clock may be coarse: two times that must differ are this far apart. */
static void let_time_pass(void)
{
    usleep(20000);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static size_t len_of(struct store *st, uint32_t tile)
{
    return geometry_tile_len(store_geometry(st), tile);
}

/* len bytes, none of them zero, different for each seed. */
static unsigned char *pattern(size_t len, unsigned seed)
{
    unsigned char *p = malloc(len);

    assert_non_null(p);
    for (size_t i = 0; i < len && i < PERIOD; i++)
        p[i] = 1 + (i * 31 + i / 251 + seed * 17) % 255;
    for (size_t at = PERIOD; at < len; at += PERIOD)
        memcpy(p + at, p, len - at < PERIOD ? len - at : PERIOD);
    return p;
}

/*
 * The beginning of a tile may share a block with what stands before it: from
 * here on holes are told.
 */
static uint64_t first_hole(void)
{
    return (BLOCK - tested->head % BLOCK) % BLOCK;
}

/* The whole tile is what want says; in one read and, around the edges, in small ones. */
static void assert_tile(struct store *st, uint32_t tile, const unsigned char *want)
{
    size_t len = len_of(st, tile);
    unsigned char *got = malloc(len);

    assert_non_null(got);
    memset(got, 0xa5, len);
    assert_int_equal(store_read(st, tile, 0, got, len), 0);
    assert_true(memcmp(got, want, len) == 0);
    assert_int_equal(store_read(st, tile, 0, got, 1), 0);
    assert_int_equal(got[0], want[0]);
    assert_int_equal(store_read(st, tile, len - 1, got, 1), 0);
    assert_int_equal(got[0], want[len - 1]);
    free(got);
}

static void assert_zeros(struct store *st, uint32_t tile)
{
    unsigned char *want = calloc(1, len_of(st, tile));

    assert_non_null(want);
    assert_tile(st, tile, want);
    free(want);
}

/* A present tile full of pattern(seed). */
static void make_full(struct store *st, uint32_t tile, unsigned seed)
{
    unsigned char *p = pattern(len_of(st, tile), seed);

    assert_int_equal(store_create(st, tile), 0);
    assert_int_equal(store_write(st, tile, 0, p, len_of(st, tile)), 0);
    free(p);
}

static void assert_absent(struct store *st, uint32_t tile)
{
    struct store_stat stat;
    unsigned char byte = 7;
    uint64_t found;
    bool empty;

    assert_int_equal(store_read(st, tile, 0, &byte, 1), -ENOENT);
    assert_int_equal(store_write(st, tile, 0, &byte, 1), -ENOENT);
    assert_int_equal(store_remove(st, tile), -ENOENT);
    assert_int_equal(store_zero(st, tile, 0, 1, &empty), -ENOENT);
    assert_int_equal(store_allocate(st, tile, 0, 1), -ENOENT);
    assert_int_equal(store_seek(st, tile, 0, STORE_DATA, &found), -ENOENT);
    assert_int_equal(store_seek(st, tile, 0, STORE_HOLE, &found), -ENOENT);
    assert_int_equal(store_stat(st, tile, &stat), -ENOENT);
}

static void absent_is_enoent(void **state)
{
    struct store *st = *state;
    uint32_t found;

    assert_absent(st, 0);
    assert_absent(st, NTILES - 1);
    /* The same beside a present tile of the same folder; and none of it made a tile. */
    assert_int_equal(store_create(st, 1), 0);
    assert_absent(st, 0);
    assert_absent(st, 2);
    assert_int_equal(store_next(st, 0, store_geometry(st)->ntiles, &found), 0);
    assert_int_equal(found, 1);
    assert_int_equal(store_next(st, 2, store_geometry(st)->ntiles, &found), -ENOENT);
}

static void create_twice_is_eexist(void **state)
{
    struct store *st = *state;
    unsigned char *want = pattern(len_of(st, 3), 1);

    make_full(st, 3, 1);
    assert_int_equal(store_create(st, 3), -EEXIST);
    assert_tile(st, 3, want);
    free(want);
}

static void created_reads_zeros(void **state)
{
    struct store *st = *state;

    assert_int_equal(store_create(st, 0), 0);
    assert_zeros(st, 0);
    assert_int_equal(store_create(st, NTILES - 1), 0);
    assert_zeros(st, NTILES - 1);
}

/* Writes [off, off + len) into the tile and into want. */
static void put(struct store *st, uint32_t tile, unsigned char *want, uint64_t off, size_t len,
                unsigned seed)
{
    unsigned char *p = pattern(len, seed);

    assert_int_equal(store_write(st, tile, off, p, len), 0);
    memcpy(want + off, p, len);
    free(p);
}

static void writes_land_where_told(struct store *st, uint32_t tile)
{
    size_t len = len_of(st, tile);
    unsigned char *want = calloc(1, len);

    assert_non_null(want);
    assert_int_equal(store_create(st, tile), 0);
    put(st, tile, want, len / 2, 1, 1);
    assert_tile(st, tile, want);
    put(st, tile, want, 0, 1, 2);
    assert_tile(st, tile, want);
    put(st, tile, want, len - 1, 1, 3);
    assert_tile(st, tile, want);
    if (len > 3 * BLOCK) {
        put(st, tile, want, BLOCK - 1, 2, 4);
        put(st, tile, want, len - BLOCK - 5, BLOCK + 5, 5);
        put(st, tile, want, BLOCK + 7, BLOCK, 6);
        assert_tile(st, tile, want);
    }
    put(st, tile, want, 0, len, 7);
    assert_tile(st, tile, want);
    assert_int_equal(store_remove(st, tile), 0);
    free(want);
}

static void write_and_read_at_edges(void **state)
{
    struct store *st = *state;

    writes_land_where_told(st, 0);
    writes_land_where_told(st, 4097);
    writes_land_where_told(st, NTILES - 1);
}

static void tiles_do_not_mix(void **state)
{
    static const uint32_t tiles[] = {0, 1, 31, 32, 1023, 1024, NTILES - 1};
    struct store *st = *state;

    for (size_t i = 0; i < sizeof(tiles) / sizeof(tiles[0]); i++)
        make_full(st, tiles[i], tiles[i]);
    for (size_t i = 0; i < sizeof(tiles) / sizeof(tiles[0]); i++) {
        unsigned char *want = pattern(len_of(st, tiles[i]), tiles[i]);

        assert_tile(st, tiles[i], want);
        free(want);
    }
}

/* Zeros a range of the tile and of want; the flag must not lie. */
static bool zero_range(struct store *st, uint32_t tile, unsigned char *want, uint64_t off,
                       uint64_t len)
{
    bool empty = true;

    assert_int_equal(store_zero(st, tile, off, len, &empty), 0);
    memset(want + off, 0, len);
    assert_tile(st, tile, want);
    if (empty)
        assert_true(zero_is(want, len_of(st, tile)));
    return empty;
}

static void zero_clears_exactly_the_range(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, 5);
    unsigned char *want = pattern(len, 9);

    make_full(st, 5, 9);
    assert_false(zero_range(st, 5, want, len / 3, len / 3));
    assert_false(zero_range(st, 5, want, 0, 1));
    assert_false(zero_range(st, 5, want, len - 1, 1));
    put(st, 5, want, len - 1, 1, 10);
    assert_false(zero_range(st, 5, want, 0, len - 1));
    free(want);
}

static void zero_tells_when_empty(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, 5);
    unsigned char *want = pattern(len, 9);

    make_full(st, 5, 9);
    assert_true(zero_range(st, 5, want, 0, len));
    put(st, 5, want, len - 1, 1, 3);
    assert_tile(st, 5, want);
    assert_true(zero_range(st, 5, want, 0, len));
    /* In pieces of whole blocks, back to front: a short file must not be taken for an empty one. */
    put(st, 5, want, 0, len, 4);
    for (size_t half = len / 2; half >= BLOCK && half % BLOCK == 0; half /= 2)
        assert_false(zero_range(st, 5, want, half, len - half));
    (void)zero_range(st, 5, want, 0, len);
    assert_int_equal(store_remove(st, 5), 0);
    assert_int_equal(store_create(st, 5), 0);
    assert_true(zero_range(st, 5, want, len / 2, 1));
    free(want);
}

static void zeroed_tail_can_be_written_again(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, 0);
    unsigned char *want = pattern(len, 1);

    make_full(st, 0, 1);
    assert_false(zero_range(st, 0, want, len / 2, len - len / 2));
    put(st, 0, want, len - 3, 2, 2);
    assert_tile(st, 0, want);
    assert_false(zero_range(st, 0, want, len / 4, len / 8));
    free(want);
}

static uint64_t seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what)
{
    uint64_t found = UINT64_MAX;

    assert_int_equal(store_seek(st, tile, off, what, &found), 0);
    return found;
}

static void seek_in_an_empty_tile(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, NTILES - 1);
    uint64_t from = first_hole();

    assert_int_equal(store_create(st, NTILES - 1), 0);
    if (from >= len)
        return;
    assert_int_equal(seek(st, NTILES - 1, from, STORE_DATA), len);
    assert_int_equal(seek(st, NTILES - 1, from, STORE_HOLE), from);
    assert_int_equal(seek(st, NTILES - 1, len - 1, STORE_DATA), len);
    assert_int_equal(seek(st, NTILES - 1, len - 1, STORE_HOLE), len - 1);
}

static void seek_in_a_full_tile(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, NTILES - 1);

    make_full(st, NTILES - 1, 1);
    assert_int_equal(seek(st, NTILES - 1, 0, STORE_DATA), 0);
    assert_int_equal(seek(st, NTILES - 1, 0, STORE_HOLE), len);
    assert_int_equal(seek(st, NTILES - 1, len - 1, STORE_DATA), len - 1);
    assert_int_equal(seek(st, NTILES - 1, len - 1, STORE_HOLE), len);
}

/* Holes may be told late, data never. */
static void seek_never_skips_data(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, 0);
    uint64_t at = len > 2 * MIB ? MIB : len / 2;
    uint64_t found;

    assert_int_equal(store_create(st, 0), 0);
    assert_int_equal(store_write(st, 0, at, "data", 4), 0);
    found = seek(st, 0, 0, STORE_DATA);
    assert_true(found <= at);
    assert_int_equal(seek(st, 0, at, STORE_DATA), at);
    assert_int_equal(seek(st, 0, at + 3, STORE_DATA), at + 3);
    assert_true(seek(st, 0, at, STORE_HOLE) >= at + 4);
    if (len > 2 * MIB) {
        assert_true(seek(st, 0, first_hole(), STORE_DATA) > first_hole());
        assert_int_equal(seek(st, 0, first_hole(), STORE_HOLE), first_hole());
        assert_true(seek(st, 0, at, STORE_HOLE) < 2 * MIB);
        assert_int_equal(seek(st, 0, 2 * MIB, STORE_DATA), len);
        assert_int_equal(seek(st, 0, 2 * MIB, STORE_HOLE), 2 * MIB);
    }
}

/* Walks with next from `from`; the tiles found are exactly want[]. */
static void assert_walk(struct store *st, uint32_t from, const uint32_t *want, size_t n)
{
    uint32_t found;

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(store_next(st, from, store_geometry(st)->ntiles, &found), 0);
        assert_int_equal(found, want[i]);
        from = found + 1;
    }
    assert_int_equal(store_next(st, from, store_geometry(st)->ntiles, &found), -ENOENT);
}

static void next_walks_across_folders(void **state)
{
    static const uint32_t tiles[] = {0, 1023, 1024, 5000, NTILES - 1};
    static const uint32_t fewer[] = {1023, 5000};
    struct store *st = *state;

    assert_walk(st, 0, NULL, 0);
    for (int i = 4; i >= 0; i--)
        assert_int_equal(store_create(st, tiles[i]), 0);
    assert_walk(st, 0, tiles, 5);
    assert_walk(st, 1, tiles + 1, 4);
    assert_walk(st, 1023, tiles + 1, 4);
    assert_walk(st, 1025, tiles + 3, 2);
    assert_walk(st, NTILES - 1, tiles + 4, 1);
    assert_int_equal(store_remove(st, 0), 0);
    assert_int_equal(store_remove(st, 1024), 0);
    assert_int_equal(store_remove(st, NTILES - 1), 0);
    assert_walk(st, 0, fewer, 2);
}

/* What lies behind the end is none of its business. */
static void next_stops_at_its_end(void **state)
{
    struct store *st = *state;
    uint32_t found = 4711;

    assert_int_equal(store_create(st, 3), 0);
    assert_int_equal(store_create(st, 5000), 0);
    assert_int_equal(store_next(st, 0, 3, &found), -ENOENT);
    assert_int_equal(store_next(st, 3, 3, &found), -ENOENT);
    assert_int_equal(store_next(st, 4, 5000, &found), -ENOENT);
    assert_int_equal(store_next(st, 4, 4500, &found), -ENOENT);
    assert_int_equal(store_next(st, NTILES, NTILES, &found), -ENOENT);
    assert_int_equal(store_next(st, 0, 4, &found), 0);
    assert_int_equal(found, 3);
    assert_int_equal(store_next(st, 4, 5001, &found), 0);
    assert_int_equal(found, 5000);
}

struct met {
    struct store *st;
    uint32_t tiles[8];
    size_t n;
    size_t enough; /* then the walk is ended */
};

static int meet(void *arg, uint32_t tile, const struct store_place *place)
{
    struct met *met = arg;
    struct store_stat there, known;

    assert_true(met->n < 8);
    met->tiles[met->n++] = tile;
    assert_int_equal(store_stat_at(met->st, tile, place, &there), 0);
    assert_int_equal(store_stat(met->st, tile, &known), 0);
    assert_memory_equal(&there, &known, sizeof(there));
    return met->n == met->enough ? -EINTR : 0;
}

/* Each meets the tiles want[]. */
static void assert_each(struct store *st, uint32_t from, uint32_t end, const uint32_t *want,
                        size_t n)
{
    struct met met = {.st = st};

    assert_int_equal(store_each(st, from, end, meet, &met), 0);
    assert_int_equal(met.n, n);
    assert_memory_equal(met.tiles, want, n * sizeof(*want));
}

static void each_meets_all_in_order(void **state)
{
    static const uint32_t tiles[] = {0, 1023, 1024, 5000, NTILES - 1};
    struct met met = {.st = *state, .enough = 2};
    struct store *st = *state;

    assert_each(st, 0, NTILES, tiles, 0);
    for (int i = 4; i >= 0; i--)
        assert_int_equal(store_create(st, tiles[i]), 0);
    assert_each(st, 0, NTILES, tiles, 5);
    assert_each(st, 0, NTILES - 1, tiles, 4);
    assert_each(st, 1, 1024, tiles + 1, 1);
    assert_each(st, 1023, 5001, tiles + 1, 3);
    assert_each(st, 1025, 5000, tiles, 0);
    assert_each(st, 7, 7, tiles, 0);
    assert_int_equal(store_each(st, 0, NTILES, meet, &met), -EINTR);
    assert_int_equal(met.n, 2);
}

static int remove_met(void *arg, uint32_t tile, const struct store_place *place)
{
    struct store_stat stat;

    assert_int_equal(store_remove(arg, tile), 0);
    assert_int_equal(store_stat_at(arg, tile, place, &stat), -ENOENT);
    return 0;
}

static void each_may_remove_what_it_meets(void **state)
{
    struct store *st = *state;

    for (uint32_t tile = 0; tile < 200; tile++)
        assert_int_equal(store_create(st, tile * 5), 0);
    assert_int_equal(store_each(st, 0, NTILES, remove_met, st), 0);
    assert_each(st, 0, NTILES, NULL, 0);
}

static void removed_is_absent(void **state)
{
    struct store *st = *state;

    make_full(st, 7, 1);
    assert_int_equal(store_remove(st, 7), 0);
    assert_absent(st, 7);
    /* A new tile of that number knows nothing of the old one. */
    assert_int_equal(store_create(st, 7), 0);
    assert_zeros(st, 7);
    assert_int_equal(store_write(st, 7, 0, "x", 1), 0);
    assert_int_equal(store_remove(st, 7), 0);
    assert_absent(st, 7);
}

/* A tile may go while its flush is on the way: there is nothing left to flush then. */
static void flush_of_an_absent_tile_is_fine(void **state)
{
    struct store *st = *state;

    assert_int_equal(store_flush_start(st, 2), 0);
    assert_int_equal(store_flush(st, 2), 0);
    make_full(st, 2, 1);
    assert_int_equal(store_flush_start(st, 2), 0);
    assert_int_equal(store_flush(st, 2), 0);
    assert_int_equal(store_flush_entries(st), 0);
    assert_int_equal(store_write(st, 2, 0, "x", 1), 0);
    assert_int_equal(store_remove(st, 2), 0);
    assert_int_equal(store_flush_start(st, 2), 0);
    assert_int_equal(store_flush(st, 2), 0);
    assert_int_equal(store_flush_entries(st), 0);
    assert_int_equal(store_flush_entries(st), 0);
}

static void allocate_changes_no_byte(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, 6);
    unsigned char *want = calloc(1, len);
    struct store_stat stat;
    int rc;

    assert_non_null(want);
    assert_int_equal(store_create(st, 6), 0);
    put(st, 6, want, len / 4, 100, 1);
    rc = store_allocate(st, 6, len / 4, len / 2);
    assert_true(rc == 0 || rc == -EOPNOTSUPP);
    rc = store_allocate(st, 6, 0, len);
    assert_true(rc == 0 || rc == -EOPNOTSUPP);
    assert_tile(st, 6, want);
    assert_int_equal(store_stat(st, 6, &stat), 0);
    assert_true(stat.bytes <= tested->head + len);
    put(st, 6, want, len / 2, 10, 2);
    assert_tile(st, 6, want);
    /* With five extents behind a picture ext4 keeps a block of its tree, which looks like data. */
    assert_true(zero_range(st, 6, want, 0, len) || tested->head);
    free(want);
}

/* Reads of the file what the store would read of the tile. */
static int look_into(void *arg, int fd, uint64_t off, uint64_t len)
{
    unsigned char *got = arg;

    return pread(fd, got, len, (off_t)off) < 0 ? -errno : 0;
}

static void the_file_of_a_tile_is_lent(void **state)
{
    unsigned char got[512] = {0}, want[512];
    struct store *st = *state;
    int rc = store_lend_file(st, 5, 0, sizeof(got), look_into, got);

    if (rc == -EOPNOTSUPP) /* no files */
        return;
    assert_int_equal(rc, -ENOENT);
    assert_int_equal(store_create(st, 5), 0);
    memset(want, 'x', sizeof(want));
    assert_int_equal(store_write(st, 5, 0, want, sizeof(want)), 0);
    assert_int_equal(store_lend_file(st, 5, 0, sizeof(got), look_into, got), 0);
    assert_memory_equal(got, want, sizeof(got));
}

/* Bytes are taken over from a file, or nothing changes. */
static void clone_takes_over_or_leaves_alone(void **state)
{
    unsigned char got[512], want[512], other[4096];
    struct store *st = *state;
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    int rc;

    assert_true(fd >= 0);
    memset(other, 'o', sizeof(other));
    assert_int_equal(pwrite(fd, other, sizeof(other), 0), sizeof(other));
    assert_int_equal(store_create(st, 5), 0);
    memset(want, 'x', sizeof(want));
    assert_int_equal(store_write(st, 5, 0, want, sizeof(want)), 0);
    rc = store_clone(st, 5, 0, sizeof(want), fd, 0);
    if (rc == 0)
        memset(want, 'o', sizeof(want));
    else
        assert_int_equal(rc, -EOPNOTSUPP);
    assert_int_equal(store_read(st, 5, 0, got, sizeof(got)), 0);
    assert_memory_equal(got, want, sizeof(got));
    close(fd);
}

static void stat_tells_size_and_time(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, 0);
    struct store_stat was, is;

    assert_int_equal(store_create(st, 0), 0);
    assert_int_equal(store_stat(st, 0, &was), 0);
    assert_true(was.bytes <= tested->head + len);
    let_time_pass();
    assert_int_equal(store_write(st, 0, len / 2, "data", 4), 0);
    assert_int_equal(store_flush(st, 0), 0);
    assert_int_equal(store_stat(st, 0, &is), 0);
    assert_true(is.bytes >= tested->head + len / 2 + 4 && is.bytes <= tested->head + len);
    assert_true(is.blocks > 0 && is.blocks <= (tested->head + len + BLOCK) / 512);
    assert_true(later(&is.mtime, &was.mtime));
    let_time_pass();
    assert_int_equal(store_write(st, 0, len / 2, "atad", 4), 0);
    assert_int_equal(store_stat(st, 0, &was), 0);
    assert_true(later(&was.mtime, &is.mtime));
}

static void zero_gives_space_back(void **state)
{
    struct store *st = *state;
    size_t len = len_of(st, 0);
    struct store_stat was, is;
    bool empty;

    make_full(st, 0, 1);
    assert_int_equal(store_flush(st, 0), 0);
    assert_int_equal(store_stat(st, 0, &was), 0);
    assert_int_equal(was.bytes, tested->head + len);
    assert_int_equal(store_zero(st, 0, 0, len, &empty), 0);
    assert_int_equal(store_stat(st, 0, &is), 0);
    if (len > 2 * MIB)
        assert_true(is.blocks < was.blocks / 2);
    assert_true(is.blocks <= was.blocks);
}

static void space_is_plausible(void **state)
{
    struct store *st = *state;
    struct statvfs space;

    memset(&space, 0, sizeof(space));
    assert_int_equal(store_space(st, &space), 0);
    assert_true(space.f_bsize >= 512);
    assert_true(space.f_blocks > 0);
    assert_true(space.f_bfree <= space.f_blocks);
}

static void changed_follows_create_and_remove(void **state)
{
    struct store *st = *state;
    struct timespec at[3];

    assert_int_equal(store_mtime(st, &at[0]), 0);
    let_time_pass();
    assert_int_equal(store_create(st, 0), 0);
    assert_int_equal(store_mtime(st, &at[1]), 0);
    assert_true(later(&at[1], &at[0]));
    let_time_pass();
    assert_int_equal(store_remove(st, 0), 0);
    assert_int_equal(store_mtime(st, &at[2]), 0);
    assert_true(later(&at[2], &at[1]));
}

struct worker {
    pthread_t thread;
    struct store *st;
    uint32_t tile;
    int rc;
};

/* One life of a tile; cmocka's asserts are for the main thread only. */
static int live_once(struct worker *w, unsigned char *got)
{
    unsigned char *p = pattern(512, w->tile);
    size_t len = len_of(w->st, w->tile);
    uint64_t off = len - 512;
    uint32_t found;
    int rc = store_create(w->st, w->tile);

    if (!rc)
        rc = store_write(w->st, w->tile, off, p, 512);
    if (!rc)
        rc = store_read(w->st, w->tile, off, got, 512);
    if (!rc && memcmp(p, got, 512))
        rc = -EBADMSG;
    if (!rc)
        rc = store_next(w->st, w->tile, store_geometry(w->st)->ntiles, &found);
    if (!rc && found != w->tile)
        rc = -EBADMSG;
    if (!rc)
        rc = store_flush(w->st, w->tile);
    if (!rc)
        rc = store_remove(w->st, w->tile);
    free(p);
    return rc;
}

static void *live(void *arg)
{
    struct worker *w = arg;
    unsigned char got[512];

    for (int i = 0; i < 50 && !w->rc; i++)
        w->rc = live_once(w, got);
    return NULL;
}

/* Neighbours in one folder: create and remove must not disturb each other. */
static void an_epoch_begins_with_no_tile_noted(void **state)
{
    static const uint32_t tiles[] = {0, 123, 124, NTILES - 1, 124};
    struct store *st = *state;
    char first[STORE_EPOCH], second[STORE_EPOCH];

    assert_int_equal(store_mark(st), 0);
    assert_int_equal(store_tell(st, first), 0);
    for (uint32_t tile = 0; tile < NTILES; tile++)
        assert_false(store_noted(st, tile));
    assert_int_equal(store_note(st, tiles, ARRAY_LEN(tiles)), 0);
    for (uint32_t tile = 0; tile < NTILES; tile++)
        assert_int_equal(store_noted(st, tile),
                         tile == 0 || tile == 123 || tile == 124 || tile == NTILES - 1);
    assert_int_equal(store_mark(st), 0);
    assert_int_equal(store_tell(st, second), 0);
    assert_string_not_equal(first, second);
    assert_false(store_noted(st, 0));
}

static void tiles_live_side_by_side(void **state)
{
    struct store *st = *state;
    struct worker workers[8];

    for (uint32_t i = 0; i < 8; i++) {
        workers[i] = (struct worker){.st = st, .tile = 100 + i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, live, &workers[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(workers[i].rc, 0);
    assert_walk(st, 0, NULL, 0);
}

/* The last tile becomes a whole one, and a folder of tiles follows where there is room for it. */
static void an_image_grows(void **state)
{
    struct store *st = *state;
    uint32_t more = st->tiles_max - NTILES < 1100 ? st->tiles_max - NTILES : 1100, found;
    uint64_t last = len_of(st, NTILES - 1), size = (uint64_t)(NTILES + more) * shape.tile_size;
    struct geometry to;

    if (size == shape.size)
        return;
    assert_int_equal(geometry_init(&to, size, shape.tile_size), 0);
    make_full(st, 0, 1);
    make_full(st, NTILES - 1, 2);
    assert_int_equal(store_flush(st, 0), 0);
    assert_int_equal(store_flush(st, NTILES - 1), 0);
    assert_int_equal(store_resize_tile(st, 1, &to), -ENOENT);
    assert_int_equal(store_resize_tile(st, 0, &to), 0);
    assert_int_equal(store_resize_tile(st, NTILES - 1, &to), 0);
    assert_int_equal(store_resize_begin(st, &to, false), 0);
    assert_int_equal(store_geometry(st)->size, shape.size);
    store_resize(st);
    assert_int_equal(store_geometry(st)->size, size);
    assert_int_equal(len_of(st, NTILES - 1), shape.tile_size);
    note_all(st);
    if (last < shape.tile_size) { /* what it had, then zeros */
        unsigned char *want = calloc(1, shape.tile_size), *old = pattern(last, 2);

        memcpy(want, old, last);
        assert_tile(st, NTILES - 1, want);
        assert_int_equal(store_write(st, NTILES - 1, shape.tile_size - 1, "x", 1), 0);
        want[shape.tile_size - 1] = 'x';
        assert_tile(st, NTILES - 1, want);
        free(want);
        free(old);
    }
    if (more) {
        make_full(st, NTILES + more - 1, 3);
        assert_int_equal(store_next(st, NTILES, NTILES + more, &found), 0);
        assert_int_equal(found, NTILES + more - 1);
        assert_absent(st, NTILES + more - 2);
    }
    assert_int_equal(store_flush_entries(st), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static const struct CMUnitTest tests[] = {
    TEST(absent_is_enoent),
    TEST(create_twice_is_eexist),
    TEST(created_reads_zeros),
    TEST(write_and_read_at_edges),
    TEST(tiles_do_not_mix),
    TEST(zero_clears_exactly_the_range),
    TEST(zero_tells_when_empty),
    TEST(zeroed_tail_can_be_written_again),
    TEST(seek_in_an_empty_tile),
    TEST(seek_in_a_full_tile),
    TEST(seek_never_skips_data),
    TEST(next_walks_across_folders),
    TEST(next_stops_at_its_end),
    TEST(each_meets_all_in_order),
    TEST(each_may_remove_what_it_meets),
    TEST(removed_is_absent),
    TEST(flush_of_an_absent_tile_is_fine),
    TEST(allocate_changes_no_byte),
    TEST(the_file_of_a_tile_is_lent),
    TEST(clone_takes_over_or_leaves_alone),
    TEST(stat_tells_size_and_time),
    TEST(zero_gives_space_back),
    TEST(space_is_plausible),
    TEST(changed_follows_create_and_remove),
    TEST(an_epoch_begins_with_no_tile_noted),
    TEST(tiles_live_side_by_side),
    TEST(an_image_grows),
};

int conformance_run(const struct conformance *conformance)
{
    char name[64];
    int failed = 0;

    tested = conformance;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        uint64_t last = tested->whole ? shapes[i].tile_size : shapes[i].last;
        uint64_t size = (NTILES - 1) * shapes[i].tile_size + last;

        if (tested->sectors && (size % 512 || shapes[i].tile_size % 512))
            continue;
        if (geometry_init(&shape, size, shapes[i].tile_size))
            return 1;
        snprintf(name, sizeof(name), "%s, tiles of %llu", tested->name,
                 (unsigned long long)shapes[i].tile_size);
        failed += cmocka_run_group_tests_name(name, tests, NULL, NULL);
    }
    return failed;
}
