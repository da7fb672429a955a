/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How long the pictures are that the program of 2017 put before its tiles: it is
 * told by the tiles alone, so what a trim leaves must still tell it. The picture
 * which that program brings along has 36 bytes behind its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../note.h"
#include "../tempstore.h"
#include "base/compiler.h"
#include "base/log.h"
#include "image/image.h"

#define TILE UINT64_C(65536)
#define NTILES 10
#define BEHIND 36

/* Whole pictures of `picture` bytes, and what follows them, before each tile. */
struct head {
    size_t picture, behind;
};

static const struct head sure = {5000, 0};
static const struct head built_in = {COVER_2017 - BEHIND, BEHIND};
static const struct head other = {5000, BEHIND};

static struct tempstore temp;

static void plant(uint32_t tile, const struct head *head, int byte)
{
    char name[LAYOUT_PATH], file[PATH_MAX + LAYOUT_PATH];
    size_t before = head->picture + head->behind;
    unsigned char *bytes = malloc(before + TILE);

    assert_non_null(bytes);
    cover_fill(bytes, head->picture);
    memset(bytes + head->picture, 'b', head->behind);
    memset(bytes + before, byte, TILE);
    layout_original_jpeg.tile_path(tile, name);
    snprintf(file, sizeof(file), "%s/%s", temp.path, name);
    assert_int_equal(layouts_write(file, bytes, before + TILE), 0);
    free(bytes);
}

static void cut(uint32_t tile, uint64_t size)
{
    char name[LAYOUT_PATH], file[PATH_MAX + LAYOUT_PATH];

    layout_original_jpeg.tile_path(tile, name);
    snprintf(file, sizeof(file), "%s/%s", temp.path, name);
    assert_int_equal(truncate(file, (off_t)size), 0);
}

static unsigned count_tiles(void)
{
    char name[LAYOUT_PATH], file[PATH_MAX + LAYOUT_PATH];
    unsigned n = 0;

    for (uint32_t tile = 0; tile < NTILES; tile++) {
        layout_original_jpeg.tile_path(tile, name);
        snprintf(file, sizeof(file), "%s/%s", temp.path, name);
        n += access(file, F_OK) == 0;
    }
    return n;
}

/* An archive with tiles 2 to 2 + n - 1, which hold 'd'. */
static void begin(const struct head *head, unsigned n)
{
    struct geometry geo;
    char file[PATH_MAX + 8];

    assert_int_equal(geometry_init(&geo, NTILES * TILE, TILE), 0);
    tempstore_make(&temp);
    tempstore_create_as(&temp, &geo, &layout_original);
    snprintf(file, sizeof(file), "%s/00", temp.path);
    assert_int_equal(mkdir(file, 0755), 0);
    for (uint32_t tile = 2; tile < 2 + n; tile++)
        plant(tile, head, 'd');
}

static void end(void)
{
    tempstore_remove(&temp);
}

static struct image *open_image(void)
{
    struct image *img;

    assert_int_equal(image_open(tempstore_open(&temp, false, 64), false, &img), 0);
    return img;
}

static void close_image(struct image *img)
{
    assert_int_equal(image_close(img), 0);
    tempstore_close(&temp);
}

static void expect(struct image *img, uint32_t tile, int byte)
{
    char got[16], want[16];

    memset(want, byte, sizeof(want));
    assert_int_equal(image_read(img, tile * TILE, got, sizeof(got)), 0);
    assert_memory_equal(got, want, sizeof(got));
    assert_int_equal(image_read(img, (tile + 1) * TILE - sizeof(got), got, sizeof(got)), 0);
    assert_memory_equal(got, want, sizeof(got));
}

static void one_tile(void **state)
{
    static const struct {
        const struct head *head;
        int rc;
    } cases[] = {{&sure, 0}, {&built_in, 0}, {&other, -EBADMSG}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct image *img;

        begin(cases[i].head, 1);
        assert_int_equal(archive_open(temp.path, &temp.archive), cases[i].rc);
        tempstore_close(&temp);
        if (!cases[i].rc) {
            img = open_image();
            expect(img, 2, 'd');
            close_image(img);
        }
        end();
    }
}

/* One alone of that length and with no such picture may have been cut. */
static void length_alone_is_not_enough(void **state)
{
    static const struct head late = {COVER_2017 - 1000, 1000};

    begin(&late, 1);
    assert_int_equal(archive_open(temp.path, &temp.archive), -EBADMSG);
    end();
}

/* All of it is trimmed, of n tiles as many stay as the next mount needs. */
static void trim(const struct head *head, unsigned n, unsigned stay)
{
    struct image *img;

    begin(head, n);
    img = open_image();
    assert_int_equal(image_zero(img, 0, NTILES * TILE), 0);
    assert_int_equal(image_flush(img), 0);
    close_image(img);
    assert_int_equal(count_tiles(), stay);
    img = open_image();
    assert_int_equal(temp.archive.head, head->picture + head->behind);
    for (uint32_t tile = 0; tile < NTILES; tile++)
        expect(img, tile, 0);
    assert_int_equal(image_write(img, 7 * TILE, "dddddddddddddddd", 16), 0);
    close_image(img);
    end();
}

static void what_a_trim_leaves_is_opened_again(void **state)
{
    trim(&sure, 1, 1);
    trim(&sure, 4, 1);
    trim(&built_in, 1, 1);
    trim(&built_in, 2, 1);
    trim(&built_in, 5, 1);
    trim(&other, 2, 2);
    trim(&other, 5, 2);
}

/* What stays are tiles that tell it. */
static void damaged_tiles_are_not_kept_for_it(void **state)
{
    struct image *img;

    begin(&other, 5);
    cut(2, 3000);
    cut(4, TILE + 4000);
    img = open_image();
    for (uint32_t tile = 3; tile < NTILES; tile++)
        if (tile != 4)
            assert_int_equal(image_zero(img, tile * TILE, TILE), 0);
    close_image(img);
    assert_int_equal(count_tiles(), 4);
    img = open_image();
    assert_int_equal(temp.archive.head, other.picture + other.behind);
    close_image(img);
    end();
}

/* Files that agree know better than one that was cut to just that length. */
static void likely_is_not_sure(void **state)
{
    static const struct head longer = {COVER_2017 - BEHIND, BEHIND + 500};
    struct image *img;

    begin(&longer, 4);
    cut(3, COVER_2017 + TILE);
    img = open_image();
    assert_int_equal(temp.archive.head, longer.picture + longer.behind);
    expect(img, 2, 'd');
    close_image(img);
    end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_tile),
        cmocka_unit_test(length_alone_is_not_enough),
        cmocka_unit_test(what_a_trim_leaves_is_opened_again),
        cmocka_unit_test(damaged_tiles_are_not_kept_for_it),
        cmocka_unit_test(likely_is_not_sure),
    };

    return cmocka_run_group_tests_name("heads", tests, NULL, NULL);
}
