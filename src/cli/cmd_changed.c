/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The changed command: prints what drive/changed.c finds, in the archive, mounted or not, and
 * begins a new epoch; of a mounted one only its server may do that.
 */
#include <stdio.h>

#include "archive/archive.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "drive/changed.h"
#include "mount/served.h"
#include "mount/server.h"

struct request {
    const char *since;        /* as given, or NULL */
    struct journal_word word; /* the same */
    bool deleted, json;
    char end; /* of a path */
};

/* --- output ----------------------------------------------------------------------------------- */

struct printing {
    const struct request *request;
    const struct layout *layout;
};

static void print_path(void *arg, uint32_t tile, bool absent)
{
    const struct printing *printing = arg;
    char path[LAYOUT_PATH];

    if (absent != printing->request->deleted)
        return;
    printing->layout->tile_path(tile, path);
    fputs(path, stdout);
    putchar(printing->request->end);
}

struct lists {
    const struct layout *layout;
    struct json_list *changed, *deleted;
};

static void add_path(void *arg, uint32_t tile, bool absent)
{
    const struct lists *lists = arg;
    char path[LAYOUT_PATH];

    lists->layout->tile_path(tile, path);
    json_list_add_text(absent ? lists->deleted : lists->changed, path);
}

static int print_json(const struct archive *archive, const struct changed *changed,
                      const struct request *request)
{
    char epoch[JOURNAL_EPOCH], reason[64];
    struct lists lists = {.layout = archive->index.layout};
    struct journal_word newest;
    struct json_object *json;
    int rc = json_begin(&json);

    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", archive->path);
    json_add_text(json, "since", request->since);
    if (changes_read_newest(&changed->list, &newest))
        journal_print_epoch(&newest, epoch);
    json_add_text(json, "epoch", newest.mark.epoch ? epoch : NULL);
    json_add_bool(json, "everything", changed->everything != NULL);
    if (changed->everything)
        snprintf(reason, sizeof(reason), "the journal %s", changed->everything);
    json_add_text(json, "reason", changed->everything ? reason : NULL);
    lists.changed = json_add_list(json, "changed");
    lists.deleted = json_add_list(json, "deleted");
    rc = changed_each(changed, add_path, &lists);
    if (!rc)
        return json_complain(json_end(json, stdout));
    (void)!json_end(json, NULL);
    return rc;
}

static void tell_doubts(const struct archive *archive, const struct changed *changed)
{
    if (changed->everything) {
        log_warn("everything may have changed: the journal '%s/%s' %s", archive->path,
                 FORMAT_JOURNAL_NAME, changed->everything);
        log_note("listing all tiles; after a full mirror or backup, continue with the word of "
                 "'mosaicfs changed --mark'");
    } else if (changed->list.damaged) {
        log_warn("the journal '%s/%s' is damaged: also listing tiles that may not have changed",
                 archive->path, FORMAT_JOURNAL_NAME);
    }
}

static int list(struct archive *archive, const struct request *request)
{
    struct printing printing = {.request = request};
    struct changed changed;
    int rc = archive_read(archive);

    if (rc)
        return rc;
    printing.layout = archive->index.layout;
    rc = changed_open(archive, request->since ? &request->word : NULL, &changed);
    if (!rc) {
        tell_doubts(archive, &changed);
        rc = request->json ? print_json(archive, &changed, request)
                           : changed_each(&changed, print_path, &printing);
    }
    changed_release(&changed);
    return rc;
}

static int mark(const struct archive *archive, const struct served *served, bool json)
{
    const struct mount *mount = served->mount;
    char epoch[STORE_EPOCH];
    struct json_object *object;
    int rc = mount && !mount->read_only ? server_mark(mount, &served->server, epoch)
                                        : changed_begin(archive->path, epoch);

    if (!rc && !json)
        puts(epoch);
    if (rc || !json)
        return rc;
    rc = json_begin(&object);
    if (rc)
        return json_complain(rc);
    json_add_text(object, "archive", archive->path);
    json_add_text(object, "epoch", epoch);
    return json_complain(json_end(object, stdout));
}

/* --- the command ------------------------------------------------------------------------------ */

static int make_request(const struct args *args, struct request *request)
{
    *request = (struct request){
        .since = opt_value(args, "since"),
        .deleted = opt_given(args, "deleted"),
        .json = opt_given(args, "json"),
        .end = opt_given(args, "null") ? '\0' : '\n',
    };
    if (request->since && journal_parse_epoch(request->since, &request->word))
        return opt_usage_error(args->command,
                               "--since: '%s' is not an epoch as --mark prints it, such as "
                               "5f3a9c1e-12-0b61d2c4",
                               request->since);
    if (opt_given(args, "mark") && (request->since || request->deleted || !request->end))
        return opt_usage_error(args->command, "--mark can be combined with --json only");
    if (request->json && (request->deleted || !request->end))
        return opt_usage_error(args->command, "--json cannot be combined with --deleted or --null");
    return 0;
}

static int with_archive(const struct args *args, struct request *request)
{
    struct archive archive = {.dirfd = -1};
    struct served served;
    int rc = served_open(&served, args->operands[0], archive_open_dir, &archive);

    if (!rc && opt_given(args, "mark"))
        rc = mark(&archive, &served, request->json);
    else if (!rc)
        rc = list(&archive, request);
    archive_close(&archive);
    served_release(&served);
    return rc;
}

static int run(const struct args *args)
{
    struct request request;
    int rc = make_request(args, &request);

    if (rc)
        return rc;
    return with_archive(args, &request) ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"since", 0, "EPOCH",
     "list tiles that changed after this epoch began (a word\n"
     "printed by --mark)"},
    {"deleted", 0, NULL, "list tiles that no longer exist, not those that do"},
    {"mark", 0, NULL, "begin a new epoch and print its word, instead of a list"},
    {"null", '0', NULL, "end each path with a zero byte"},
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_changed = {
    .name = "changed",
    .summary = "list the tiles that changed since an epoch",
    .synopsis = "[--since EPOCH | --mark] [--deleted] [-0] [--json] ARCHIVE|PATH",
    .description =
        "Prints the tiles that changed, as paths relative to ARCHIVE, so that a mirror\n"
        "or a backup need not look at other tiles. Begin an epoch with --mark before\n"
        "each run, and pass its word to --since in the next run. Without --since, prints\n"
        "what changed since the journal began.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
