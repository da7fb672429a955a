/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What changed since an epoch, out of the journal of changed tiles, and the
 * beginning of a new epoch. The list is read from the archive, mounted or not;
 * only a mounted one's server may begin an epoch of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "archive/archive.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "drive/drive.h"
#include "journal/changes.h"
#include "journal/looks.h"
#include "mount/served.h"
#include "mount/server.h"
#include "store/dir.h"

struct request {
    const char *since;        /* as given, or NULL */
    struct journal_word word; /* the same */
    bool deleted, json;
    char end; /* of a path */
};

struct result {
    const char *everything; /* "is missing": what of the journal says so, or NULL */
    struct changes_list list;
    uint32_t *looks; /* of all tiles as they are now */
    struct store *store;
    const struct layout *layout;
};

/* --- which tiles ------------------------------------------------------------------------------ */

/* Why the journal cannot tell, or NULL. */
static const char *cannot_tell(const struct changes_list *list, const struct request *request)
{
    if (list->unusable)
        return list->unusable;
    if (!request->since || changes_read_knows(list, &request->word))
        return NULL;
    return list->marks_damaged ? "is damaged" : "does not know that epoch";
}

static bool has_changed(const struct result *result, const struct request *request, uint32_t tile)
{
    uint32_t since = request->since ? request->word.mark.epoch : 1;

    return result->everything || result->list.cells[tile] >= since ||
           looks_differ(result->list.looks[tile], result->looks[tile]);
}

/* Which of many tiles are there, by a bit each. */
struct look {
    struct store *store;
    uint64_t *present;
};

static int look_at(void *arg, uint32_t tile, const struct store_place *place)
{
    const struct look *look = arg;
    struct store_stat stat;
    int rc = store_stat_at(look->store, tile, place, &stat);

    if (!rc)
        look->present[tile / 64] |= UINT64_C(1) << tile % 64;
    return rc == -ENOENT ? 0 : rc;
}

/*
 * Asking for each tile by its name costs more than a look at all of them, once a good part
 * has changed. Before anything is told: what cannot be listed must not pass for deleted.
 */
static int look_at_all(const struct result *result, const struct request *request,
                       uint64_t **present)
{
    uint32_t ntiles = result->store->geometry.ntiles, n = 0;
    struct look look = {.store = result->store};
    int rc;

    *present = NULL;
    for (uint32_t tile = 0; tile < ntiles; tile++)
        n += has_changed(result, request, tile);
    if (n <= ntiles / 8)
        return 0;
    look.present = calloc(ntiles / 64 + 1, sizeof(*look.present));
    if (!look.present) {
        log_error("cannot list what changed: %s", strerror(ENOMEM));
        return -ENOMEM;
    }
    rc = store_each(result->store, 0, ntiles, look_at, &look);
    if (rc)
        free(look.present);
    else
        *present = look.present;
    return rc;
}

/* 0: the tile is there; -ENOENT: it is not. present: of look_at_all(). */
static int find(const struct result *result, const uint64_t *present, uint32_t tile)
{
    struct store_stat stat;

    if (!present)
        return store_stat(result->store, tile, &stat);
    return present[tile / 64] >> tile % 64 & 1 ? 0 : -ENOENT;
}

typedef void (*take_fn)(const char *path, bool deleted, void *arg);

/* Calls take with the path of every tile that changed. 0 or -errno. */
static int each(const struct result *result, const struct request *request, take_fn take, void *arg)
{
    uint32_t ntiles = result->store->geometry.ntiles;
    uint64_t *present;
    int rc = look_at_all(result, request, &present);

    for (uint32_t tile = 0; !rc && tile < ntiles; tile++) {
        char path[LAYOUT_PATH];
        int found;

        if (!has_changed(result, request, tile))
            continue;
        found = find(result, present, tile);
        result->layout->tile_path(tile, path);
        if (found && found != -ENOENT)
            rc = found;
        else
            take(path, found == -ENOENT, arg);
    }
    free(present);
    return rc;
}

/* --- output ----------------------------------------------------------------------------------- */

static void print_path(const char *path, bool deleted, void *arg)
{
    const struct request *request = arg;

    if (deleted != request->deleted)
        return;
    fputs(path, stdout);
    putchar(request->end);
}

static int print_text(const struct result *result, struct request *request)
{
    return each(result, request, print_path, request);
}

struct lists {
    struct json_list *changed, *deleted;
};

static void add_path(const char *path, bool deleted, void *arg)
{
    const struct lists *lists = arg;

    json_list_add_text(deleted ? lists->deleted : lists->changed, path);
}

static int print_json(const struct archive *archive, const struct result *result,
                      const struct request *request)
{
    char epoch[JOURNAL_EPOCH], reason[64];
    struct journal_word newest;
    struct json_object *json;
    struct lists lists;
    int rc = json_begin(&json);

    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", archive->path);
    json_add_text(json, "since", request->since);
    if (changes_read_newest(&result->list, &newest))
        journal_print_epoch(&newest, epoch);
    json_add_text(json, "epoch", newest.mark.epoch ? epoch : NULL);
    json_add_bool(json, "everything", result->everything != NULL);
    if (result->everything)
        snprintf(reason, sizeof(reason), "the journal %s", result->everything);
    json_add_text(json, "reason", result->everything ? reason : NULL);
    lists.changed = json_add_list(json, "changed");
    lists.deleted = json_add_list(json, "deleted");
    rc = each(result, request, add_path, &lists);
    if (!rc)
        return json_complain(json_end(json, stdout));
    (void)!json_end(json, NULL);
    return rc;
}

static void tell_doubts(const struct archive *archive, const struct result *result)
{
    if (result->everything) {
        log_warn("everything may have changed: the journal '%s/%s' %s", archive->path,
                 FORMAT_JOURNAL_NAME, result->everything);
        log_note("all tiles are listed; after a full mirror or backup, go on from "
                 "'mosaicfs changed --mark'");
    } else if (result->list.damaged) {
        log_warn("the journal '%s/%s' is damaged: tiles that may not have changed are listed, too",
                 archive->path, FORMAT_JOURNAL_NAME);
    }
}

/* How all tiles look: after the journal was read, or what changes meanwhile would be missed. */
static int look(const struct archive *archive, struct result *result)
{
    int rc = -ENOMEM;

    result->looks = calloc(archive->index.geometry.ntiles, sizeof(*result->looks));
    if (result->looks)
        rc = result->everything ? 0 : looks_take(archive, NULL, result->looks);
    if (rc)
        log_error("cannot look at the tiles of '%s': %s", archive->path, strerror(-rc));
    return rc;
}

static int list(struct archive *archive, struct request *request)
{
    const struct dir_config config = {.read_only = true, .max_open = DIR_OPEN_MIN};
    struct result result = {0};
    int rc = archive_read(archive);

    if (!rc)
        rc = changes_read(archive, true, &result.list);
    if (!rc) {
        result.layout = archive->index.layout;
        result.everything = cannot_tell(&result.list, request);
        rc = look(archive, &result);
    }
    if (!rc)
        rc = dir_open(archive, &config, &result.store);
    if (!rc) {
        tell_doubts(archive, &result);
        rc = request->json ? print_json(archive, &result, request) : print_text(&result, request);
        store_close(result.store);
    }
    free(result.looks);
    changes_read_release(&result.list);
    return rc;
}

/* --- a new epoch ------------------------------------------------------------------------------ */

static int mark_unmounted(const char *path, char epoch[STORE_EPOCH])
{
    struct drive_config config = {
        .path = path,
        .mountpoint = "",
        .reach = DRIVE_STORE,
        .max_open = DIR_OPEN_MIN,
    };
    struct drive drive;
    int rc = drive_open(&drive, &config);

    if (!rc) {
        rc = store_mark(drive.store);
        if (!rc)
            rc = store_tell(drive.store, epoch);
        (void)drive_close(&drive);
    }
    return rc;
}

static int mark(const struct archive *archive, const struct served *served, bool json)
{
    const struct mount *mount = served->mount;
    char epoch[STORE_EPOCH];
    struct json_object *object;
    int rc = mount && !mount->read_only ? server_mark(mount, &served->server, epoch)
                                        : mark_unmounted(archive->path, epoch);

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
    {"since", 0, "EPOCH", "what changed after this epoch began, a word that --mark printed"},
    {"deleted", 0, NULL, "the tiles that no longer exist, instead of those that do"},
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
        "Prints the tiles that changed, as paths below ARCHIVE, for a mirror or a backup that\n"
        "wants to look at nothing else. Begin an epoch with --mark before each run and keep its\n"
        "word for --since of the next. Without --since: what changed since the journal began.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
