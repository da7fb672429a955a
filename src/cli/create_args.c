/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the options of create say together: an image is so many tiles of a size, or so many bytes,
 * for which a tile size is chosen. --cover alone means layout jpeg.
 */
#include "cli/create_args.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "format/format.h"

#define TILE_SIZE_DEFAULT (UINT64_C(8) << 20)
#define SIZE_MAX_TEXT "8 EiB - 512 B" /* FORMAT_SIZE_MAX, down to a multiple of FORMAT_SECTOR */

/* The value of option name, a size that format 2 can have. 0 or an exit code. */
static int size_option(const struct args *args, const char *name, uint64_t *out)
{
    const char *text = opt_value(args, name);
    char option[OPT_NAME];
    int rc = parse_size(text, out);

    opt_name(args->command, name, option);
    if (rc == -ERANGE)
        return opt_usage_error(args->command, "%s: '%s' is too large, at most " SIZE_MAX_TEXT,
                               option, text);
    if (rc)
        return opt_usage_error(args->command,
                               "%s: '%s' is not a number of bytes, optionally followed by K, M, G, "
                               "T or P, such as 64K",
                               option, text);
    if (*out < FORMAT_SECTOR)
        return opt_usage_error(args->command, "%s: '%s' is too small, must be at least %d bytes",
                               option, text, FORMAT_SECTOR);
    if (*out % FORMAT_SECTOR)
        return opt_usage_error(args->command, "%s: '%s' is not a multiple of %d bytes", option,
                               text, FORMAT_SECTOR);
    return 0;
}

static int tiles_option(const struct args *args, uint32_t max, uint64_t *out)
{
    const char *text = opt_value(args, "number");

    if (parse_u64(text, out) || *out < 1 || *out > max)
        return opt_usage_error(args->command,
                               "-n, --number: '%s' is not a number from 1 to %" PRIu32, text, max);
    return 0;
}

/* From -n: a whole number of tiles. 0 or an exit code. */
static int by_tiles(const struct args *args, uint32_t max, uint64_t tile_size, uint64_t *size)
{
    char tile[PARSE_SIZE_TEXT];
    uint64_t ntiles;
    int rc = tiles_option(args, max, &ntiles);

    if (rc)
        return rc;
    parse_size_text(tile_size, tile);
    if (__builtin_mul_overflow(ntiles, tile_size, size) || *size > FORMAT_SIZE_MAX)
        return opt_usage_error(args->command,
                               "%" PRIu64 " tiles of %s are too large, at most " SIZE_MAX_TEXT,
                               ntiles, tile);
    return 0;
}

int create_args_layout(const struct args *args, const struct layout *usual,
                       const struct layout **layout)
{
    bool covers = opt_given(args, "cover");
    const char *name = covers ? layout_jpeg.name : usual->name;

    if (opt_given(args, "layout"))
        name = opt_value(args, "layout");
    *layout = strcmp(name, layout_bundle.name) ? layout_find(name) : &layout_bundle;
    if (!*layout)
        return opt_usage_error(args->command, "--layout: '%s' is not one of %s, %s, %s", name,
                               layout_plain.name, layout_jpeg.name, layout_bundle.name);
    if (covers != (*layout == &layout_jpeg))
        return opt_usage_error(args->command,
                               covers ? "--cover is only for layout %s"
                                      : "layout %s needs pictures: give --cover FILE|DIR",
                               layout_jpeg.name);
    return 0;
}

/* What a Mac takes. */
static bool is_band_size(uint64_t size)
{
    return size >= FORMAT_BUNDLE_BAND_MIN && size <= FORMAT_BUNDLE_BAND_MAX &&
           size % FORMAT_BUNDLE_BAND_ALIGN == 0;
}

/* 0 or an exit code. */
static int check_band_size(const struct args *args, uint64_t size)
{
    char text[PARSE_SIZE_TEXT];

    if (is_band_size(size))
        return 0;
    parse_size_text(size, text);
    return opt_usage_error(args->command,
                           "a sparse bundle cannot have tiles of %s: a Mac accepts 1 MiB to 8 GiB, "
                           "multiples of %d bytes",
                           text, FORMAT_BUNDLE_BAND_ALIGN);
}

/* For an image of that size when nobody has said. */
static uint64_t default_tile_size(const struct layout *layout, uint64_t size)
{
    if (layout == &layout_bundle && size <= (uint64_t)FORMAT_BUNDLE_BAND * layout->tiles_max)
        return FORMAT_BUNDLE_BAND;
    return geometry_choose(size);
}

/* An image of size bytes in tiles of that size, as the layout has them. 0 or an exit code. */
static int fit(const struct args *args, const struct layout *layout, uint64_t size,
               uint64_t tile_size, struct geometry *geo)
{
    char tile[PARSE_SIZE_TEXT], image[PARSE_SIZE_TEXT];
    int rc = layout == &layout_bundle ? check_band_size(args, tile_size) : 0;

    if (rc || !geometry_init_max(geo, size, tile_size, layout->tiles_max))
        return rc;
    parse_size_text(tile_size, tile);
    parse_size_text(size, image);
    return opt_usage_error(
        args->command, "tiles of %s are too small for %s: more than %" PRIu32 " would be needed",
        tile, image, layout->tiles_max);
}

int create_args_geometry(const struct args *args, const struct layout *layout, struct geometry *geo)
{
    bool by_total = opt_given(args, "total");
    uint64_t tile_size = layout == &layout_bundle ? FORMAT_BUNDLE_BAND : TILE_SIZE_DEFAULT;
    uint64_t size;
    int rc = 0;

    if (by_total == opt_given(args, "number"))
        return opt_usage_error(args->command, by_total
                                                  ? "-n (--number) and --total exclude each other"
                                                  : "give the size with -n (--number) or --total");
    if (opt_given(args, "size"))
        rc = size_option(args, "size", &tile_size);
    if (!rc)
        rc = by_total ? size_option(args, "total", &size)
                      : by_tiles(args, layout->tiles_max, tile_size, &size);
    if (rc)
        return rc;
    if (by_total && !opt_given(args, "size"))
        tile_size = default_tile_size(layout, size);
    return fit(args, layout, size, tile_size, geo);
}

/* Whether an image of size bytes can have tiles of that size there. */
static bool fits(const struct layout *layout, uint64_t size, uint64_t tile_size)
{
    struct geometry geo;

    return tile_size % FORMAT_SECTOR == 0 &&
           (layout != &layout_bundle || is_band_size(tile_size)) &&
           geometry_init_max(&geo, size, tile_size, layout->tiles_max) == 0;
}

int create_args_fit(const struct args *args, const struct layout *layout, uint64_t size,
                    uint64_t tile_size, struct geometry *geo)
{
    int rc = 0;

    if (opt_given(args, "size"))
        rc = size_option(args, "size", &tile_size);
    else if (!tile_size || !fits(layout, size, tile_size))
        tile_size = default_tile_size(layout, size);
    return rc ? rc : fit(args, layout, size, tile_size, geo);
}

void create_args_check_name(const char *path, const struct layout *layout)
{
    static const char ending[] = ".sparsebundle";
    size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/')
        len--;
    if (layout == &layout_bundle &&
        (len <= strlen(ending) || memcmp(path + len - strlen(ending), ending, strlen(ending)) != 0))
        log_warn("the name of '%s' does not end in '%s': a Mac will not recognize it", path,
                 ending);
}
