/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes the size of an archive; how stands in drive/resize.c. One that is mounted is grown by
 * the process that serves it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "archive/archive.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "drive/resize.h"
#include "format/format.h"
#include "mount/served.h"
#include "mount/server.h"

/* --- options ---------------------------------------------------------------------------------- */

/* A leading plus is for what is added. 0 or an exit code. */
static int parse_wish(const struct args *args, struct resize_wish *wish)
{
    const char *total = opt_value(args, "total"), *number = opt_value(args, "number");
    const char *text = total ? total : number;
    int rc;

    if (!total == !number)
        return opt_usage_error(args->command, "specify the new size, with either -n or --total");
    *wish = (struct resize_wish){.tiles = number != NULL, .more = text[0] == '+'};
    rc = number ? parse_u64(text + wish->more, &wish->amount)
                : parse_size(text + wish->more, &wish->amount);
    if (number && (rc || wish->amount == 0))
        return opt_usage_error(args->command,
                               "-n, --number: '%s' is not a number of tiles, such as 256 or +128",
                               text);
    if (rc == -ERANGE)
        return opt_usage_error(args->command, "--total: '%s' is too large", text);
    if (rc || wish->amount == 0)
        return opt_usage_error(args->command,
                               "--total: '%s' is not a number of bytes, optionally followed by K, "
                               "M, G, T or P, such as 64G or +16G",
                               text);
    if (total && wish->amount % FORMAT_SECTOR)
        return opt_usage_error(args->command, "--total: '%s' is not a multiple of %d bytes", text,
                               FORMAT_SECTOR);
    return 0;
}

/* --- output ----------------------------------------------------------------------------------- */

static void print_size(const struct geometry *geo)
{
    char size[PARSE_SIZE_TEXT];

    parse_size_text(geo->size, size);
    printf("%s in %" PRIu32 " tile%s", size, geo->ntiles, geo->ntiles == 1 ? "" : "s");
}

static int print_json(const struct archive *archive, const struct resize_done *done)
{
    struct json_object *json;
    int rc = json_begin(&json);

    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", archive->path);
    json_add_number(json, "size_before", done->before.size);
    json_add_number(json, "tiles_before", done->before.ntiles);
    json_add_number(json, "size", done->after.size);
    json_add_number(json, "tiles", done->after.ntiles);
    return json_complain(json_end(json, stdout));
}

static int print_done(const struct args *args, const struct archive *archive,
                      const struct resize_done *done)
{
    bool same = done->before.size == done->after.size;

    if (opt_given(args, "json"))
        return print_json(archive, done);
    printf("%s'", same ? "" : "resized ");
    escape_print(archive->path, stdout);
    printf("'%s", same ? " has that size already: " : " from ");
    if (!same) {
        print_size(&done->before);
        printf(" to ");
    }
    print_size(&done->after);
    putchar('\n');
    return 0;
}

/* --- the command ------------------------------------------------------------------------------ */

static int grow_mounted(void *arg, uint64_t size)
{
    const struct served *served = arg;

    return server_resize(served->mount, &served->server, size);
}

static int refuse_read_only(const struct archive *archive, const struct mount *mount)
{
    log_error("cannot resize '%s': it is mounted read-only on '%s'", archive->path,
              mount->mountpoint);
    log_note("unmount it first");
    return -EROFS;
}

static int resize(const struct args *args, const struct resize_wish *wish, struct served *served,
                  const struct archive *archive)
{
    const struct resize_writer writer = {grow_mounted, served};
    struct resize_done done;
    int rc;

    if (served->mount && served->mount->read_only)
        return refuse_read_only(archive, served->mount);
    rc = resize_archive(archive, wish, served->mount ? &writer : NULL, &done);
    return rc ? rc : print_done(args, archive, &done);
}

static int run(const struct args *args)
{
    struct archive archive = {.dirfd = -1};
    struct resize_wish wish;
    struct served served;
    int rc = parse_wish(args, &wish);

    if (rc)
        return rc;
    rc = served_open(&served, args->operands[0], archive_open, &archive);
    if (!rc)
        rc = resize(args, &wish, &served, &archive);
    archive_close(&archive);
    served_release(&served);
    return rc ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"number", 'n', "N", "number of tiles, or +N for so many more"},
    {"total", 0, "SIZE", "size of the drive, or +SIZE for so much more"},
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_resize = {
    .name = "resize",
    .summary = "change the size of a drive, while it is in use",
    .synopsis = "(-n N | --total SIZE) [--json] ARCHIVE|PATH",
    .description =
        "Grows the drive, also while it is mounted and in use: the mounted file has the\n"
        "new size at once. Then let what lies on it grow: 'losetup -c', resize2fs(8).\n"
        "Shrinks an archive that is not mounted, unless there are data behind the new\n"
        "end: then nothing is changed.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
