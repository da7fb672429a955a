/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/geometry.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "format/format.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

static const struct {
    uint64_t size;
    uint64_t tile_size;
    int err;
    uint32_t ntiles;
    uint64_t last; /* bytes of the last tile */
} geometries[] = {
    {1, 1, 0, 1, 1},
    {512, 512, 0, 1, 512},
    {512, 8 * MIB, 0, 1, 512},
    {513, 512, 0, 2, 1},
    {8 * MIB, 8 * MIB, 0, 1, 8 * MIB},
    {8 * MIB - 1, 8 * MIB, 0, 1, 8 * MIB - 1},
    {8 * MIB + 1, 8 * MIB, 0, 2, 1},
    {100 * GIB, 8 * MIB, 0, 12800, 8 * MIB},
    {128 * TIB, 128 * MIB, 0, 1048576, 128 * MIB},
    {128 * TIB + 1, 128 * MIB, -ERANGE, 0, 0},
    {1048576, 1, 0, 1048576, 1},
    {1048577, 1, -ERANGE, 0, 0},
    {INT64_MAX, 1, -ERANGE, 0, 0},
    {INT64_MAX, INT64_MAX, 0, 1, INT64_MAX},
    {INT64_MAX, INT64_MAX - 1, 0, 2, 1},
    {INT64_MAX, UINT64_C(1) << 62, 0, 2, (UINT64_C(1) << 62) - 1},
    {INT64_MAX, UINT64_C(1) << 43, 0, 1048576, (UINT64_C(1) << 43) - 1},
    {INT64_MAX, (UINT64_C(1) << 43) - 1, -ERANGE, 0, 0},
    {1, INT64_MAX, 0, 1, 1},
    {1, (uint64_t)INT64_MAX + 1, -ERANGE, 0, 0},
    {(uint64_t)INT64_MAX + 1, INT64_MAX, -ERANGE, 0, 0},
    {UINT64_MAX, UINT64_MAX, -ERANGE, 0, 0},
    {0, 512, -EINVAL, 0, 0},
    {512, 0, -EINVAL, 0, 0},
    {0, 0, -EINVAL, 0, 0},
};

static void geometries_and_their_last_tile(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(geometries) / sizeof(geometries[0]); i++) {
        struct geometry geo;
        int err = geometry_init(&geo, geometries[i].size, geometries[i].tile_size);

        if (err != geometries[i].err)
            fail_msg("%" PRIu64 " / %" PRIu64 ": %d", geometries[i].size, geometries[i].tile_size,
                     err);
        if (err)
            continue;
        assert_int_equal(geo.size, geometries[i].size);
        assert_int_equal(geo.tile_size, geometries[i].tile_size);
        assert_int_equal(geo.ntiles, geometries[i].ntiles);
        assert_int_equal(geometry_tile_len(&geo, geo.ntiles - 1), geometries[i].last);
        if (geo.ntiles > 1)
            assert_int_equal(geometry_tile_len(&geo, 0), geo.tile_size);
    }
}

static void assert_piece(const struct geometry *geo, uint64_t off, uint64_t len, uint32_t tile,
                         uint64_t in, uint64_t piece_len)
{
    struct geometry_piece piece = geometry_first(geo, off, len);

    assert_int_equal(piece.tile, tile);
    assert_int_equal(piece.off, in);
    assert_int_equal(piece.len, piece_len);
}

static void pieces_are_cut_at_tiles_and_at_the_end(void **state)
{
    struct geometry geo;

    (void)state;
    assert_int_equal(geometry_init(&geo, 250, 100), 0);
    assert_piece(&geo, 0, 1, 0, 0, 1);
    assert_piece(&geo, 0, 100, 0, 0, 100);
    assert_piece(&geo, 0, 101, 0, 0, 100);
    assert_piece(&geo, 99, 5, 0, 99, 1);
    assert_piece(&geo, 100, 5, 1, 0, 5);
    assert_piece(&geo, 150, 500, 1, 50, 50);
    assert_piece(&geo, 200, 50, 2, 0, 50);
    assert_piece(&geo, 200, 51, 2, 0, 50);
    assert_piece(&geo, 249, UINT64_MAX, 2, 49, 1);
    assert_int_equal(geometry_init(&geo, INT64_MAX, UINT64_C(1) << 43), 0);
    assert_piece(&geo, INT64_MAX - 1, UINT64_MAX, 1048575, (UINT64_C(1) << 43) - 2, 1);
    assert_piece(&geo, (UINT64_C(1) << 43) - 1, UINT64_MAX, 0, (UINT64_C(1) << 43) - 1, 1);
    assert_int_equal(geometry_init(&geo, INT64_MAX, INT64_MAX), 0);
    assert_piece(&geo, 0, UINT64_MAX, 0, 0, INT64_MAX);
}

/* Walking from piece to piece meets every byte once, in order. */
static void pieces_cover_every_range(void **state)
{
    struct geometry geo;

    (void)state;
    assert_int_equal(geometry_init(&geo, 37, 8), 0);
    for (uint64_t off = 0; off < 37; off++) {
        for (uint64_t len = 1; len <= 40; len++) {
            uint64_t end = off + len < 37 ? off + len : 37;
            uint64_t at = off;

            while (at < end) {
                struct geometry_piece piece = geometry_first(&geo, at, off + len - at);

                assert_int_equal(piece.tile * 8 + piece.off, at);
                assert_in_range(piece.len, 1, geometry_tile_len(&geo, piece.tile) - piece.off);
                at += piece.len;
            }
            assert_int_equal(at, end);
        }
    }
}

static const struct {
    uint64_t size;
    uint64_t tile_size;
} choices[] = {
    {1, MIB},
    {512, MIB},
    {GIB, MIB},
    {4 * GIB, MIB},
    {4 * GIB + 512, 2 * MIB},
    {8 * GIB, 2 * MIB},
    {8 * GIB + 512, 4 * MIB},
    {16 * GIB, 4 * MIB},
    {16 * GIB + 512, 8 * MIB},
    {32 * GIB, 8 * MIB},
    {32 * GIB + 512, 8 * MIB},
    {100 * GIB, 8 * MIB},
    {512 * GIB, 8 * MIB},
    {512 * GIB + 512, 16 * MIB},
    {TIB, 16 * MIB},
    {2 * TIB, 32 * MIB},
    {4 * TIB, 64 * MIB},
    {4 * TIB + 512, 128 * MIB},
    {8 * TIB, 128 * MIB},
    {10 * TIB, 128 * MIB},
    {128 * TIB, 128 * MIB},
    {128 * TIB + 512, 256 * MIB},
    {256 * TIB, 256 * MIB},
    {INT64_MAX, UINT64_C(1) << 43},
};

static void chosen_tile_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
        uint64_t chosen = geometry_choose(choices[i].size);

        if (chosen != choices[i].tile_size)
            fail_msg("%" PRIu64 ": %" PRIu64 ", not %" PRIu64, choices[i].size, chosen,
                     choices[i].tile_size);
    }
}

/* At and around every power of two: usable, a power of two, and never less for a larger image. */
static void choice_is_always_usable(void **state)
{
    uint64_t before = MIB;

    (void)state;
    for (unsigned shift = 1; shift <= 63; shift++) {
        for (int step = -1; step <= 1; step++) {
            uint64_t size = (UINT64_C(1) << shift) + (uint64_t)step;
            struct geometry geo;
            uint64_t chosen;

            if (size > INT64_MAX)
                continue;
            chosen = geometry_choose(size);
            assert_int_equal(geometry_init(&geo, size, chosen), 0);
            assert_int_equal(chosen & (chosen - 1), 0);
            assert_true(chosen >= before);
            before = chosen;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(geometries_and_their_last_tile),
        cmocka_unit_test(pieces_are_cut_at_tiles_and_at_the_end),
        cmocka_unit_test(pieces_cover_every_range),
        cmocka_unit_test(chosen_tile_sizes),
        cmocka_unit_test(choice_is_always_usable),
    };

    return cmocka_run_group_tests_name("geometry", tests, NULL, NULL);
}
