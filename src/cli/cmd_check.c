/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A check takes no lock: it must not make a mount fail, and a mounted archive
 * can be checked as well, since every finding is looked at twice. A repair has
 * the archive to itself; its order stands in check/repair.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include "archive/archive.h"
#include "archive/archive_index.h"
#include "archive/detect_bundle.h"
#include "base/log.h"
#include "base/parse.h"
#include "check/repair.h"
#include "check/reread.h"
#include "check/scan.h"
#include "check/scan_kinds.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/findings.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "format/format.h"
#include "mount/served.h"
#include "owner/owner.h"

struct check {
    struct archive archive;
    struct scan scan;
    bool repair, deep, json;
    struct progress progress;
    size_t left; /* findings that have not been repaired */
    size_t moved;
};

/* --- reading all bytes ------------------------------------------------------ */

static void show_progress(uint64_t done, void *arg)
{
    struct check *check = arg;
    char a[PARSE_SIZE_TEXT], b[PARSE_SIZE_TEXT], rate[PARSE_SIZE_TEXT];

    parse_size_text(done, a);
    parse_size_text(check->scan.bytes, b);
    parse_size_text(done * 1000 / progress_took(&check->progress), rate);
    progress_show(&check->progress, "read %s of %s, %s/s", a, b, rate);
}

static int read_all(struct check *check)
{
    int rc;

    progress_begin(&check->progress);
    rc = reread_tiles(&check->scan, show_progress, check);
    progress_end(&check->progress);
    return rc;
}

/* --- what was found -------------------------------------------------------- */

static void print_finding(const struct check *check, const struct scan_finding *f)
{
    char detail[FINDINGS_TEXT], advice[FINDINGS_TEXT];

    if (f->kind == SCAN_JOURNAL_MISSING) /* nothing to worry about; JSON says it */
        return;
    findings_detail(&check->scan, f, detail);
    findings_advice(&check->scan, f, advice);
    if (scan_kinds_note(f->kind))
        printf("note: ");
    escape_print(f->path, stdout);
    printf("%s%s\n", f->path[0] ? ": " : "", detail);
    if (advice[0] && !(check->repair && scan_may_move(&check->scan, f)))
        printf("    %s\n", advice);
}

static void print_findings(const struct check *check)
{
    for (size_t i = 0; i < check->scan.n; i++)
        print_finding(check, &check->scan.list[i]);
    fflush(stdout); /* before steps of a repair, and their errors */
}

/* Whatever was found or not, so that nobody takes it for more than it is. */
static const char *not_checked(const struct check *check)
{
    return check->deep ? "whether tiles hold what was written to them, and whether any are missing "
                         "(a missing tile looks like one that was never written)"
                       : "what tiles hold, and whether any are missing (a missing tile looks like "
                         "one that was never written)";
}

static void print_sum(const struct check *check)
{
    const struct scan *scan = &check->scan;

    const char *plural = scan->tiles == 1 ? "" : "s";

    if (check->moved)
        printf("moved: %zu, nothing was deleted\n", check->moved);
    if (check->left)
        printf("%" PRIu32 " tile%s, %zu finding%s%s\n", scan->tiles, plural, check->left,
               check->left == 1 ? "" : "s", check->moved ? " left" : "");
    else
        printf("%" PRIu32 " tile%s, no damage%s to the structure\n", scan->tiles, plural,
               check->moved ? " left" : "");
    printf("not checked: %s\n", not_checked(check));
}

static void add_finding(const struct check *check, const struct scan_finding *f,
                        struct json_object *json)
{
    char text[FINDINGS_TEXT];

    json_add_text(json, "kind", scan_kinds_word(f->kind));
    json_add_text(json, "path", f->path[0] ? f->path : NULL);
    findings_detail(&check->scan, f, text);
    json_add_text(json, "detail", text);
    if (scan_kinds_note(f->kind))
        return;
    findings_advice(&check->scan, f, text);
    json_add_text(json, "advice", text);
    json_add_text(json, "moved_to", f->moved);
}

static int print_json(const struct check *check)
{
    const struct scan *scan = &check->scan;
    struct json_list *findings, *notes;
    struct json_object *json;
    int rc = json_begin(&json);

    if (!rc) {
        json_add_text(json, "archive", check->archive.path);
        json_add_text(json, "layout", scan->layout->name);
        json_add_number(json, "tiles_present", scan->tiles);
        json_add_bool(json, "deep", check->deep);
        json_add_bool(json, "damaged", check->left > 0);
        json_add_text(json, "not_checked", not_checked(check));
        findings = json_add_list(json, "findings");
        notes = json_add_list(json, "notes");
        for (size_t i = 0; i < scan->n; i++)
            add_finding(
                check, &scan->list[i],
                json_list_add_group(scan_kinds_note(scan->list[i].kind) ? notes : findings));
        rc = json_end(json, stdout);
    }
    return json_complain(rc);
}

/* --- repair ---------------------------------------------------------------- */

static void print_step(const struct scan_finding *f)
{
    printf(f->moved ? "moved '" : "could not move '");
    escape_print(f->path, stdout);
    if (f->moved) {
        printf("' to '");
        escape_print(f->moved, stdout);
    }
    printf("'\n");
    fflush(stdout);
}

static void tell_step(void *arg, const struct scan_finding *f)
{
    struct check *check = arg;

    check->moved += f->moved != NULL;
    if (!check->json)
        print_step(f);
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

/* Beside an index that is of no use, which may be the one that is wrong. */
static bool has_good_spare(const struct scan *scan)
{
    struct index index;
    const char *why;

    return scan->layout->spare_index &&
           !archive_index_read(scan->archive, scan->layout->spare_index, &index, &why);
}

/* What there is can be looked at: an archive, of a version that we know. */
static int is_archive(const struct check *check)
{
    const struct scan *scan = &check->scan;

    if (scan->index_err == -ENOTSUP && !has_good_spare(scan)) {
        log_error("cannot check archive '%s': %s", check->archive.path, scan->why);
        if (scan->layout != &layout_bundle)
            log_note("a newer version of mosaicfs made this archive; use that one");
        return -ENOTSUP;
    }
    if (scan->indexed || scan->index_err != -ENOENT || scan->tiles)
        return 0;
    if (detect_bundle_likely(&check->archive))
        return detect_bundle_without(&check->archive);
    log_error("'%s' is not an archive: it has no file '%s' and no tiles", check->archive.path,
              FORMAT_INDEX_NAME);
    return -ENOENT;
}

static int open_archive(struct check *check, const char *path)
{
    struct served served;
    int rc = served_open(&served, path, archive_open_dir, &check->archive);

    if (!rc && served.mount)
        check->left += server_replaced(served.mount, &served.server, path);
    served_release(&served);
    return rc;
}

static int look(struct check *check)
{
    int rc = check->repair ? owner_exclude(&check->archive) : 0;

    if (!rc)
        rc = scan_run(&check->archive, &check->scan);
    if (!rc)
        rc = is_archive(check);
    if (!rc && check->deep)
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
        print_findings(check);
    if (check->repair)
        repaired = repair(check);
    for (size_t i = 0; i < scan->n; i++)
        check->left += !scan_kinds_note(scan->list[i].kind) && !scan->list[i].moved;
    if (check->json)
        rc = print_json(check);
    else
        print_sum(check);
    return repaired ? repaired : rc;
}

static int run(const struct args *args)
{
    struct check check = {
        .archive.dirfd = -1,
        .repair = opt_given(args, "repair"),
        .deep = opt_given(args, "deep"),
        .json = opt_given(args, "json"),
    };
    int rc = open_archive(&check, args->operands[0]);

    if (!rc)
        rc = look(&check);
    if (!rc)
        rc = tell(&check);
    scan_release(&check.scan);
    archive_close(&check.archive);
    if (rc)
        return CLI_FAILED;
    return check.left ? CLI_DAMAGED : CLI_DONE;
}

static const struct opt opts[] = {
    {"repair", 0, NULL,
     "move what does not belong there into '.mosaicfs/lost+found';\n"
     "nothing is deleted"},
    {"deep", 0, NULL, "read every byte of every tile"},
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_check = {
    .name = "check",
    .summary = "look for damage, and for files that do not belong there",
    .synopsis = "[--repair] [--deep] [--json] ARCHIVE|PATH",
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
