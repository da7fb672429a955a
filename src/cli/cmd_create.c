/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The create command, and what it says about the new archive. How that is made stands in
 * archive/archive_create.c.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/archive.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/cover_check.h"
#include "cli/create_args.h"
#include "cli/escape.h"
#include "cover/covers.h"
#include "format/format.h"
#include "mount/process.h"

#define SECTOR_LARGE 4096

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
    int rc = create_args_layout(args, &layout_plain, &index.layout);

    if (!rc)
        rc = create_args_geometry(args, index.layout, &index.geometry);
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
    create_args_check_name(args->operands[0], index.layout);
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
