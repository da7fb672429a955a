/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Names of tiles. Each tile's path leads back to it and to no other folder; a
 * name that is taken for a tile's, byte by byte from the input, is that tile's.
 */
#include "format/layout.h"
#include "format/format.h"
#include "fuzz.h"

#define FOLDERS (FORMAT_TILES_MAX / FORMAT_TILES_PER_FOLDER)

static void from_number(const struct layout *layout, uint32_t tile, uint32_t elsewhere)
{
    uint32_t folder = tile / layout->tiles_per_folder, back = ~tile;
    char path[LAYOUT_PATH], dir[LAYOUT_PATH];
    size_t len;

    layout->tile_path(tile, path);
    layout->folder_path(folder, dir);
    len = strlen(dir);
    must(strncmp(path, dir, len) == 0 && path[len] == '/');
    must(layout->tile_number(folder, path + len + 1, &back) && back == tile);
    for (unsigned n = 0; layout->rival_path && layout->rival_path(tile, n, path); n++) {
        must(n < 8);
        must(strncmp(path, dir, len) == 0 && path[len] == '/');
        must(!layout->tile_number(folder, path + len + 1, &back));
    }
    layout->tile_path(tile, path);
    must(elsewhere == folder || !layout->tile_number(elsewhere, path + len + 1, &back));
}

static void from_name(const struct layout *layout, uint32_t folder, const char *name)
{
    char path[LAYOUT_PATH], dir[LAYOUT_PATH];
    uint32_t tile;

    if (!layout->tile_number(folder, name, &tile))
        return;
    must(tile < layout->tiles_max);
    layout->tile_path(tile, path);
    layout->folder_path(folder, dir);
    must(strlen(path) == strlen(dir) + 1 + strlen(name));
    must(strncmp(path, dir, strlen(dir)) == 0);
    must(strcmp(path + strlen(dir) + 1, name) == 0);
}

/* Three bytes of a tile's number, two of a folder's, a name. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t tile, folder;
    char *name;

    if (size < 5)
        return 0;
    tile = (data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16);
    folder = (data[3] | (uint32_t)data[4] << 8) % FOLDERS;
    name = fuzz_text(data + 5, size - 5);
    for (unsigned i = 0; layout_nth(i); i++) {
        from_number(layout_nth(i), tile % layout_nth(i)->tiles_max, folder);
        from_name(layout_nth(i), folder, name);
    }
    must(!layout_find(name) || strcmp(layout_find(name)->name, name) == 0);
    free(name);
    return 0;
}
