/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What was won, and what not: the numbers first, then what can be done about the rest.
 */
#include "cli/compact_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/parse.h"
#include "cli/escape.h"
#include "cli/json.h"

static uint64_t won(const struct compact *compact)
{
    return compact->holes + compact->tails + compact->emptied;
}

/* --- for people ------------------------------------------------------------------------------- */

static void print_quoted(const char *name)
{
    putchar('\'');
    escape_print(name, stdout);
    putchar('\'');
}

static void print_row(const char *what, uint64_t bytes)
{
    char text[PARSE_SIZE_TEXT];

    if (!bytes)
        return;
    parse_size_text(bytes, text);
    printf("%12s  %s\n", text, what);
}

static void print_won(const struct archive *archive, const struct compact *compact)
{
    const char *would = compact->dry ? "would be " : "";
    char before[PARSE_SIZE_TEXT], after[PARSE_SIZE_TEXT], less[PARSE_SIZE_TEXT];

    parse_size_text(compact->stored, before);
    parse_size_text(compact->stored - compact_freed(compact), after);
    parse_size_text(compact_freed(compact), less);
    printf("%s%s ", compact->dry ? "looked at" : "compacted", compact->stopped ? " part of" : "");
    print_quoted(archive->path);
    printf(": %" PRIu32 " of %" PRIu32 " tiles %schanged, %" PRIu32 " of them %sremoved\n",
           compact->changed, compact->tiles, would, compact->removed, would);
    printf("%12s  stored before, %s after: %s %sfreed\n", before, after, less, would);
    print_row("in holes", compact->holes);
    print_row("at the ends of tiles", compact->tails);
    print_row("in tiles of zeros", compact->emptied);
}

static void print_held(const struct compact *compact)
{
    if (!compact->held_bytes)
        return;
    print_row("not freed: in tiles that snapshots hold", compact->held_bytes - compact->other);
    for (unsigned i = 0; i < compact->nsnapshots; i++) {
        const struct compact_snapshot *snapshot = &compact->snapshots[i];
        char bytes[PARSE_SIZE_TEXT];

        if (!snapshot->tiles)
            continue;
        parse_size_text(snapshot->bytes, bytes);
        printf("%12s  held by snapshot ", "");
        print_quoted(snapshot->name);
        printf(": %s in %" PRIu32 " tile%s\n", bytes, snapshot->tiles,
               snapshot->tiles == 1 ? "" : "s");
    }
    print_row("not freed: in tiles that have other hard links", compact->other);
}

static void print_not_won(const struct compact *compact)
{
    char block[PARSE_SIZE_TEXT];

    print_held(compact);
    print_row("not freed: in runs too short for a hole", compact->small);
    print_row("not freed: the file system below has no holes", compact->fixed);
    if (!compact->dry && won(compact) > compact->freed + won(compact) / 4) {
        parse_size_text(compact->block, block);
        printf("note: less came free than was zeros: the file system below shares or compresses "
               "what it\n      stores, or frees it in larger units than its blocks of %s\n",
               block);
    }
}

static void print_encrypted(const struct compacting *compacting)
{
    printf("note: the drive is encrypted (%s), so that zeros and free space cannot be told from "
           "data\n",
           compacting->compact.contents);
    puts("      to free what the file system on it does not use, let the mapping pass discards\n"
         "      ('cryptsetup refresh --allow-discards NAME'), and run 'fstrim' on it");
}

static void print_untrimmed(const struct compacting *compacting)
{
    for (unsigned i = 0; i < compacting->nabove; i++) {
        char used[PARSE_SIZE_TEXT];

        parse_size_text(compacting->above[i].used, used);
        printf("note: the file system on ");
        print_quoted(compacting->above[i].mountpoint);
        printf(" uses %s, and more is stored\n      to free the space of deleted files, run "
               "'fstrim ",
               used);
        escape_print(compacting->above[i].mountpoint, stdout);
        printf("'\n");
    }
}

static void print_advice(const struct compacting *compacting)
{
    const struct compact *compact = &compacting->compact;

    if (compact->encrypted)
        print_encrypted(compacting);
    if (compacting_untrimmed(compacting))
        print_untrimmed(compacting);
    else if (!compact->encrypted && compact->known && compact->data && !compacting->nabove)
        printf("note: to free the space of files that were deleted from the file system (%s), "
               "mount it\n      and run 'fstrim'\n",
               compact->contents);
}

void compact_report_text(const struct archive *archive, const struct compacting *compacting)
{
    const struct compact *compact = &compacting->compact;

    print_won(archive, compact);
    print_not_won(compact);
    print_advice(compacting);
}

/* --- for scripts ------------------------------------------------------------------------------ */

static void add_won(struct json_object *json, const struct compact *compact)
{
    struct json_object *group = json_add_group(json, "won");

    json_add_number(group, "holes", compact->holes);
    json_add_number(group, "tails", compact->tails);
    json_add_number(group, "removed", compact->emptied);
}

static void add_not_won(struct json_object *json, const struct compact *compact)
{
    struct json_object *group = json_add_group(json, "not_won");
    struct json_list *list;

    json_add_number(group, "held", compact->held_bytes - compact->other);
    json_add_number(group, "linked", compact->other);
    json_add_number(group, "short_runs", compact->small);
    json_add_number(group, "no_holes", compact->fixed);
    list = json_add_list(group, "snapshots");
    for (unsigned i = 0; i < compact->nsnapshots; i++) {
        const struct compact_snapshot *snapshot = &compact->snapshots[i];
        struct json_object *one = snapshot->tiles ? json_list_add_group(list) : NULL;

        json_add_text(one, "name", snapshot->name);
        json_add_number(one, "tiles", snapshot->tiles);
        json_add_number(one, "bytes", snapshot->bytes);
    }
}

static void add_above(struct json_object *json, const struct compacting *compacting)
{
    struct json_list *list = json_add_list(json, "mounted");

    for (unsigned i = 0; i < compacting->nabove; i++) {
        struct json_object *one = json_list_add_group(list);

        json_add_text(one, "mountpoint", compacting->above[i].mountpoint);
        json_add_number(one, "bytes_used", compacting->above[i].used);
    }
}

int compact_report_json(const struct archive *archive, const struct compacting *compacting)
{
    const struct compact *compact = &compacting->compact;
    struct json_object *json;
    int rc = json_begin(&json);

    if (rc)
        return json_complain(rc);
    json_add_text(json, "archive", archive->path);
    json_add_bool(json, "dry_run", compact->dry);
    json_add_bool(json, "complete", !compact->stopped && !compact->failed);
    json_add_number(json, "tiles", compact->tiles);
    json_add_number(json, "tiles_changed", compact->changed);
    json_add_number(json, "tiles_removed", compact->removed);
    json_add_number(json, "tiles_held", compact->held);
    json_add_number(json, "tiles_failed", compact->failed);
    json_add_number(json, "bytes_stored_before", compact->stored);
    json_add_number(json, "bytes_stored_after", compact->stored - compact_freed(compact));
    json_add_number(json, "bytes_freed", compact_freed(compact));
    json_add_number(json, "bytes_data", compact->data);
    json_add_number(json, "block_size", compact->block);
    add_won(json, compact);
    add_not_won(json, compact);
    json_add_text(json, "contents", compact->known ? compact->contents : NULL);
    json_add_bool(json, "encrypted", compact->encrypted);
    json_add_bool(json, "untrimmed", compacting_untrimmed(compacting));
    add_above(json, compacting);
    return json_complain(json_end(json, stdout));
}
