/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What info prints, for people and as JSON.
 */
#include "cli/info_report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "format/format.h"
#include "mount/health.h"

static void line(const char *name, const char *fmt, ...) PRINTF(2, 3);
static void line(const char *name, const char *fmt, ...)
{
    char text[2 * PATH_MAX]; /* names among it that others chose */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printf("%-10s", name);
    escape_print(text, stdout);
    putchar('\n');
}

static void print_use(const struct info_use *use)
{
    char free[PARSE_SIZE_TEXT];

    if (!use->state) {
        line("mounted", "no");
        return;
    }
    if (!use->mountpoint[0]) {
        line("mounted", "cannot be told");
        return;
    }
    line("mounted", "on '%s'%s", use->mountpoint, use->read_only ? ", read-only" : "");
    if (use->pid)
        line("", "by process %d of host '%s'%s%s", (int)use->pid, use->host,
             use->since[0] ? " since " : "", use->since);
    if (use->waiting) {
        parse_size_text(use->free, free);
        line("waiting", "%u request%s for space since %s", use->waiting,
             use->waiting == 1 ? "" : "s", use->waiting_since);
        line("", "%s free for the archive; they continue when there is more", free);
    }
    if (!strcmp(use->state, "failed"))
        line("", "further writes fail, as earlier ones could not be written to disk: see its log, "
                 "and unmount it");
    if (!strcmp(use->state, "dead"))
        line("", "its process has died: 'mosaicfs umount' removes the mount");
    if (!strcmp(use->state, "silent"))
        line("", "that process %s", health_word(use->pid));
    if (!strcmp(use->state, "unknown"))
        line("", "the state of that process is unknown");
}

static void print_snapshots(const struct info_snapshots *snapshots)
{
    char held[PARSE_SIZE_TEXT];

    if (!snapshots->n && snapshots->complete)
        return;
    parse_size_text(snapshots->blocks * 512, held);
    if (snapshots->complete)
        line("snapshots",
             "%" PRIu64 ", occupying %s (%" PRIu64 " bytes) for tiles that have changed",
             snapshots->n, held, snapshots->blocks * 512);
    else
        line("snapshots", "not all could be examined");
}

static void print_covers(const struct info *info)
{
    const struct covers_source *covers = &info->covers;
    char max[PARSE_SIZE_TEXT];

    if (!covers->path[0]) {
        line("covers", "not known on this machine: new tiles show pictures of other tiles");
        return;
    }
    parse_size_text(covers->max, max);
    line("covers", "from '%s', each at most %s", covers->path, max);
    if (info->covers_err)
        line("", "nothing can be read there (%s): new tiles show pictures of other tiles",
             strerror(info->covers_err));
}

void info_report_text(const struct info *info)
{
    const struct index *index = &info->archive.index;
    const struct geometry *geo = &index->geometry;
    const struct info_usage *usage = &info->usage;
    char a[PARSE_SIZE_TEXT], b[PARSE_SIZE_TEXT];

    line("archive", "%s", info->archive.path);
    parse_size_text(geo->size, a);
    line("size", "%s (%" PRIu64 " bytes)", a, geo->size);
    parse_size_text(geo->tile_size, a);
    line("tiles", "%s%" PRIu32 " of %" PRIu32 " present, each %s (%" PRIu64 " bytes)",
         usage->complete ? "" : "at least ", usage->tiles, geo->ntiles, a, geo->tile_size);
    parse_size_text(usage->bytes, a);
    parse_size_text(usage->blocks * 512, b);
    line("stored", "%s%s (%" PRIu64 " bytes), occupying %s (%" PRIu64 " bytes)",
         usage->complete ? "" : "at least ", a, usage->bytes, b, usage->blocks * 512);
    print_snapshots(&info->snapshots);
    if (!index->layout)
        line("format", "cannot be told");
    else if (index->format == FORMAT_FOREIGN)
        line("format", "of another program, layout %s", index->layout->name);
    else
        line("format", "%d, layout %s", index->format, index->layout->name);
    if (index->uuid[0])
        line("uuid", "%s", index->uuid);
    if (index->layout && index->layout->head == LAYOUT_PICTURE)
        print_covers(info);
    print_use(&info->use);
    if (info->taken)
        line("in use", "by another program, such as a Mac: it can only be mounted read-only");
}

static void add_use(struct json_object *json, const struct info_use *use)
{
    struct json_object *group;

    if (!use->state) {
        json_add_text(json, "mounted", NULL);
        return;
    }
    group = json_add_group(json, "mounted");
    json_add_text(group, "mountpoint", use->mountpoint);
    json_add_bool(group, "read_only", use->read_only);
    json_add_text(group, "host", use->host);
    json_add_number(group, "pid", (uint64_t)use->pid);
    json_add_text(group, "since", use->since[0] ? use->since : NULL);
    json_add_text(group, "state", use->state);
    json_add_number(group, "waiting", use->waiting);
    json_add_text(group, "waiting_since", use->waiting ? use->waiting_since : NULL);
}

static void add_covers(struct json_object *json, const struct info *info)
{
    const struct covers_source *covers = &info->covers;
    struct json_object *group;

    if (!covers->path[0]) {
        json_add_text(json, "cover", NULL);
        return;
    }
    group = json_add_group(json, "cover");
    json_add_text(group, "path", covers->path);
    json_add_number(group, "max", covers->max);
    json_add_bool(group, "found", !info->covers_err);
}

static void add_snapshots(struct json_object *json, const struct info_snapshots *snapshots)
{
    struct json_object *group = json_add_group(json, "snapshots");

    json_add_number(group, "count", snapshots->n);
    json_add_number(group, "bytes_own", snapshots->blocks * 512);
    json_add_bool(group, "complete", snapshots->complete);
}

static void add_all(struct json_object *json, const struct info *info)
{
    const struct index *index = &info->archive.index;
    const struct geometry *geo = &index->geometry;

    json_add_text(json, "archive", info->archive.path);
    if (!index->layout || index->format == FORMAT_FOREIGN)
        json_add_text(json, "format", NULL);
    else
        json_add_number(json, "format", (uint64_t)index->format);
    json_add_text(json, "layout", index->layout ? index->layout->name : NULL);
    json_add_text(json, "uuid", index->uuid[0] ? index->uuid : NULL);
    add_covers(json, info);
    json_add_number(json, "size", geo->size);
    json_add_number(json, "tile_size", geo->tile_size);
    json_add_number(json, "tiles", geo->ntiles);
    json_add_number(json, "tiles_present", info->usage.tiles);
    json_add_number(json, "bytes_stored", info->usage.bytes);
    json_add_number(json, "bytes_allocated", info->usage.blocks * 512);
    json_add_bool(json, "complete", info_complete(info));
    add_snapshots(json, &info->snapshots);
    add_use(json, &info->use);
    json_add_bool(json, "taken", info->taken);
}

int info_report_json(const struct info *info)
{
    struct json_object *json;
    int rc = json_begin(&json);

    if (!rc) {
        add_all(json, info);
        rc = json_end(json, stdout);
    }
    return json_complain(rc);
}
