/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What check prints, for people and as JSON. The words for each kind of finding stand in
 * cli/findings.c and cli/findings_advice.c.
 */
#include "cli/check_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "check/scan_kinds.h"
#include "cli/escape.h"
#include "cli/findings.h"
#include "cli/json.h"

static void print_finding(const struct check_report *report, const struct scan_finding *f)
{
    const struct scan *scan = report->scan;
    char detail[FINDINGS_TEXT], advice[FINDINGS_TEXT];

    if (f->kind == SCAN_JOURNAL_MISSING) /* nothing to worry about; JSON says it */
        return;
    findings_detail(scan, f, detail);
    findings_advice(scan, f, advice);
    if (scan_kinds_note(f->kind))
        printf("note: ");
    escape_print(f->path, stdout);
    printf("%s%s\n", f->path[0] ? ": " : "", detail);
    if (advice[0] && !(report->repair && scan_may_move(scan, f)))
        printf("    %s\n", advice);
}

void check_report_findings(const struct check_report *report)
{
    const struct scan *scan = report->scan;

    for (size_t i = 0; i < scan->n; i++)
        print_finding(report, &scan->list[i]);
    fflush(stdout); /* before steps of a repair, and their errors */
}

/* Whatever was found or not, so that nobody takes it for more than it is. */
static const char *not_checked(const struct check_report *report)
{
    return report->deep
               ? "whether tiles hold what was written to them, and whether any are missing "
                 "(a missing tile looks like one that was never written)"
               : "what tiles hold, and whether any are missing (a missing tile looks like "
                 "one that was never written)";
}

void check_report_sum(const struct check_report *report)
{
    const struct scan *scan = report->scan;
    const char *plural = scan->tiles == 1 ? "" : "s";

    if (report->moved)
        printf("moved: %zu, nothing was deleted\n", report->moved);
    if (report->left)
        printf("%" PRIu32 " tile%s, %zu finding%s%s\n", scan->tiles, plural, report->left,
               report->left == 1 ? "" : "s", report->moved ? " left" : "");
    else
        printf("%" PRIu32 " tile%s, no damage%s to the structure\n", scan->tiles, plural,
               report->moved ? " left" : "");
    printf("not checked: %s\n", not_checked(report));
}

static void add_finding(const struct scan *scan, const struct scan_finding *f,
                        struct json_object *json)
{
    char text[FINDINGS_TEXT];

    json_add_text(json, "kind", scan_kinds_word(f->kind));
    json_add_text(json, "path", f->path[0] ? f->path : NULL);
    findings_detail(scan, f, text);
    json_add_text(json, "detail", text);
    if (scan_kinds_note(f->kind))
        return;
    findings_advice(scan, f, text);
    json_add_text(json, "advice", text);
    json_add_text(json, "moved_to", f->moved);
}

int check_report_json(const struct check_report *report)
{
    const struct scan *scan = report->scan;
    struct json_list *findings, *notes;
    struct json_object *json;
    int rc = json_begin(&json);

    if (!rc) {
        json_add_text(json, "archive", scan->archive->path);
        json_add_text(json, "layout", scan->layout->name);
        json_add_number(json, "tiles_present", scan->tiles);
        json_add_bool(json, "deep", report->deep);
        json_add_bool(json, "damaged", report->left > 0);
        json_add_text(json, "not_checked", not_checked(report));
        findings = json_add_list(json, "findings");
        notes = json_add_list(json, "notes");
        for (size_t i = 0; i < scan->n; i++)
            add_finding(
                scan, &scan->list[i],
                json_list_add_group(scan_kinds_note(scan->list[i].kind) ? notes : findings));
        rc = json_end(json, stdout);
    }
    return json_complain(rc);
}

void check_report_step(const struct scan_finding *f)
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
