/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The create command: its options, the choice of layout, size and tile size, and what
 * it says about the new archive. How an archive is made stands in
 * archive/archive_create.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/archive.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/cover_check.h"
#include "cli/escape.h"
#include "cover/covers.h"
#include "format/format.h"
#include "mount/process.h"

#define SECTOR_LARGE 4096
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

/* --cover alone says jpeg. 0 or an exit code. */
static int choose_layout(const struct args *args, const struct layout **layout)
{
    bool covers = opt_given(args, "cover");
    const char *name = covers ? layout_jpeg.name : layout_plain.name;

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

/* What a Mac would not take. 0 or an exit code. */
static int check_band_size(const struct args *args, uint64_t size)
{
    char text[PARSE_SIZE_TEXT];

    if (size >= FORMAT_BUNDLE_BAND_MIN && size <= FORMAT_BUNDLE_BAND_MAX &&
        size % FORMAT_BUNDLE_BAND_ALIGN == 0)
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

static int choose(const struct args *args, const struct layout *layout, struct geometry *geo)
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
    if (layout == &layout_bundle)
        rc = check_band_size(args, tile_size);
    if (rc)
        return rc;
    if (geometry_init_max(geo, size, tile_size, layout->tiles_max))
        return opt_usage_error(
            args->command,
            "tiles of %s are too small for %s: more than %" PRIu32 " would be needed",
            opt_value(args, "size"), opt_value(args, "total"), layout->tiles_max);
    return 0;
}

/* From --cover and --cover-max. 0 or an exit code. */
static int choose_covers(const struct args *args, struct covers_source *covers)
{
    int rc = cover_check_options(args, "cover", covers);

    return rc || !covers->path[0] ? rc : cover_check_all(covers);
}

/* The archive is there already: without this it only does not know where covers are. */
static int remember_covers(const char *path, const struct covers_source *covers)
{
    struct archive archive;
    int rc = archive_open(path, &archive);

    if (rc)
        return rc;
    rc = covers_source_remember(&archive, covers);
    if (rc)
        log_note("the archive was created; mount it with '--cover'");
    archive_close(&archive);
    return rc;
}

/* A Mac knows it by that, where it is not told otherwise. */
static void check_name(const char *path, const struct layout *layout)
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

/* Whatever has sectors of 4 KiB, such as a loop device that was told so. */
static void check_sectors(uint64_t size)
{
    unsigned rest = (unsigned)(size % SECTOR_LARGE);

    if (rest)
        log_note("the size is not a multiple of %d bytes: a disk with sectors of that size ends %u "
                 "bytes before the drive does",
                 SECTOR_LARGE, rest);
}

/* Of this shell, perhaps of no other: mount is who refuses. */
static void check_limit(uint64_t tile_size)
{
    char text[PARSE_SIZE_TEXT];

    if (process_file_limit() >= tile_size)
        return;
    parse_size_text(tile_size, text);
    log_note("a tile of %s is more than the limit of a file's size (ulimit -f): raise it before "
             "mounting for writing",
             text);
}

/* A new directory is private; one that was there is as somebody has made it. */
static void check_mode(const char *path)
{
    struct stat st;

    if (!stat(path, &st) && st.st_mode & (S_IRWXG | S_IRWXO))
        log_note("other users may look into '%s', since its mode is %03o; 'chmod go=' keeps them "
                 "out",
                 path, st.st_mode & 0777);
}

static int run(const struct args *args)
{
    struct index index = {.format = FORMAT_CURRENT};
    char size[PARSE_SIZE_TEXT], tile_size[PARSE_SIZE_TEXT];
    struct covers_source covers;
    int rc = choose_layout(args, &index.layout);

    if (!rc)
        rc = choose(args, index.layout, &index.geometry);
    if (!rc)
        rc = choose_covers(args, &covers);
    if (rc)
        return rc;
    if (index.layout == &layout_bundle)
        index.format = FORMAT_FOREIGN;
    else
        rc = hash_uuid(index.uuid);
    if (rc) {
        log_error("cannot create a random identifier: %s", strerror(-rc));
        return CLI_FAILED;
    }
    if (archive_create(args->operands[0], &index))
        return CLI_FAILED;
    if (covers.path[0] && remember_covers(args->operands[0], &covers))
        return CLI_FAILED;
    check_name(args->operands[0], index.layout);
    check_mode(args->operands[0]);
    check_sectors(index.geometry.size);
    check_limit(geometry_tile_len(&index.geometry, 0));
    parse_size_text(index.geometry.size, size);
    parse_size_text(index.geometry.tile_size, tile_size);
    fputs("created '", stdout);
    escape_print(args->operands[0], stdout);
    printf("': %s in %" PRIu32 " tile%s of %s\n", size, index.geometry.ntiles,
           index.geometry.ntiles == 1 ? "" : "s", tile_size);
    return CLI_DONE;
}

static const struct opt opts[] = {
    {"number", 'n', "N",
     "number of tiles (same as --tiles), 1 to 1048576, or up\n"
     "to 16777216 in a sparse bundle"},
    {"total", 0, "SIZE", "size of the image instead; the last tile may be partial"},
    {"size", 's', "SIZE",
     "size of a tile (same as --tile-size; default: 8M\n"
     "with -n, chosen to fit with --total)"},
    {"cover", 0, "FILE|DIR",
     "make tiles JPEG pictures that show FILE, or random\n"
     "pictures from DIR"},
    {"cover-max", 0, "SIZE", "maximum size of a picture (default: 1M)"},
    {"layout", 0, "NAME",
     "plain (the default), jpeg, or sparsebundle, which a\n"
     "Mac can open, too"},
    {0},
};

static const struct opt_alias aliases[] = {
    {"tiles", "number"},
    {"tile-size", "size"},
    {0},
};

const struct command cmd_create = {
    .name = "create",
    .summary = "create a new, empty archive",
    .synopsis = "(-n N | --total SIZE) [-s SIZE] [--layout NAME] [--cover FILE|DIR] "
                "[--cover-max SIZE] ARCHIVE",
    .description =
        "Creates ARCHIVE, a new or an empty directory, ready to be mounted. It occupies\n"
        "almost no space: tiles are created when they are written to.\n"
        "SIZE is a number of bytes, optionally followed by K, M, G, T or P (1K is 1024).\n"
        "Sizes are multiples of 512.\n",
    .opts = opts,
    .aliases = aliases,
    .operands = {"ARCHIVE"},
    .required = 1,
    .run = run,
};
