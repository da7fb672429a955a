/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "format/format.h"

static const struct layout *const layouts[] = {&layout_plain, &layout_original};

static const struct {
    uint32_t tile;
    const char *folder;
    const char *path;
    const char *rival;
} names[] = {
    {0, "00", "00/0000", "00/0000.jpg"},     {9, "00", "00/0009", "00/0009.jpg"},
    {10, "00", "00/000a", "00/000a.jpg"},    {31, "00", "00/000v", "00/000v.jpg"},
    {32, "00", "00/0010", "00/0010.jpg"},    {1023, "00", "00/00vv", "00/00vv.jpg"},
    {1024, "01", "01/0100", "01/0100.jpg"},  {12799, "0c", "0c/0cfv", "0c/0cfv.jpg"},
    {32768, "10", "10/1000", "10/1000.jpg"}, {1048575, "vv", "vv/vvvv", "vv/vvvv.jpg"},
};

static void names_of_some_tiles(void **state)
{
    char path[LAYOUT_PATH];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        for (size_t j = 0; j < ARRAY_LEN(layouts); j++) {
            layouts[j]->folder_path(names[i].tile / layouts[j]->tiles_per_folder, path);
            assert_string_equal(path, names[i].folder);
            layouts[j]->tile_path(names[i].tile, path);
            assert_string_equal(path, names[i].path);
        }
        layout_original.rival_path(names[i].tile, path);
        assert_string_equal(path, names[i].rival);
    }
}

static void every_tile_finds_back(void **state)
{
    const struct layout *layout = &layout_plain;
    char before[LAYOUT_PATH] = "";

    (void)state;
    for (uint32_t tile = 0; tile < FORMAT_TILES_MAX; tile++) {
        char folder[LAYOUT_PATH], path[LAYOUT_PATH];
        uint32_t found = ~tile;

        layout->folder_path(tile / layout->tiles_per_folder, folder);
        if (!layout->folder_number(folder, &found) || found != tile / layout->tiles_per_folder)
            fail_msg("folder '%s' is number %u", folder, found);
        layout->tile_path(tile, path);
        if (strncmp(path, folder, 2) != 0 || path[2] != '/' || strcmp(before, path) >= 0)
            fail_msg("tile %u is called '%s' in '%s' after '%s'", tile, path, folder, before);
        if (!layout->tile_number(tile / layout->tiles_per_folder, path + 3, &found) ||
            found != tile)
            fail_msg("'%s' is not tile %u", path, tile);
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

static void strangers_are_no_tiles(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        for (size_t j = 0; j < ARRAY_LEN(layouts); j++) {
            uint32_t tile = 4711;

            if (layouts[j]->tile_number(strangers[i].folder, strangers[i].file, &tile))
                fail_msg("'%s' is taken for a tile of folder %u", strangers[i].file,
                         strangers[i].folder);
            assert_int_equal(tile, 4711);
        }
    }
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
    assert_null(layout_find("original"));
    assert_null(layout_find("Plain"));
    assert_null(layout_find("plai"));
    assert_null(layout_find(""));
    assert_true(layout_plain.short_tiles);
    assert_null(layout_plain.rival_path);
    assert_false(layout_original.short_tiles);
    assert_string_equal(layout_plain.name, "plain");
    assert_string_equal(layout_original.name, "original");
    for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
        assert_int_equal(layouts[i]->tiles_per_folder, 1024);
        assert_int_equal(layouts[i]->payload, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_some_tiles),      cmocka_unit_test(every_tile_finds_back),
        cmocka_unit_test(strangers_are_no_tiles),   cmocka_unit_test(digits_and_nothing_else),
        cmocka_unit_test(what_the_layouts_promise),
    };

    return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
