/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tiles are called and how their files look. A layout is data: stores ask
 * it and know no name themselves.
 */
#ifndef FORMAT_LAYOUT_H
#define FORMAT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define LAYOUT_PATH 24 /* any path of a tile, a folder, an index, with its NUL */

/* Tile numbers in base 32; a folder bears the first digits of its tiles. */
#define LAYOUT_DIGITS "0123456789abcdefghijklmnopqrstuv"
#define LAYOUT_FOLDER_DIGITS 2
#define LAYOUT_TILE_DIGITS 4

/* What stands before the tile's bytes in its file. */
enum layout_head {
    LAYOUT_BARE,    /* nothing */
    LAYOUT_PICTURE, /* a JPEG that says whose tile it is and where its bytes begin: format/jpeg.h */
    LAYOUT_TAIL,    /* as many bytes in each tile of the archive; of the original's JPEG variant */
};

struct layout {
    const char *name;          /* as the index and info show it */
    uint32_t tiles_max;        /* of an image */
    uint32_t tiles_per_folder; /* tile n lies in folder n / tiles_per_folder */
    enum layout_head head;
    bool short_tiles;        /* a file may end where its data ends */
    const char *index;       /* the file that makes a directory an archive of this layout */
    const char *spare_index; /* its copy, or NULL */
    /*
     * A folder in which another program keeps, under the tile's file name, what it
     * knows of the tile, and what is wrong once the tile changes; or NULL.
     */
    const char *maps;

    void (*folder_path)(uint32_t folder, char path[LAYOUT_PATH]);
    void (*tile_path)(uint32_t tile, char path[LAYOUT_PATH]);
    /* True and *folder when name is that of a folder. */
    bool (*folder_number)(const char *name, uint32_t *folder);
    /* True and *tile when file, found in folder, is the name of a tile. */
    bool (*tile_number)(uint32_t folder, const char *file, uint32_t *tile);
    /*
     * The names, n from 0 on, that another program may have given to the same tile and
     * that this layout cannot read, all in the tile's folder; false: there are no more. A
     * tile under such a name must never be taken for absent. The first is that of another
     * layout, if there is one. NULL: there are none.
     */
    bool (*rival_path)(uint32_t tile, unsigned n, char path[LAYOUT_PATH]);
};

/* Format 2: 00/0000, short tiles. */
extern const struct layout layout_plain;
/* Format 2: 00/0000.jpg, short tiles behind pictures. */
extern const struct layout layout_jpeg;
/* Format 1: 00/0000, full-size tiles. */
extern const struct layout layout_original;
/* Format 1: 00/0000.jpg, full-size tiles behind pictures of one size; of 2017. */
extern const struct layout layout_original_jpeg;
/* A sparse bundle of macOS: bands/0 to bands/ffffff, short tiles. */
extern const struct layout layout_bundle;

/* The layout of that name in a format 2 index, or NULL. */
const struct layout *layout_find(const char *name);

/* Every layout, from 0 on; then NULL. */
const struct layout *layout_nth(unsigned n);

#endif
