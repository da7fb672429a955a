/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The reindex command: its options, its progress, and its report. What is done, and in which
 * order, stands in reindex/reindexing.c; with --dry-run only the first half of that.
 */
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "base/hash.h"
#include "cli/cli.h"
#include "cli/cover_check.h"
#include "cli/progress.h"
#include "cli/reindex_report.h"
#include "cover/covers.h"
#include "reindex/reindexing.h"

struct reindex {
    struct reindexing work;
    struct covers_source covers; /* path "": pictures stay */
    struct reindex_report report;
    bool json, made_dir;
    struct progress progress;
};

/* --- progress ---------------------------------------------------------------- */

static void show_looked(size_t looked, void *arg)
{
    struct reindex *re = arg;

    progress_show(&re->progress, "looked at %zu files", looked);
}

static void show_put(const struct stray *stray, void *arg)
{
    struct reindex *re = arg;

    progress_show(&re->progress, "put back tile %" PRIu32 ", %zu in all", stray->tag.tile,
                  re->report.put);
}

static void show_covered(size_t done, void *arg)
{
    struct reindex *re = arg;

    progress_show(&re->progress, "%zu new pictures", done);
}

/* --- all --------------------------------------------------------------------- */

static int open_archive(struct reindex *re, const struct args *args)
{
    const char *path = args->operands[0];

    int rc;

    re->made_dir = args->noperands > 1 && mkdir(path, ARCHIVE_MODE) == 0;
    rc = archive_open_dir(path, &re->work.archive);
    return rc ? rc : archive_refuse_converted(&re->work.archive);
}

static int check_uuid(const struct args *args)
{
    const char *uuid = opt_value(args, "uuid");

    if (uuid && !hash_uuid_valid(uuid))
        return opt_usage_error(args->command, "--uuid: '%s' is not a UUID in lower case", uuid);
    return 0;
}

static int look(struct reindex *re, const struct args *args)
{
    int rc;

    progress_begin(&re->progress, PROGRESS_TERMINAL, NULL, PROGRESS_TILES);
    rc = reindexing_find(&re->work, args->operands + 1, args->noperands - 1);
    progress_end(&re->progress);
    if (!rc)
        rc = reindexing_decide(&re->work);
    if (!rc)
        reindex_report_count(&re->report, &re->work);
    return rc;
}

/* Sets *acted when the report is worth reading. */
static int act(struct reindex *re, bool *acted)
{
    int rc;

    progress_begin(&re->progress, PROGRESS_TERMINAL, NULL, PROGRESS_TILES);
    rc = reindexing_act(&re->work, acted);
    progress_end(&re->progress);
    return rc;
}

static int reindex(struct reindex *re, const struct args *args)
{
    bool worth_telling = re->report.dry_run;
    int rc = look(re, args), printed = 0;

    if (rc)
        return rc;
    if (!re->report.dry_run)
        rc = act(re, &worth_telling);
    if (worth_telling && re->json)
        printed = reindex_report_json(&re->report);
    else if (worth_telling)
        reindex_report_print(&re->report);
    return rc ? rc : printed;
}

static int run(const struct args *args)
{
    struct reindex re = {
        .work = {.archive.dirfd = -1,
                 .repair.dirfd = -1,
                 .uuid = opt_value(args, "uuid"),
                 .looked = show_looked,
                 .put = show_put,
                 .painted = show_covered,
                 .arg = &re},
        .report.dry_run = opt_given(args, "dry-run"),
        .report.verbose = opt_given(args, "verbose"),
        .json = opt_given(args, "json"),
    };
    int rc = check_uuid(args);

    if (!rc)
        rc = cover_check_options(args, "covers", &re.covers);
    if (!rc && re.covers.path[0])
        rc = cover_check_all(&re.covers);
    if (rc)
        return rc;
    re.work.covers = re.covers.path[0] ? &re.covers : NULL;
    rc = open_archive(&re, args);
    if (!rc)
        rc = reindex(&re, args);
    reindexing_release(&re.work);
    if (re.made_dir && (rc || re.report.dry_run))
        (void)!rmdir(args->operands[0]);
    if (rc)
        return CLI_FAILED;
    return re.report.damaged || re.report.unreadable ? CLI_DAMAGED : CLI_DONE;
}

static const struct opt opts[] = {
    {"covers", 0, "FILE|DIR", "give every tile a new picture, from now on"},
    {"cover-max", 0, "SIZE", "maximum size of a picture (default: 1M)"},
    {"uuid", 0, "UUID", "select the archive, if the files belong to several"},
    {"dry-run", 'n', NULL, "print what would be done, and do nothing"},
    {"verbose", 'v', NULL, "name each tile that is put back"},
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_reindex = {
    .name = "reindex",
    .summary = "put tiles that are pictures back in their places",
    .synopsis = "[--covers FILE|DIR] [--cover-max SIZE] [--uuid UUID] [-n] [-v] [--json] ARCHIVE "
                "[FILE ...]",
    .description =
        "For archives of layout jpeg, whose tiles identify themselves. Examines all\n"
        "files of ARCHIVE, and FILEs, which may be directories, and puts each tile in\n"
        "its place, whatever its name. Files of ARCHIVE are renamed, others copied. If\n"
        "several files are the same tile, the newest is used. A missing or damaged index\n"
        "is rebuilt. ARCHIVE is created if it does not exist. Nothing is deleted: files\n"
        "in the way are moved to '.mosaicfs/lost+found'.\n"
        "Exit status: 0 if all is well, 3 if damaged files were found, 1 on failure.\n",
    .opts = opts,
    .operands = {"ARCHIVE", "FILE"},
    .required = 1,
    .more = true,
    .run = run,
};
