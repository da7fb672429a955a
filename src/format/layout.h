/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tiles are called and how their files look. A layout is data: stores ask
 * it and know no name themselves.
 */
#ifndef FORMAT_LAYOUT_H
#define FORMAT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_PATH 24 /* any tile path or folder path, with its NUL */

/* Tile numbers are written in base 32; a folder bears the first digits of its tiles. */
#define LAYOUT_DIGITS "0123456789abcdefghijklmnopqrstuv"
#define LAYOUT_FOLDER_DIGITS 2
#define LAYOUT_TILE_DIGITS 4

struct layout {
    const char *name;          /* as the index and info show it */
    uint32_t tiles_per_folder; /* tile n lies in folder n / tiles_per_folder */
    uint64_t payload;          /* where the tile's bytes begin in its file */
    bool short_tiles;          /* a file may end where its data ends */

    void (*folder_path)(uint32_t folder, char path[LAYOUT_PATH]);
    void (*tile_path)(uint32_t tile, char path[LAYOUT_PATH]);
    /* True and *folder when name is that of a folder. */
    bool (*folder_number)(const char *name, uint32_t *folder);
    /* True and *tile when file, found in folder, is the name of a tile. */
    bool (*tile_number)(uint32_t folder, const char *file, uint32_t *tile);
    /*
     * A name that another program may have given to the same tile and that this
     * layout cannot read, or NULL. A tile under that name must never be taken
     * for absent.
     */
    void (*rival_path)(uint32_t tile, char path[LAYOUT_PATH]);
};

/* Format 2: 00/0000, short tiles. */
extern const struct layout layout_plain;
/* Format 1: the same names, full-size tiles; the rival is the JPEG variant's 00/0000.jpg. */
extern const struct layout layout_original;

/* The layout of that name in a format 2 index, or NULL. */
const struct layout *layout_find(const char *name);

#endif
