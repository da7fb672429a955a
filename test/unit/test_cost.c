/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What work costs in calls of the file system: it follows what is asked for, not
 * the size of the image or what else is in it. The linker lets test/sys count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../note.h"
#include "../sys/sys.h"
#include "../tempstore.h"
#include "cover/covers.h"
#include "image/image.h"

#define TILE UINT64_C(65536)
#define FOLDERS 64
#define NTILES (FOLDERS * FORMAT_TILES_PER_FOLDER)
#define PRESENT 3000

static struct tempstore temp;
static atomic_uint ncalls;

static void count_call(void *arg, const struct sys_call *call, long result, int err)
{
    atomic_fetch_add(&ncalls, 1);
}

/* The calls that work made. */
static unsigned calls_of(void (*work)(void *arg), void *arg)
{
    const struct sys_hooks hooks = {.after = count_call};

    atomic_store(&ncalls, 0);
    sys_hook(&hooks);
    work(arg);
    sys_hook(NULL);
    return atomic_load(&ncalls);
}

static struct store *begin(const struct layout *layout)
{
    struct geometry geo;
    struct store *st;

    assert_int_equal(geometry_init(&geo, NTILES * TILE, TILE), 0);
    tempstore_make(&temp);
    tempstore_create_as(&temp, &geo, layout);
    st = tempstore_open(&temp, false, 64);
    note_all(st);
    return st;
}

static void end(struct store *st)
{
    store_close(st);
    tempstore_remove(&temp);
}

/* The first tile of each folder, so that each is there. */
static void make_folders(struct store *st)
{
    for (uint32_t folder = 0; folder < FOLDERS; folder++)
        assert_int_equal(store_create(st, folder * FORMAT_TILES_PER_FOLDER), 0);
}

static void make_many(struct store *st)
{
    for (uint32_t tile = 0; tile < PRESENT; tile++)
        assert_int_equal(store_create(st, tile), 0);
}

/* --- next has an end ---------------------------------------------------------- */

/* A part of the image in which nothing is, as a trim of it in parts asks for. */
static void zero_nothing(void *arg)
{
    assert_int_equal(image_zero(arg, 5 * TILE, 100 * TILE), 0);
}

static void a_discard_looks_at_no_folder_behind_it(void **state)
{
    struct store *st = begin(&layout_plain);
    struct image *img;

    (void)state;
    assert_int_equal(store_create(st, NTILES - 1), 0);
    assert_int_equal(image_open(st, false, &img), 0);
    assert_int_equal(image_count(img), 0);
    assert_true(calls_of(zero_nothing, img) <= 10);
    assert_int_equal(image_close(img), 0);
    tempstore_remove(&temp);

    st = begin(&layout_plain);
    make_folders(st);
    assert_int_equal(image_open(st, false, &img), 0);
    assert_true(calls_of(zero_nothing, img) <= 10);
    assert_int_equal(image_close(img), 0);
    tempstore_remove(&temp);
}

/* In the one folder of a bundle, a discard of one band is no listing of all. */
static void a_discard_lists_no_more_than_it_covers(void **state)
{
    struct store *st = begin(&layout_bundle);
    struct image *img;

    (void)state;
    make_many(st);
    assert_int_equal(image_open(st, false, &img), 0);
    assert_int_equal(image_zero(img, 5000 * TILE, TILE), 0); /* what it learns about the folder */
    assert_true(calls_of(zero_nothing, img) > 100);          /* it has something to do */
    assert_true(calls_of(zero_nothing, img) < 250);
    assert_int_equal(image_close(img), 0);
    tempstore_remove(&temp);
}

/* --- one listing, one stat a tile ----------------------------------------------- */

static void count_all(void *arg)
{
    struct image_usage usage;

    assert_int_equal(image_count(arg), 0);
    assert_int_equal(image_usage(arg, 0, &usage), 0);
    assert_true(usage.complete);
    assert_int_equal(usage.tiles, PRESENT);
}

static void a_count_is_one_call_a_tile(void **state)
{
    const struct layout *layout;

    (void)state;
    for (unsigned i = 0; (layout = layouts_nth(i)); i++) {
        struct store *st = begin(layout);
        struct image *img;
        unsigned most = PRESENT + FOLDERS * 2 + 100;

        if (layouts_original(layout)) { /* whole tiles: too much for this */
            end(st);
            continue;
        }
        make_many(st);
        assert_int_equal(image_open(st, false, &img), 0);
        assert_true(calls_of(count_all, img) <= most);
        assert_int_equal(image_close(img), 0);
        tempstore_remove(&temp);
    }
}

/* --- attributes ------------------------------------------------------------------ */

#define CHANGED 50

static void ask(void *arg)
{
    struct image_usage usage;

    assert_int_equal(image_usage(arg, 0, &usage), 0);
    assert_int_equal(usage.tiles, CHANGED);
}

static void attributes_are_one_call_a_changed_tile(void **state)
{
    struct store *st = begin(&layout_plain);
    struct image *img;

    (void)state;
    assert_int_equal(image_open(st, false, &img), 0);
    assert_int_equal(image_count(img), 0);
    for (int round = 0; round < 2; round++) {
        for (uint32_t tile = 0; tile < CHANGED; tile++)
            assert_int_equal(image_write(img, tile * TILE, "x", 1), 0);
        assert_int_equal(calls_of(ask, img), CHANGED);
        assert_int_equal(calls_of(ask, img), 0);
    }
    assert_int_equal(image_close(img), 0);
    tempstore_remove(&temp);
}

/* --- covers ---------------------------------------------------------------------- */

static void make_ten(void *arg)
{
    for (uint32_t tile = 0; tile < 10; tile++)
        assert_int_equal(store_create(arg, 7 * FORMAT_TILES_PER_FOLDER + 100 + tile), 0);
}

/* Few tiles in a big image, and no other source of pictures: they are not looked for anew. */
static void a_picture_of_a_tile_is_found_at_once(void **state)
{
    const struct covers_source nowhere = {.max = FORMAT_COVER_MAX};
    struct dir_config config = {.max_open = 64};
    struct store *st = begin(&layout_jpeg);

    (void)state;
    assert_int_equal(store_create(st, 7 * FORMAT_TILES_PER_FOLDER), 0);
    assert_int_equal(store_create(st, NTILES - 1), 0);
    store_close(st);
    covers_free(temp.covers);
    assert_int_equal(covers_open(&temp.archive, &nowhere, &config.covers), 0);
    temp.covers = config.covers;
    assert_int_equal(dir_open(&temp.archive, &config, &st), 0);
    note_all(st);
    assert_true(calls_of(make_ten, st) <= 10 * 40);
    end(st);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_discard_looks_at_no_folder_behind_it),
        cmocka_unit_test(a_discard_lists_no_more_than_it_covers),
        cmocka_unit_test(a_count_is_one_call_a_tile),
        cmocka_unit_test(attributes_are_one_call_a_changed_tile),
        cmocka_unit_test(a_picture_of_a_tile_is_found_at_once),
    };

    return cmocka_run_group_tests_name("cost", tests, NULL, NULL) ? 1 : 0;
}
