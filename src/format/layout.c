/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the names of tiles. Knows no directory.
 *
 * Tile numbers are written in base 32 with the digits 0-9a-v, so that names
 * sort like numbers, survive file systems that ignore case, and 1024 tiles go
 * into a folder: few enough for every file system and every remote listing.
 */
#include "format/layout.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "format/format.h"

#define FOLDERS (FORMAT_TILES_MAX / FORMAT_TILES_PER_FOLDER)
#define DIGIT_BITS 5

static_assert(FORMAT_TILES_MAX == 1 << (LAYOUT_TILE_DIGITS * DIGIT_BITS), "a name for every tile");
static_assert(FOLDERS == 1 << (LAYOUT_FOLDER_DIGITS * DIGIT_BITS), "a name for every folder");

static const char digits[] = LAYOUT_DIGITS;

/* Returns where the text goes on; writes no NUL. */
static char *put_number(char *to, uint32_t number, unsigned ndigits)
{
    for (unsigned i = ndigits; i-- > 0; number >>= DIGIT_BITS)
        to[i] = digits[number & 31];
    return to + ndigits;
}

static void base32_folder_path(uint32_t folder, char path[LAYOUT_PATH])
{
    assert(folder < FOLDERS);
    *put_number(path, folder, LAYOUT_FOLDER_DIGITS) = '\0';
}

static void base32_tile_path(uint32_t tile, char path[LAYOUT_PATH])
{
    assert(tile < FORMAT_TILES_MAX);
    path = put_number(path, tile / FORMAT_TILES_PER_FOLDER, LAYOUT_FOLDER_DIGITS);
    *path++ = '/';
    *put_number(path, tile, LAYOUT_TILE_DIGITS) = '\0';
}

/* True and *number when text is exactly ndigits digits. */
static bool get_number(const char *text, unsigned ndigits, uint32_t *number)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < ndigits; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

        if (!digit)
            return false;
        n = n << DIGIT_BITS | (uint32_t)(digit - digits);
    }
    if (text[ndigits])
        return false;
    *number = n;
    return true;
}

static bool base32_folder_number(const char *name, uint32_t *folder)
{
    return get_number(name, LAYOUT_FOLDER_DIGITS, folder);
}

static bool base32_tile_number(uint32_t folder, const char *file, uint32_t *tile)
{
    uint32_t number;

    if (!get_number(file, LAYOUT_TILE_DIGITS, &number) ||
        number / FORMAT_TILES_PER_FOLDER != folder)
        return false;
    *tile = number;
    return true;
}

static void original_rival_path(uint32_t tile, char path[LAYOUT_PATH])
{
    base32_tile_path(tile, path);
    strcat(path, ".jpg");
}

const struct layout layout_plain = {
    .name = "plain",
    .tiles_per_folder = FORMAT_TILES_PER_FOLDER,
    .payload = 0,
    .short_tiles = true,
    .folder_path = base32_folder_path,
    .tile_path = base32_tile_path,
    .folder_number = base32_folder_number,
    .tile_number = base32_tile_number,
    .rival_path = NULL,
};

/* Full-size tiles: the original's reader never ends on a short one. */
const struct layout layout_original = {
    .name = "original",
    .tiles_per_folder = FORMAT_TILES_PER_FOLDER,
    .payload = 0,
    .short_tiles = false,
    .folder_path = base32_folder_path,
    .tile_path = base32_tile_path,
    .folder_number = base32_folder_number,
    .tile_number = base32_tile_number,
    .rival_path = original_rival_path,
};

/* "original" is not for format 2: there the first number of the index says it. */
const struct layout *layout_find(const char *name)
{
    return strcmp(name, layout_plain.name) == 0 ? &layout_plain : NULL;
}
