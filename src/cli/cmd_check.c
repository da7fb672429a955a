/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A check takes no lock: it must not make a mount fail, and a mounted archive
 * can be checked as well, since every finding is looked at twice. A repair has
 * the archive to itself; its order stands in check/repair.c.
 */
#include <errno.h>
#include <stdbool.h>

#include "archive/archive.h"
#include "base/log.h"
#include "check/manifested.h"
#include "check/repair.h"
#include "check/reread.h"
#include "check/scan.h"
#include "check/scan_kinds.h"
#include "cli/check_report.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mount/served.h"
#include "owner/owner.h"

struct check {
    struct archive archive;
    struct scan scan;
    struct check_report report;
    bool json;
    enum progress_how how;
    struct progress progress;
};

/* --- reading all bytes ------------------------------------------------------ */

static void show_progress(uint64_t done, void *arg)
{
    struct check *check = arg;

    progress_at(&check->progress, done, check->scan.bytes);
}

static int read_all(struct check *check)
{
    int rc;

    progress_begin(&check->progress, check->how, "check", PROGRESS_BYTES);
    rc = reread_tiles(&check->scan, show_progress, check);
    progress_end(&check->progress);
    return rc;
}

/* --- repair ---------------------------------------------------------------- */

static void tell_step(void *arg, const struct scan_finding *f)
{
    struct check *check = arg;

    check->report.moved += f->moved != NULL;
    if (!check->json)
        check_report_step(f);
}

static int repair(struct check *check)
{
    if (!check->scan.indexed || !check->archive.index.read_only)
        return repair_all(&check->scan, tell_step, check);
    log_error("cannot repair archive '%s': it uses a feature of a newer version",
              check->archive.path);
    log_note("repair it with that version, or a later one");
    return -EROFS;
}

/* --- all ------------------------------------------------------------------- */

static int open_archive(struct check *check, const char *path)
{
    struct served served;
    int rc = served_open(&served, path, archive_open_dir, &check->archive);

    if (!rc)
        rc = archive_refuse_converted(&check->archive);
    if (!rc && served.mount)
        check->report.left += server_replaced(served.mount, &served.server, path);
    served_release(&served);
    return rc;
}

static int look(struct check *check)
{
    int rc = check->report.repair ? owner_exclude(&check->archive) : 0;

    if (!rc)
        rc = scan_run(&check->archive, &check->scan);
    if (!rc)
        rc = scan_is_archive(&check->scan);
    if (!rc)
        rc = manifested_look(&check->scan);
    if (!rc && check->report.deep)
        rc = read_all(check);
    if (!rc)
        scan_again(&check->scan);
    return rc;
}

static int tell(struct check *check)
{
    const struct scan *scan = &check->scan;
    int rc = 0, repaired = 0;

    if (!check->json)
        check_report_findings(&check->report);
    if (check->report.repair)
        repaired = repair(check);
    for (size_t i = 0; i < scan->n; i++)
        check->report.left += !scan_kinds_note(scan->list[i].kind) && !scan->list[i].moved;
    if (check->json)
        rc = check_report_json(&check->report);
    else
        check_report_sum(&check->report);
    return repaired ? repaired : rc;
}

static int run(const struct args *args)
{
    struct check check = {
        .archive.dirfd = -1,
        .report = {&check.scan, opt_given(args, "repair"), opt_given(args, "deep"), 0, 0},
        .json = opt_given(args, "json"),
    };
    int rc = progress_option(args, &check.how);

    if (rc)
        return rc;
    rc = open_archive(&check, args->operands[0]);
    if (!rc)
        rc = look(&check);
    if (!rc)
        rc = tell(&check);
    scan_release(&check.scan);
    archive_close(&check.archive);
    if (rc)
        return CLI_FAILED;
    return check.report.left ? CLI_DAMAGED : CLI_DONE;
}

static const struct opt opts[] = {
    {"repair", 0, NULL,
     "move what does not belong there into '.mosaicfs/lost+found';\n"
     "nothing is deleted"},
    {"deep", 0, NULL, "read every byte of every tile"},
    PROGRESS_OPT,
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_check = {
    .name = "check",
    .summary = "look for damage, and for files that do not belong there",
    .synopsis = "[--repair] [--deep] [--progress HOW] [--json] ARCHIVE|PATH",
    .description = "Checks the index, the lock, the journal, and all tiles: sizes, names,\n"
                   "permissions, foreign files, conflict copies, temporary files. Reports what it\n"
                   "finds, what to do next, and what it cannot detect. Changes nothing without\n"
                   "--repair, which needs an archive that is not mounted.\n"
                   "Exit status: 0 if all is well, 3 if something was found that is still there,\n"
                   "1 if the check failed.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
