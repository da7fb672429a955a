/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "format/format.h"

/* In each layout: the folder, the tile, and the names that must not be overlooked, or NULL. */
static const struct {
    const struct layout *layout;
    uint32_t tile;
    const char *folder;
    const char *path;
    const char *rivals;
} names[] = {
    {&layout_plain, 0, "00", "00/0000", NULL},
    {&layout_plain, 31, "00", "00/000v", NULL},
    {&layout_plain, 32, "00", "00/0010", NULL},
    {&layout_plain, 1023, "00", "00/00vv", NULL},
    {&layout_plain, 1024, "01", "01/0100", NULL},
    {&layout_plain, 32768, "10", "10/1000", NULL},
    {&layout_plain, 1048575, "vv", "vv/vvvv", NULL},
    {&layout_original, 9, "00", "00/0009", "00/0009.jpg 00/0009.JPG 00/0009.jpeg"},
    {&layout_original, 12799, "0c", "0c/0cfv",
     "0c/0cfv.jpg 0c/0cfv.JPG 0c/0cfv.jpeg 0c/0CFV 0c/0CFV.JPG"},
    {&layout_original, 1048575, "vv", "vv/vvvv",
     "vv/vvvv.jpg vv/vvvv.JPG vv/vvvv.jpeg vv/VVVV vv/VVVV.JPG"},
    {&layout_original_jpeg, 10, "00", "00/000a.jpg",
     "00/000a 00/000a.JPG 00/000a.jpeg 00/000A 00/000A.JPG"},
    {&layout_original_jpeg, 1048575, "vv", "vv/vvvv.jpg",
     "vv/vvvv vv/vvvv.JPG vv/vvvv.jpeg vv/VVVV vv/VVVV.JPG"},
    {&layout_jpeg, 0, "00", "00/0000.jpg", "00/0000 00/0000.JPG 00/0000.jpeg"},
    {&layout_jpeg, 12799, "0c", "0c/0cfv.jpg",
     "0c/0cfv 0c/0cfv.JPG 0c/0cfv.jpeg 0c/0CFV 0c/0CFV.JPG"},
    {&layout_bundle, 0, "bands", "bands/0", NULL},
    {&layout_bundle, 9, "bands", "bands/9", NULL},
    {&layout_bundle, 10, "bands", "bands/a", "bands/A"},
    {&layout_bundle, 16, "bands", "bands/10", NULL},
    {&layout_bundle, 31, "bands", "bands/1f", "bands/1F"},
    {&layout_bundle, 1048575, "bands", "bands/fffff", "bands/FFFFF"},
    {&layout_bundle, 2621439, "bands", "bands/27ffff", "bands/27FFFF"},
    {&layout_bundle, 16777215, "bands", "bands/ffffff", "bands/FFFFFF"},
};

static void names_of_some_tiles(void **state)
{
    char path[LAYOUT_PATH];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct layout *layout = names[i].layout;
        char rivals[8 * LAYOUT_PATH] = "";

        layout->folder_path(names[i].tile / layout->tiles_per_folder, path);
        assert_string_equal(path, names[i].folder);
        layout->tile_path(names[i].tile, path);
        assert_string_equal(path, names[i].path);
        for (unsigned n = 0; layout->rival_path && layout->rival_path(names[i].tile, n, path);
             n++) {
            strcat(rivals, n ? " " : "");
            strcat(rivals, path);
        }
        assert_string_equal(rivals, names[i].rivals ? names[i].rivals : "");
    }
}

static void finds_back(const struct layout *layout, uint32_t tile)
{
    char folder[LAYOUT_PATH], path[LAYOUT_PATH];
    uint32_t found = ~tile;
    size_t len;

    layout->folder_path(tile / layout->tiles_per_folder, folder);
    len = strlen(folder);
    if (!layout->folder_number(folder, &found) || found != tile / layout->tiles_per_folder)
        fail_msg("folder '%s' is number %u", folder, found);
    layout->tile_path(tile, path);
    if (strncmp(path, folder, len) != 0 || path[len] != '/')
        fail_msg("tile %u is called '%s' in '%s'", tile, path, folder);
    if (!layout->tile_number(tile / layout->tiles_per_folder, path + len + 1, &found) ||
        found != tile)
        fail_msg("'%s' is not tile %u", path, tile);
}

static void every_tile_finds_back(void **state)
{
    (void)state;
    for (unsigned i = 0; layout_nth(i); i++)
        for (uint32_t tile = 0; tile < layout_nth(i)->tiles_max;
             tile += tile < FORMAT_TILES_MAX ? 1 : 511)
            finds_back(layout_nth(i), tile);
}

static void names_sort_like_numbers(void **state)
{
    char before[LAYOUT_PATH] = "", path[LAYOUT_PATH];

    (void)state;
    for (uint32_t tile = 0; tile < FORMAT_TILES_MAX; tile++) {
        layout_plain.tile_path(tile, path);
        if (strcmp(before, path) >= 0)
            fail_msg("tile %u is called '%s' after '%s'", tile, path, before);
        strcpy(before, path);
    }
}

static const struct {
    uint32_t folder;
    const char *file;
} strangers[] = {
    {0, ""},        {0, "0"},         {0, "000"},      {0, "00000"},
    {0, "0000 "},   {0, " 0000"},     {0, "0000.jpg"}, {0, "0000.tmp"},
    {0, "000A"},    {0, "00V0"},      {0, "000w"},     {0, "000z"},
    {0, "000-"},    {0, "+000"},      {0, "000."},     {0, "00/0"},
    {0, "000\n"},   {0, "000\xff"},   {0, "0100"},     {0, "vvvv"},
    {1, "0000"},    {1, "0200"},      {1, "1000"},     {1023, "vuvv"},
    {1023, "0000"}, {0, "."},         {0, ".."},       {0, "...."},
    {0, "0000~"},   {0, ".0000.swp"}, {1024, "0000"},  {UINT32_MAX, "vvvv"},
    {32, "0000"},   {0, "000\x80"},   {0, "0x00"},
};

static const char *const strange_bands[] = {
    "",   "A",  "1F", "01", "00", "0a", "g",   "1g",   "-1",      "+1",      " 1",
    "1 ", "0x", "x1", ".",  "1.", "1/", "1\n", "\xff", "1000000", "ffffff0", "1.tmp",
};

static void no_tile(const struct layout *layout, uint32_t folder, const char *file)
{
    uint32_t tile = 4711;

    if (layout->tile_number(folder, file, &tile))
        fail_msg("%s: '%s' is taken for a tile of folder %u", layout->name, file, folder);
    assert_int_equal(tile, 4711);
}

static void strangers_are_no_tiles(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        no_tile(&layout_plain, strangers[i].folder, strangers[i].file);
        no_tile(&layout_original, strangers[i].folder, strangers[i].file);
        if (strcmp(strangers[i].file, "0000.jpg") != 0)
            no_tile(&layout_jpeg, strangers[i].folder, strangers[i].file);
    }
    no_tile(&layout_jpeg, 0, "0000");
    no_tile(&layout_jpeg, 0, "0000.JPG");
    no_tile(&layout_jpeg, 0, "0000.jpg.tmp");
    no_tile(&layout_jpeg, 1, "0000.jpg");
    no_tile(&layout_original_jpeg, 0, "0000");
    for (size_t i = 0; i < ARRAY_LEN(strange_bands); i++)
        no_tile(&layout_bundle, 0, strange_bands[i]);
    no_tile(&layout_bundle, 1, "1");
}

/* Of all bytes only the 32 digits make a name, at each of the four places. */
static void digits_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned place = 0; place < 4; place++) {
        unsigned taken = 0;

        for (int c = 1; c < 256; c++) {
            char file[5] = "0000";
            uint32_t tile;
            bool in_any = false;

            file[place] = (char)c;
            for (uint32_t folder = 0; folder < 1024; folder++)
                in_any |= layout_plain.tile_number(folder, file, &tile);
            taken += in_any;
        }
        assert_int_equal(taken, 32);
    }
}

static void what_the_layouts_promise(void **state)
{
    (void)state;
    assert_ptr_equal(layout_find("plain"), &layout_plain);
    assert_ptr_equal(layout_find("jpeg"), &layout_jpeg);
    assert_null(layout_find("original"));
    assert_null(layout_find("original-jpeg"));
    assert_null(layout_find("sparsebundle"));
    assert_null(layout_find("Plain"));
    assert_null(layout_find("plai"));
    assert_null(layout_find(""));
    assert_true(layout_plain.short_tiles && layout_jpeg.short_tiles && layout_bundle.short_tiles);
    assert_false(layout_original.short_tiles || layout_original_jpeg.short_tiles);
    assert_int_equal(layout_plain.head, LAYOUT_BARE);
    assert_int_equal(layout_original.head, LAYOUT_BARE);
    assert_int_equal(layout_bundle.head, LAYOUT_BARE);
    assert_int_equal(layout_jpeg.head, LAYOUT_PICTURE);
    assert_int_equal(layout_original_jpeg.head, LAYOUT_TAIL);
    assert_string_equal(layout_original.name, "original");
    assert_string_equal(layout_bundle.name, "sparsebundle");
    assert_string_equal(layout_bundle.index, "Info.plist");
    assert_string_equal(layout_jpeg.index, "mosaicfs.index");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_some_tiles),     cmocka_unit_test(every_tile_finds_back),
        cmocka_unit_test(names_sort_like_numbers), cmocka_unit_test(strangers_are_no_tiles),
        cmocka_unit_test(digits_and_nothing_else), cmocka_unit_test(what_the_layouts_promise),
    };

    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
