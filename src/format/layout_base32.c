/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the names of tiles that the original MosaicFS gave, and those derived
 * from them. Knows no directory.
 *
 * Tile numbers are written in base 32 with the digits 0-9a-v, so that names
 * sort like numbers, survive file systems that ignore case, and 1024 tiles go
 * into a folder: few enough for every file system and every remote listing.
 */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/compiler.h"
#include "format/format.h"
#include "format/layout.h"

#define FOLDERS (FORMAT_TILES_MAX / FORMAT_TILES_PER_FOLDER)
#define DIGIT_BITS 5
#define PICTURE ".jpg"

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

static void folder_path(uint32_t folder, char path[LAYOUT_PATH])
{
    assert(folder < FOLDERS);
    *put_number(path, folder, LAYOUT_FOLDER_DIGITS) = '\0';
}

static void bare_path(uint32_t tile, char path[LAYOUT_PATH])
{
    assert(tile < FORMAT_TILES_MAX);
    path = put_number(path, tile / FORMAT_TILES_PER_FOLDER, LAYOUT_FOLDER_DIGITS);
    *path++ = '/';
    *put_number(path, tile, LAYOUT_TILE_DIGITS) = '\0';
}

static void picture_path(uint32_t tile, char path[LAYOUT_PATH])
{
    bare_path(tile, path);
    strcat(path, PICTURE);
}

/* True and *number when text is ndigits digits and then ending. */
static bool get_number(const char *text, unsigned ndigits, const char *ending, uint32_t *number)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < ndigits; i++) {
        const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

        if (!digit)
            return false;
        n = n << DIGIT_BITS | (uint32_t)(digit - digits);
    }
    if (strcmp(text + ndigits, ending) != 0)
        return false;
    *number = n;
    return true;
}

static bool folder_number(const char *name, uint32_t *folder)
{
    return get_number(name, LAYOUT_FOLDER_DIGITS, "", folder);
}

static bool tile_number(uint32_t folder, const char *file, const char *ending, uint32_t *tile)
{
    uint32_t number;

    if (!get_number(file, LAYOUT_TILE_DIGITS, ending, &number) ||
        number / FORMAT_TILES_PER_FOLDER != folder)
        return false;
    *tile = number;
    return true;
}

static bool bare_number(uint32_t folder, const char *file, uint32_t *tile)
{
    return tile_number(folder, file, "", tile);
}

static bool picture_number(uint32_t folder, const char *file, uint32_t *tile)
{
    return tile_number(folder, file, PICTURE, tile);
}

/* What a tile's file may be called, by us or by a program that is careless of names. */
static const struct spelling {
    bool upper; /* the digits */
    const char *ending;
} spellings[] = {
    {false, ""}, {false, PICTURE}, {false, ".JPG"}, {false, ".jpeg"}, {true, ""}, {true, ".JPG"},
};

/* False when the tile's digits are the same in upper case. */
static bool put_upper(char *file)
{
    bool any = false;

    for (; *file; file++) {
        if (*file >= 'a') {
            *file = (char)(*file - 'a' + 'A');
            any = true;
        }
    }
    return any;
}

/* Of the spellings those that are not the layout's own, which has that ending. */
static bool rival_path(uint32_t tile, unsigned n, const char *ending, char path[LAYOUT_PATH])
{
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        bare_path(tile, path);
        if (spellings[i].upper ? !put_upper(strchr(path, '/') + 1)
                               : strcmp(spellings[i].ending, ending) == 0)
            continue;
        strcat(path, spellings[i].ending);
        if (n-- == 0)
            return true;
    }
    return false;
}

static bool bare_rival(uint32_t tile, unsigned n, char path[LAYOUT_PATH])
{
    return rival_path(tile, n, "", path);
}

static bool picture_rival(uint32_t tile, unsigned n, char path[LAYOUT_PATH])
{
    return rival_path(tile, n, PICTURE, path);
}

#define BASE32                                                                  \
    .tiles_max = FORMAT_TILES_MAX, .tiles_per_folder = FORMAT_TILES_PER_FOLDER, \
    .index = FORMAT_INDEX_NAME, .folder_path = folder_path, .folder_number = folder_number

const struct layout layout_plain = {
    BASE32,
    .name = "plain",
    .head = LAYOUT_BARE,
    .short_tiles = true,
    .tile_path = bare_path,
    .tile_number = bare_number,
};

const struct layout layout_jpeg = {
    BASE32,
    .name = "jpeg",
    .head = LAYOUT_PICTURE,
    .short_tiles = true,
    .tile_path = picture_path,
    .tile_number = picture_number,
    .rival_path = picture_rival,
};

/* Full-size tiles: the original's reader never ends on a short one. */
const struct layout layout_original = {
    BASE32,
    .name = "original",
    .head = LAYOUT_BARE,
    .short_tiles = false,
    .tile_path = bare_path,
    .tile_number = bare_number,
    .rival_path = bare_rival,
};

/* And this one finds a tile's bytes by counting from the end of its file. */
const struct layout layout_original_jpeg = {
    BASE32,
    .name = "original-jpeg",
    .head = LAYOUT_TAIL,
    .short_tiles = false,
    .tile_path = picture_path,
    .tile_number = picture_number,
    .rival_path = picture_rival,
};
