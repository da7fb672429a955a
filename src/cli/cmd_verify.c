/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The verify command: its options and its report; what is done stands in drive/verifying.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "archive/archive.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "drive/snapshot.h"
#include "drive/verifying.h"
#include "mount/served.h"

#define ALL 1000000 /* of struct verify_request */

struct work {
    const struct args *args;
    struct verify_request request;
    struct journal_word since;
    enum progress_how how;
    struct verify_result result;
};

/* --- report ----------------------------------------------------------------------------------- */

static const char *const words[] = {
    [VERIFY_DAMAGED] = "damaged",       [VERIFY_LENGTH] = "other-length",
    [VERIFY_UNREADABLE] = "unreadable", [VERIFY_MISSING] = "missing",
    [VERIFY_ADDED] = "added",
};

static uint64_t sum_of_ranges(const struct verify_finding *f)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < f->nranges; i++)
        sum += f->ranges[i].len;
    return sum;
}

static void print_ranges(const struct verify_finding *f)
{
    char sum[PARSE_SIZE_TEXT];

    if (!f->nranges)
        return;
    parse_size_text(sum_of_ranges(f), sum);
    printf(", in %s of it: bytes", sum);
    for (size_t i = 0; i < f->nranges; i++)
        printf("%s %" PRIu64 "-%" PRIu64, i ? "," : "", f->ranges[i].off,
               f->ranges[i].off + f->ranges[i].len - 1);
}

static void print_finding(const struct layout *layout, const struct verify_finding *f)
{
    char path[LAYOUT_PATH];

    layout->tile_path(f->tile, path);
    printf("%s: ", path);
    switch (f->kind) {
    case VERIFY_DAMAGED:
        printf("damaged");
        break;
    case VERIFY_LENGTH:
        printf("has %" PRIu64 " bytes instead of %" PRIu64, f->length, f->want);
        break;
    case VERIFY_UNREADABLE:
        printf("cannot be read (%s)", strerror(f->err));
        break;
    case VERIFY_MISSING:
        printf("missing");
        break;
    case VERIFY_ADDED:
        printf("is not in the manifest");
        break;
    }
    print_ranges(f);
    putchar('\n');
}

static void print_time(int64_t when)
{
    char text[sizeof("2026-11-29 08:00:00")];
    time_t seconds = when;
    struct tm tm;

    if (localtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%F %T", &tm))
        printf(" of %s", text);
}

static void print(const struct work *work)
{
    const struct verify_result *result = &work->result;
    char bytes[PARSE_SIZE_TEXT];

    for (size_t i = 0; i < result->n; i++)
        print_finding(result->manifest.layout, &result->findings[i]);
    parse_size_text(result->bytes, bytes);
    printf("%" PRIu32 " tile%s verified (%s) by the manifest", result->verified,
           result->verified == 1 ? "" : "s", bytes);
    print_time(result->manifest.created);
    if (result->n)
        printf(", %zu %s not as it says", result->n, result->n == 1 ? "is" : "are");
    putchar('\n');
    if (result->changed)
        printf("not verified: %" PRIu32
               " tile%s written to since then; 'mosaicfs manifest' includes them\n",
               result->changed, result->changed == 1 ? "" : "s");
    if (result->n)
        printf("restore these tiles from a mirror or a backup of that time%s\n",
               result->blind || result->taken_over
                   ? "; but if the drive was written to after that manifest, on another "
                     "machine or without its journal, they may be right"
                   : "");
}

static void add_finding(struct json_list *list, const struct layout *layout,
                        const struct verify_finding *f)
{
    struct json_object *json = json_list_add_group(list);
    char path[LAYOUT_PATH];
    struct json_list *ranges;

    layout->tile_path(f->tile, path);
    json_add_text(json, "path", path);
    json_add_number(json, "tile", f->tile);
    json_add_text(json, "kind", words[f->kind]);
    json_add_text(json, "error", f->err ? strerror(f->err) : NULL);
    ranges = json_add_list(json, "ranges");
    for (size_t i = 0; i < f->nranges; i++) {
        struct json_object *range = json_list_add_group(ranges);

        json_add_number(range, "offset", f->ranges[i].off);
        json_add_number(range, "length", f->ranges[i].len);
    }
}

static int print_json(const struct work *work, const struct archive *archive)
{
    const struct verify_result *result = &work->result;
    char hex[HASH_HEX];
    struct json_object *json;
    struct json_list *list;
    int rc = json_begin(&json);

    if (rc)
        return json_complain(rc);
    hash_hex(result->manifest.root, hex);
    json_add_text(json, "archive", archive->path);
    json_add_text(json, "root", hex);
    json_add_number(json, "created", (uint64_t)result->manifest.created);
    json_add_number(json, "tiles", result->manifest.tiles);
    json_add_number(json, "verified", result->verified);
    json_add_number(json, "bytes", result->bytes);
    json_add_number(json, "changed", result->changed);
    json_add_bool(json, "journal", !result->blind);
    list = json_add_list(json, "findings");
    for (size_t i = 0; i < result->n; i++)
        add_finding(list, result->manifest.layout, &result->findings[i]);
    return json_complain(json_end(json, stdout));
}

/* --- the command ------------------------------------------------------------------------------ */

static void show(void *arg, uint64_t done, uint64_t total)
{
    progress_at_any(arg, done, total);
}

static int verify(struct work *work, const struct archive *archive)
{
    struct progress progress;
    int rc;

    progress_begin(&progress, work->how, "verify", PROGRESS_BYTES);
    rc = verifying_run(archive, &work->request, show, &progress, &work->result);
    progress_end(&progress);
    if (!rc && opt_given(work->args, "json"))
        rc = print_json(work, archive);
    else if (!rc)
        print(work);
    return rc;
}

static int verify_snapshot(struct work *work, const struct archive *archive, const char *name)
{
    struct archive snapshot = {.dirfd = -1};
    char path[PATH_MAX];
    int rc = snapshot_path(archive, name, path);

    if (!rc)
        rc = archive_open(path, &snapshot);
    if (!rc)
        rc = verify(work, &snapshot);
    archive_close(&snapshot);
    return rc;
}

static int with_archive(struct work *work)
{
    const char *name = opt_value(work->args, "snapshot");
    struct archive archive = {.dirfd = -1};
    struct served served;
    int rc = served_open(&served, work->args->operands[0], archive_open, &archive);

    if (!rc)
        rc = name ? verify_snapshot(work, &archive, name) : verify(work, &archive);
    archive_close(&archive);
    served_release(&served);
    return rc;
}

/* "5%", "0.01%". */
static int parse_percent(const char *text, uint32_t *parts)
{
    char *end;
    double percent = strtod(text, &end);

    if (end == text || strcmp(end, "%") != 0 || !(percent > 0 && percent <= 100) ||
        text[strspn(text, "0123456789.")] != '%')
        return -EINVAL;
    *parts = (uint32_t)(percent * ALL / 100);
    return *parts ? 0 : -EINVAL;
}

static int take_tiles(struct work *work, uint32_t *tiles)
{
    const char *text;
    unsigned pos = 0;

    while ((text = opt_next(work->args, "tile", &pos)) != NULL) {
        uint64_t tile;

        if (parse_u64(text, &tile) || tile >= UINT32_MAX)
            return opt_usage_error(work->args->command, "--tile: '%s' is not the number of a tile",
                                   text);
        tiles[work->request.ntiles++] = (uint32_t)tile;
    }
    work->request.tiles = work->request.ntiles ? tiles : NULL;
    return 0;
}

/* 0 or an exit code. */
static int take_options(struct work *work, uint32_t *tiles)
{
    const struct args *args = work->args;
    const char *sample = opt_value(args, "sample"), *since = opt_value(args, "since");
    int rc = progress_option(args, &work->how);

    if (!rc)
        rc = take_tiles(work, tiles);
    if (rc)
        return rc;
    if (sample && parse_percent(sample, &work->request.parts))
        return opt_usage_error(args->command,
                               "--sample: '%s' is not a percentage such as 5%% or 0.1%%", sample);
    if (since && journal_parse_epoch(since, &work->since))
        return opt_usage_error(args->command, "--since: '%s' is not an epoch", since);
    if (since && (work->request.tiles || opt_given(args, "snapshot")))
        return opt_usage_error(args->command,
                               "--since cannot be combined with --tile or --snapshot");
    if (since)
        work->request.since = &work->since;
    return 0;
}

static int run(const struct args *args)
{
    struct work work = {.args = args, .request.parts = ALL};
    uint32_t *tiles = calloc(args->ngiven + 1, sizeof(*tiles));
    int rc = tiles ? take_options(&work, tiles) : CLI_FAILED;

    if (!rc && with_archive(&work))
        rc = CLI_FAILED;
    if (!rc && work.result.n)
        rc = CLI_DAMAGED;
    verifying_release(&work.result);
    free(tiles);
    return rc;
}

static const struct opt opts[] = {
    {"sample", 0, "PERCENT", "read only so much of it, chosen at random, such as 5%"},
    {"tile", 0, "N", "verify this tile only; may be given many times"},
    {"since", 0, "EPOCH", "verify only tiles that changed after this epoch began"},
    {"snapshot", 0, "NAME", "verify a snapshot by its own manifest"},
    PROGRESS_OPT,
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_verify = {
    .name = "verify",
    .summary = "compare all tiles with the manifest",
    .synopsis = "[--sample PERCENT] [--tile N ...] [--since EPOCH] [--snapshot NAME] "
                "[--progress HOW] [--json] ARCHIVE|PATH",
    .description =
        "Reads the tiles and compares them with what 'mosaicfs manifest' wrote down.\n"
        "Prints those that are damaged, to the MiB, missing, or not in the manifest.\n"
        "Tiles that differ because they were written to since then are only counted. The\n"
        "drive may be in use.\n"
        "Exit status: 0 if all is as the manifest says, 3 if not, 1 if it could not be\n"
        "verified.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
