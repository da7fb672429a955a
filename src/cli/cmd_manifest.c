/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The manifest command: its options and its report. Of a mounted archive, the process that serves
 * it begins the epoch and makes the snapshot that is read.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "archive/archive.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "drive/manifest_of.h"
#include "drive/snapshot.h"
#include "mount/served.h"
#include "mount/snapshotter.h"

struct work {
    const struct args *args;
    const struct archive *archive;
    const struct served *served;
    const char *snapshot; /* or NULL */
    struct progress progress;
    struct manifest_made made;
};

/* There is a snapshot to be taken away again. */
static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
    interrupted = 1;
}

static int show(void *arg, uint64_t done, uint64_t total)
{
    progress_at_any(arg, done, total);
    return interrupted ? -EINTR : 0;
}

static int make_of_snapshot(struct work *work)
{
    struct archive snapshot = {.dirfd = -1};
    char path[PATH_MAX];
    int rc = snapshot_path(work->archive, work->snapshot, path);

    if (!rc)
        rc = archive_open(path, &snapshot);
    if (!rc)
        rc = manifesting_snapshot(work->archive, &snapshot, show, &work->progress, &work->made);
    archive_close(&snapshot);
    return rc;
}

static int make_in_use(struct work *work, const struct snapshot_writer *writer)
{
    const struct served *served = work->served;
    char epoch[STORE_EPOCH];
    struct journal_word word;
    int rc = server_mark(served->mount, &served->server, epoch);

    if (!rc)
        rc = journal_parse_epoch(epoch, &word);
    return rc ? rc
              : manifest_of_used(work->archive, &word, writer, show, &work->progress, &work->made);
}

/* Who reads an archive through a mount keeps its manifest from being written, too. */
static int make(struct work *work)
{
    const struct snapshot_writer *writer;
    struct snapshotter asked;
    int rc;

    if (work->snapshot)
        return make_of_snapshot(work);
    rc = snapshotter_find(work->served, work->archive->path, false, &asked, &writer);
    if (rc)
        return rc;
    if (writer)
        return make_in_use(work, writer);
    return manifest_of_idle(work->archive, show, &work->progress, &work->made);
}

static int print_json(const struct work *work)
{
    const struct manifest_made *made = &work->made;
    char hex[HASH_HEX];
    struct json_object *json;
    int rc = json_begin(&json);

    if (rc)
        return json_complain(rc);
    hash_hex(made->root, hex);
    json_add_text(json, "archive", work->archive->path);
    json_add_text(json, "snapshot", work->snapshot);
    json_add_text(json, "root", hex);
    json_add_number(json, "tiles", made->tiles);
    json_add_number(json, "bytes", made->bytes);
    json_add_number(json, "tiles_read", made->read);
    return json_complain(json_end(json, stdout));
}

static void print(const struct work *work)
{
    const struct manifest_made *made = &work->made;
    char size[PARSE_SIZE_TEXT], hex[HASH_HEX];

    parse_size_text(made->bytes, size);
    hash_hex(made->root, hex);
    printf("wrote the manifest of '");
    escape_print(work->snapshot ? work->snapshot : work->archive->path, stdout);
    printf("': %" PRIu32 " tile%s, %s, %" PRIu32 " of them read\nroot %s\n", made->tiles,
           made->tiles == 1 ? "" : "s", size, made->read, hex);
}

static int with_archive(const struct args *args, enum progress_how how)
{
    struct archive archive = {.dirfd = -1};
    struct served served;
    struct work work = {
        .args = args,
        .archive = &archive,
        .served = &served,
        .snapshot = opt_value(args, "snapshot"),
    };
    int rc = served_open(&served, args->operands[0], archive_open, &archive);

    if (!rc) {
        progress_begin(&work.progress, how, "manifest", PROGRESS_BYTES);
        rc = make(&work);
        progress_end(&work.progress);
    }
    if (!rc && opt_given(args, "json"))
        rc = print_json(&work);
    else if (!rc)
        print(&work);
    archive_close(&archive);
    served_release(&served);
    return rc;
}

static int run(const struct args *args)
{
    const struct sigaction action = {.sa_handler = interrupt};
    enum progress_how how;
    int rc = progress_option(args, &how);

    if (rc)
        return rc;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return with_archive(args, how) ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"snapshot", 0, "NAME", "write the manifest of a snapshot, into it"},
    PROGRESS_OPT,
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_manifest = {
    .name = "manifest",
    .summary = "write down the digests of all tiles",
    .synopsis = "[--snapshot NAME] [--progress HOW] [--json] ARCHIVE|PATH",
    .description =
        "Writes 'mosaicfs.manifest', whose lines 'sha256sum -c' verifies, and\n"
        "'mosaicfs.digests', with a digest for each MiB of each tile. Reads only tiles\n"
        "that changed since the last manifest. The drive may be in use: then a snapshot\n"
        "is read, and deleted again.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
