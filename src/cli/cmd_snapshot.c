/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes, lists, deletes and compares snapshots, and goes back to one; what that is, and in which
 * order it is done, stands in drive/snapshot.c. Of a mounted archive the process that serves it
 * takes the instant.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "archive/archive.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "drive/snapshot.h"
#include "drive/snapshot_prune.h"
#include "mount/served.h"
#include "mount/snapshotter.h"

static int open_between(const char *path, struct archive *archive)
{
    int rc = archive_open_dir(path, archive);

    if (!rc)
        rc = archive_read_between(archive);
    if (rc)
        archive_close(archive);
    return rc;
}

/* What an action works on. */
struct work {
    const struct args *args;
    const struct archive *archive;
    const struct served *served;
    char **names; /* ends with NULL */
    bool json;
    enum progress_how how;
};

static void print_name(const char *name)
{
    escape_print(name, stdout);
}

/* --- create ----------------------------------------------------------------------------------- */

static void show(void *arg, uint32_t tile, uint32_t ntiles)
{
    progress_at(arg, tile, ntiles);
}

static int print_made(const struct work *work, const char *name, const struct snapshot_made *made)
{
    struct json_object *json;
    int rc;

    if (!work->json) {
        printf("created snapshot '");
        print_name(name);
        printf("' of '");
        print_name(work->archive->path);
        printf("': %" PRIu32 " tile%s", made->tiles, made->tiles == 1 ? "" : "s");
        if (work->served->mount)
            printf("; requests were stopped for %.1f ms", (double)made->stalled / 1e6);
        putchar('\n');
        return 0;
    }
    rc = json_begin(&json);
    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", work->archive->path);
    json_add_text(json, "name", name);
    json_add_number(json, "tiles", made->tiles);
    json_add_number(json, "stalled_us", made->stalled / 1000);
    return json_complain(json_end(json, stdout));
}

static int run_create(const struct work *work)
{
    const struct snapshot_writer *found;
    struct snapshotter asked;
    struct progress progress;
    struct snapshot_made made;
    int rc = snapshotter_find(work->served, work->archive->path, opt_given(work->args, "freeze"),
                              &asked, &found);

    if (rc)
        return rc;
    progress_begin(&progress, work->how, "snapshot", PROGRESS_TILES);
    rc = snapshot_create(work->archive, work->names[0], found, show, &progress, &made);
    progress_end(&progress);
    return rc ? rc : print_made(work, work->names[0], &made);
}

/* --- delete ----------------------------------------------------------------------------------- */

static void print_deleted(void *arg, const char *name)
{
    print_name(name);
    putchar('\n');
}

static int run_prune(const struct work *work, const struct snapshot_writer *writer)
{
    struct retention retention;
    int rc = retention_parse(opt_value(work->args, "keep"), &retention); /* checked */

    return rc ? rc
              : snapshot_prune(work->archive, work->names, &retention, writer, print_deleted, NULL);
}

static int run_delete(const struct work *work)
{
    const struct snapshot_writer *found;
    struct snapshotter asked;
    int first = snapshotter_find(work->served, work->archive->path, false, &asked, &found);

    if (first == 0 && opt_given(work->args, "keep"))
        return run_prune(work, found);
    for (char **name = work->names; first != -EROFS && *name; name++) {
        int rc = snapshot_delete(work->archive, *name, found);

        first = first ? first : rc;
    }
    return first;
}

/* --- rollback --------------------------------------------------------------------------------- */

static int run_rollback(const struct work *work)
{
    const char *name = work->names[0];
    struct snapshot_rolled rolled;
    struct json_object *json;
    int rc = snapshot_rollback(work->archive, name, &rolled);

    if (rc)
        return rc;
    if (!work->json) {
        printf("rolled back '");
        print_name(work->archive->path);
        printf("' to snapshot '");
        print_name(name);
        printf("': %" PRIu32 " tile%s replaced, %" PRIu32 " removed\n", rolled.replaced,
               rolled.replaced == 1 ? "" : "s", rolled.removed);
        return 0;
    }
    rc = json_begin(&json);
    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", work->archive->path);
    json_add_text(json, "name", name);
    json_add_number(json, "replaced", rolled.replaced);
    json_add_number(json, "removed", rolled.removed);
    return json_complain(json_end(json, stdout));
}

/* --- list ------------------------------------------------------------------------------------- */

static void format_time(int64_t seconds, char text[32])
{
    struct tm tm;
    time_t t = (time_t)seconds;

    text[0] = '\0';
    if (gmtime_r(&t, &tm))
        strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void print_info(void *arg, const struct snapshot_info *info)
{
    char created[32], stored[PARSE_SIZE_TEXT], own[PARSE_SIZE_TEXT];

    format_time(info->created, created);
    parse_size_text(info->blocks * 512, stored);
    parse_size_text(info->own * 512, own);
    printf("%s %8" PRIu32 " %10s %10s  ", created, info->tiles, stored, own);
    print_name(info->name);
    putchar('\n');
}

static void add_info(void *arg, const struct snapshot_info *info)
{
    struct json_object *json = json_list_add_group(arg);
    char created[32];

    format_time(info->created, created);
    json_add_text(json, "name", info->name);
    json_add_text(json, "created", created);
    json_add_number(json, "size", info->size);
    json_add_number(json, "tiles", info->tiles);
    json_add_number(json, "bytes_stored", info->blocks * 512);
    json_add_number(json, "bytes_own", info->own * 512);
}

static int run_list(const struct work *work)
{
    struct json_object *json;
    int rc;

    if (!work->json) {
        printf("%-20s %8s %10s %10s  %s\n", "CREATED", "TILES", "STORED", "OWN", "NAME");
        return snapshot_list(work->archive, print_info, NULL);
    }
    rc = json_begin(&json);
    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", work->archive->path);
    rc = snapshot_list(work->archive, add_info, json_add_list(json, "snapshots"));
    if (!rc)
        return json_complain(json_end(json, stdout));
    (void)!json_end(json, NULL);
    return rc;
}

/* --- diff ------------------------------------------------------------------------------------- */

struct diff {
    const struct work *work;
    struct json_list *changed, *deleted;
};

static void print_tile(void *arg, uint32_t tile, bool absent)
{
    const struct diff *diff = arg;
    char path[LAYOUT_PATH];

    if (absent != opt_given(diff->work->args, "deleted"))
        return;
    diff->work->archive->index.layout->tile_path(tile, path);
    fputs(path, stdout);
    putchar(opt_given(diff->work->args, "null") ? '\0' : '\n');
}

static void add_tile(void *arg, uint32_t tile, bool absent)
{
    const struct diff *diff = arg;
    char path[LAYOUT_PATH];

    diff->work->archive->index.layout->tile_path(tile, path);
    json_list_add_text(absent ? diff->deleted : diff->changed, path);
}

static int run_diff(const struct work *work)
{
    const char *to = strcmp(work->names[1], FORMAT_SNAPSHOT_LIVE) == 0 ? NULL : work->names[1];
    struct diff diff = {.work = work};
    struct json_object *json;
    int rc;

    if (!work->json)
        return snapshot_diff(work->archive, work->names[0], to, print_tile, &diff);
    rc = json_begin(&json);
    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", work->archive->path);
    json_add_text(json, "from", work->names[0]);
    json_add_text(json, "to", to);
    diff.changed = json_add_list(json, "changed");
    diff.deleted = json_add_list(json, "deleted");
    rc = snapshot_diff(work->archive, work->names[0], to, add_tile, &diff);
    if (!rc)
        return json_complain(json_end(json, stdout));
    (void)!json_end(json, NULL);
    return rc;
}

/* --- the command ------------------------------------------------------------------------------ */

static const struct action {
    const char *name;
    unsigned least, most; /* names that it takes */
    bool json, paths;     /* it has --json, and --deleted and --null */
    int (*open)(const char *path, struct archive *archive);
    int (*run)(const struct work *work);
} actions[] = {
    {"create", 1, 1, true, false, archive_open, run_create},
    {"list", 0, 0, true, false, archive_open, run_list},
    {"delete", 1, UINT32_MAX, false, false, archive_open, run_delete},
    {"rollback", 1, 1, true, false, open_between, run_rollback},
    {"diff", 2, 2, true, true, archive_open, run_diff},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int check_keep(const struct args *args, const struct action *action)
{
    struct retention retention;

    if (!opt_given(args, "keep"))
        return 0;
    if (action->run != run_delete)
        return opt_usage_error(args->command, "--keep is for 'delete'");
    if (retention_parse(opt_value(args, "keep"), &retention))
        return opt_usage_error(args->command,
                               "--keep: '%s' is not a list such as hourly=24,daily=7,weekly=4 "
                               "(last, hourly, daily, weekly, monthly, yearly)",
                               opt_value(args, "keep"));
    return 0;
}

/* 0 or an exit code. */
static int check(const struct args *args, const struct action *action)
{
    unsigned names = args->noperands - 2;
    bool paths = opt_given(args, "deleted") || opt_given(args, "null");

    int rc = check_keep(args, action);

    if (rc)
        return rc;
    if (names < action->least && !opt_given(args, "keep"))
        return opt_usage_error(args->command, "%s: missing operand NAME", action->name);
    if (names > action->most)
        return opt_usage_error(args->command, "%s: unexpected operand '%s'", action->name,
                               args->operands[2 + action->most]);
    if (opt_given(args, "json") && !action->json)
        return opt_usage_error(args->command, "%s: there is nothing to print as JSON",
                               action->name);
    if (opt_given(args, "freeze") && action->run != run_create)
        return opt_usage_error(args->command, "--freeze is for 'create'");
    if (paths && (!action->paths || opt_given(args, "json")))
        return opt_usage_error(args->command,
                               "--deleted and --null are for the paths that 'diff' prints");
    return 0;
}

static int with_archive(const struct args *args, const struct action *action, enum progress_how how)
{
    struct archive archive = {.dirfd = -1};
    struct served served;
    struct work work = {args, &archive, &served, args->operands + 2, opt_given(args, "json"), how};
    int rc = served_open(&served, args->operands[1], action->open, &archive);

    if (!rc)
        rc = action->run(&work);
    archive_close(&archive);
    served_release(&served);
    return rc;
}

static int run(const struct args *args)
{
    const struct action *action = find_action(args->operands[0]);
    enum progress_how how;
    int rc;

    if (!action)
        return opt_usage_error(args->command,
                               "'%s' is not one of create, list, delete, rollback, diff",
                               args->operands[0]);
    rc = check(args, action);
    if (!rc)
        rc = progress_option(args, &how);
    if (rc)
        return rc;
    return with_archive(args, action, how) ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"freeze", 0, NULL,
     "create: freeze the file system on the drive for that\n"
     "moment, so that it is clean in the snapshot"},
    {"keep", 0, "LIST",
     "delete: all snapshots that match a NAME (a pattern), or\n"
     "all, but the newest of so many periods each, such as\n"
     "hourly=24,daily=7,weekly=4"},
    {"deleted", 0, NULL, "diff: list tiles that no longer exist, not those that do"},
    {"null", '0', NULL, "diff: end each path with a zero byte"},
    PROGRESS_OPT,
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_snapshot = {
    .name = "snapshot",
    .summary = "make, list, delete and compare snapshots, and go back to one",
    .synopsis = "create|list|delete|rollback|diff [--freeze] [--keep LIST] [--deleted] [-0] "
                "[--progress HOW] [--json] ARCHIVE|PATH [NAME ...]",
    .description =
        "create ARCHIVE NAME     keeps the state of this instant, while the drive is in use\n"
        "list ARCHIVE            lists the snapshots, the oldest first\n"
        "delete ARCHIVE NAME...  deletes snapshots, and frees what only they hold\n"
        "rollback ARCHIVE NAME   makes the archive, which is not mounted, what it was then\n"
        "diff ARCHIVE A B        prints the tiles that differ between two snapshots;\n"
        "                        B may be 'live', for the archive as it is now\n"
        "\n"
        "'mosaicfs mount --snapshot NAME' mounts a snapshot, read-only.\n",
    .opts = opts,
    .operands = {"ACTION", "ARCHIVE|PATH", "NAME"},
    .required = 2,
    .more = true,
    .run = run,
};
