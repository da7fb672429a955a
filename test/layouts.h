/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive of any layout, for tests. Those of format 1 are not made by this
 * program, and which of its two layouts they have is told by a tile: so there
 * is one in them from the start, which holds zeros.
 */
#ifndef TEST_LAYOUTS_H
#define TEST_LAYOUTS_H

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "cover.h"
#include "cover/covers.h"
#include "format/format.h"
#include "format/layout.h"

/* Every layout whose archives this build can make, from 0 on; then NULL. */
static inline const struct layout *layouts_nth(unsigned n)
{
    const struct layout *layout = layout_nth(n);

#ifndef HAVE_LIBPLIST
    if (layout == &layout_bundle) /* the last one */
        layout = NULL;
#endif
    return layout;
}

static inline const struct layout *layouts_find(const char *name)
{
    unsigned n = 0;

    while (layouts_nth(n) && strcmp(layouts_nth(n)->name, name) != 0)
        n++;
    return layouts_nth(n);
}

/* Format 2 has another index than format 1, and a bundle has one of its own. */
static inline bool layouts_original(const struct layout *layout)
{
    return layout == &layout_original || layout == &layout_original_jpeg;
}

/* For archive_create(). 0 or -errno. */
static inline int layouts_index(const struct layout *layout, const struct geometry *geo,
                                struct index *index)
{
    *index = (struct index){.format = FORMAT_CURRENT, .geometry = *geo, .layout = layout};
    return layout == &layout_bundle ? 0 : hash_uuid(index->uuid);
}

static inline int layouts_write(const char *path, const void *bytes, size_t len)
{
    FILE *file = fopen(path, "w");
    bool whole = file && fwrite(bytes, 1, len, file) == len;

    return file && fclose(file) == 0 && whole ? 0 : -EIO;
}

/* A tile of zeros behind a picture of head bytes. */
static inline int layouts_plant(const char *path, const struct layout *layout, uint32_t tile,
                                size_t head, uint64_t tile_len)
{
    char name[LAYOUT_PATH], file[PATH_MAX + LAYOUT_PATH];
    unsigned char *bytes = calloc(1, head + tile_len);
    int rc;

    if (!bytes)
        return -ENOMEM;
    cover_fill(bytes, head);
    layout->folder_path(tile / layout->tiles_per_folder, name);
    snprintf(file, sizeof(file), "%s/%s", path, name);
    mkdir(file, 0755);
    layout->tile_path(tile, name);
    snprintf(file, sizeof(file), "%s/%s", path, name);
    rc = layouts_write(file, bytes, head + tile_len);
    free(bytes);
    return rc;
}

/* As the original made it, with pictures of head bytes where there are some, in tile `last`. */
static inline int layouts_make_original(const char *path, const struct layout *layout,
                                        const struct geometry *geo, uint32_t tile, size_t head)
{
    char text[64], file[PATH_MAX + LAYOUT_PATH];
    int rc = mkdir(path, 0755) ? -errno : 0;

    snprintf(text, sizeof(text), "1 %" PRIu64 " %" PRIu32 "\n", geo->tile_size, geo->ntiles);
    snprintf(file, sizeof(file), "%s/%s", path, layout->index);
    if (!rc)
        rc = layouts_write(file, text, strlen(text));
    if (!rc && layout->head != LAYOUT_BARE)
        rc = layouts_plant(path, layout, tile, head, geo->tile_size);
    return rc;
}

/* As a Mac that used the bundle left it: what it knows of bands 0 to n - 1, which are not there. */
static inline int layouts_plant_maps(const char *path, uint32_t n)
{
    char file[PATH_MAX];
    int rc = 0;

    snprintf(file, sizeof(file), "%s/%s", path, layout_bundle.maps);
    if (mkdir(file, 0755))
        return -errno;
    for (uint32_t band = 0; !rc && band < n; band++) {
        snprintf(file, sizeof(file), "%s/%s/%" PRIx32, path, layout_bundle.maps, band);
        rc = layouts_write(file, "map", 3);
    }
    return rc;
}

/* Makes the file of a picture unless it is there. */
static inline int layouts_cover(const char *path)
{
    return access(path, R_OK) ? layouts_write(path, cover_jpeg, sizeof(cover_jpeg)) : 0;
}

/*
 * New tiles get pictures: in layout jpeg that of the file cover, which is made
 * where it is missing. 0 or -errno. *covers is NULL where there are none.
 */
static inline int layouts_covers(const struct archive *archive, const char *cover,
                                 struct covers **covers)
{
    struct covers_source source = {.max = FORMAT_COVER_MAX};

    *covers = NULL;
    if (archive->index.layout->head == LAYOUT_BARE)
        return 0;
    if (archive->index.layout->head == LAYOUT_PICTURE) {
        snprintf(source.path, sizeof(source.path), "%s", cover);
        if (layouts_cover(cover))
            return -EIO;
    }
    return covers_open(archive, &source, covers);
}

#endif
