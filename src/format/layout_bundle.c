/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the names in a sparse bundle of macOS: its tiles are called bands, all
 * lie in one folder, and their names are lower-case hexadecimal numbers without
 * leading zeros. What Info.plist says is read by format/bundle.c.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/format.h"
#include "format/layout.h"

#define DIGITS "0123456789abcdef"
#define DIGITS_MAX 6

static_assert(FORMAT_BUNDLE_BANDS_MAX == 1 << (4 * DIGITS_MAX), "no name is longer");

static void folder_path(uint32_t folder, char path[LAYOUT_PATH])
{
    assert(folder == 0);
    strcpy(path, FORMAT_BUNDLE_BANDS);
}

static bool folder_number(const char *name, uint32_t *folder)
{
    *folder = 0;
    return strcmp(name, FORMAT_BUNDLE_BANDS) == 0;
}

static void tile_path(uint32_t tile, char path[LAYOUT_PATH])
{
    assert(tile < FORMAT_BUNDLE_BANDS_MAX);
    snprintf(path, LAYOUT_PATH, FORMAT_BUNDLE_BANDS "/%" PRIx32, tile);
}

static bool tile_number(uint32_t folder, const char *file, uint32_t *tile)
{
    size_t len = strspn(file, DIGITS);

    if (folder != 0 || file[len] || len == 0 || len > DIGITS_MAX || (len > 1 && *file == '0'))
        return false;
    *tile = (uint32_t)strtoul(file, NULL, 16);
    return true;
}

/* As a program would write it that is careless of case. */
static bool rival_path(uint32_t tile, unsigned n, char path[LAYOUT_PATH])
{
    char upper[LAYOUT_PATH];

    if (n > 0)
        return false;
    tile_path(tile, path);
    snprintf(upper, LAYOUT_PATH, FORMAT_BUNDLE_BANDS "/%" PRIX32, tile);
    if (strcmp(path, upper) == 0)
        return false;
    strcpy(path, upper);
    return true;
}

const struct layout layout_bundle = {
    .name = "sparsebundle",
    .tiles_max = FORMAT_BUNDLE_BANDS_MAX,
    .tiles_per_folder = FORMAT_BUNDLE_BANDS_MAX,
    .head = LAYOUT_BARE,
    .short_tiles = true,
    .index = FORMAT_BUNDLE_INDEX,
    .spare_index = FORMAT_BUNDLE_SPARE,
    .maps = FORMAT_BUNDLE_MAPS,
    .folder_path = folder_path,
    .tile_path = tile_path,
    .folder_number = folder_number,
    .tile_number = tile_number,
    .rival_path = rival_path,
};
