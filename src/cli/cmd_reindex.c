/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looks, decides, says what it decided, does it. Looking takes no more than the
 * archive's flock; with --dry-run that is all. What is done, and in which order,
 * stands in reindex/reindex.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "archive/archive_index.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/cover_check.h"
#include "cli/progress.h"
#include "cli/reindex_report.h"
#include "cover/covers.h"
#include "format/format.h"
#include "owner/owner.h"
#include "reindex/newcovers.h"
#include "reindex/reindex.h"
#include "reindex/strays.h"

struct reindex {
    struct archive archive;
    struct strays strays;
    struct repair repair;
    struct covers_source covers; /* path "": pictures stay */
    struct reindex_report report;
    bool json, made_dir;
    struct progress progress;
};

/* --- looking --------------------------------------------------------------- */

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

static int open_archive(struct reindex *re, const struct args *args)
{
    const char *path = args->operands[0];

    re->made_dir = args->noperands > 1 && mkdir(path, ARCHIVE_MODE) == 0;
    return archive_open_dir(path, &re->archive);
}

/* Plain tiles carry nothing. */
static int refuse_layout(const struct archive *archive)
{
    log_error("cannot reindex archive '%s': tiles of layout %s say nothing of themselves, their "
              "names are all there is",
              archive->path, archive->index.layout->name);
    log_note("bring them back under their names, from a mirror or a backup; 'mosaicfs check' says "
             "which names are wrong");
    return -ENOTSUP;
}

static int refuse_guess(const struct reindex *re, const char *what)
{
    log_error("cannot make an index for '%s': %s", re->archive.path, what);
    log_note("if tiles that are pictures lie in it, 'mosaicfs reindex NEW %s' copies them into the "
             "new directory NEW",
             re->archive.path);
    return -ENOTSUP;
}

/* A directory around it is an archive, so this may be a folder of that one. */
static bool is_within_archive(const struct archive *archive)
{
    char around[PATH_MAX];

    return archive_within(archive->path, around);
}

/* What stands in places of tiles says nothing of itself, and nothing else there does. */
static bool holds_other_tiles(const struct reindex *re)
{
    bool others = false, ours = false;
    uint32_t tile;

    for (size_t i = 0; i < re->strays.n; i++) {
        const struct stray *stray = &re->strays.list[i];

        others =
            others || (stray->kind == STRAY_STRANGER && strays_place(stray, &layout_jpeg, &tile));
        ours = ours || (stray->inside && strays_is_tile(stray));
    }
    return others && !ours;
}

/* A file that may be a tile all the same: the first one does. */
static void note_overlooked(const struct strays *strays)
{
    for (size_t i = 0; i < strays->n; i++) {
        const struct stray *stray = &strays->list[i];

        if (stray->kind == STRAY_UNFINISHED)
            log_note("'%s' was not looked at: its name is that of an unfinished transfer",
                     stray->path);
        else if (stray->kind == STRAY_UNREADABLE)
            log_note("'%s' could not be read: %s", stray->path, strerror(stray->err));
        else
            continue;
        return;
    }
}

/* An archive without a good index: what its tiles tell. */
static int guess_index(struct reindex *re, const char *uuid)
{
    struct stat st;
    int rc;

    if (faccessat(re->archive.dirfd, FORMAT_BUNDLE_INDEX, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
        faccessat(re->archive.dirfd, FORMAT_BUNDLE_SPARE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return refuse_guess(re, "it is a sparse bundle, whose bands say nothing of themselves");
    if (fstatat(re->archive.dirfd, FORMAT_INDEX_NAME, &st, AT_SYMLINK_NOFOLLOW) &&
        is_within_archive(&re->archive))
        return refuse_guess(re, "it lies within another archive");
    if (holds_other_tiles(re))
        return refuse_guess(re, "files that do not say what they are bear names of tiles in it");
    re->report.make_index = true;
    rc = reindex_guess(&re->strays, uuid, &re->archive.index);
    if (rc == -ENODATA)
        note_overlooked(&re->strays);
    return rc;
}

/* The archive's index, or that which the tiles tell of. */
static int get_index(struct reindex *re, const char *uuid)
{
    const char *why;
    int rc = archive_index_read(&re->archive, FORMAT_INDEX_NAME, &re->archive.index, &why);

    if (!rc && re->archive.index.layout->head != LAYOUT_PICTURE)
        return refuse_layout(&re->archive);
    if (!rc && uuid && strcmp(uuid, re->archive.index.uuid) != 0) {
        log_error("archive '%s' is %s, not %s", re->archive.path, re->archive.index.uuid, uuid);
        return -EINVAL;
    }
    if (rc != -ENOENT && rc != -EBADMSG) {
        if (rc)
            log_error("cannot read '%s' of archive '%s': %s", FORMAT_INDEX_NAME, re->archive.path,
                      why ? why : strerror(-rc));
        return rc;
    }
    return guess_index(re, uuid);
}

static int look(struct reindex *re, const struct args *args)
{
    int rc = owner_exclude(&re->archive);

    re->strays.archive = &re->archive;
    re->strays.tell = show_looked;
    re->strays.arg = re;
    progress_begin(&re->progress);
    if (!rc)
        rc = strays_find(&re->strays);
    for (unsigned i = 1; !rc && i < args->noperands; i++)
        rc = strays_add(&re->strays, args->operands[i]);
    progress_end(&re->progress);
    if (!rc)
        rc = get_index(re, opt_value(args, "uuid"));
    if (!rc) {
        strays_decide(&re->strays, &re->archive.index);
        reindex_report_count(&re->report, &re->strays, &re->archive.index);
    }
    return rc;
}

/* --- doing ----------------------------------------------------------------- */

/* A damaged index stands where the new one goes. */
static bool index_makes_room(const struct reindex *re)
{
    return re->report.make_index &&
           faccessat(re->archive.dirfd, FORMAT_INDEX_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int put_all(struct reindex *re)
{
    int left = 0, rc = 0;

    if (re->report.displaced || index_makes_room(re))
        rc = repair_open(&re->archive, &re->repair);
    if (re->repair.dirfd >= 0)
        re->report.room = re->repair.path;
    if (!rc && re->report.put)
        rc = reindex_put(&re->strays, &re->archive, &re->repair, show_put, re);
    if (rc == -EEXIST) {
        left = rc;
        rc = 0;
    }
    if (!rc && re->report.make_index)
        rc = reindex_write(&re->archive, &re->repair);
    if (!rc)
        rc = reindex_done(&re->archive);
    return rc ? rc : left;
}

static int cover_all(struct reindex *re)
{
    struct covers *covers;
    int rc = covers_open(&re->archive, &re->covers, &covers);
    int first = 0;

    if (!rc) {
        first = newcovers_give(&re->archive, covers, show_covered, re, &re->report.covered);
        rc = covers_source_remember(&re->archive, &re->covers);
        covers_free(covers);
    }
    return first ? first : rc;
}

/* What we may not read may be as good as what would take its place. */
static int refuse_unreadable(const struct reindex *re)
{
    for (size_t i = 0; i < re->strays.n; i++) {
        const struct stray *stray = &re->strays.list[i];

        if (stray->fate != STRAY_DISPLACED || (stray->err != EACCES && stray->err != EPERM))
            continue;
        log_error("cannot read '%s', which stands where another file belongs: %s", stray->path,
                  strerror(stray->err));
        log_note("nothing was changed; run this as the owner of that file, or move the file out of "
                 "the archive and keep it");
        return -stray->err;
    }
    return 0;
}

/* Sets *acted when the report is worth reading. */
static int act(struct reindex *re, bool *acted)
{
    struct owner owner;
    int rc = refuse_unreadable(re), covered = 0;

    if (!rc)
        rc = owner_take(&owner, &re->archive, "", false);
    if (rc)
        return rc;
    progress_begin(&re->progress);
    rc = put_all(re);
    *acted = !rc || rc == -EEXIST;
    if (*acted && re->report.covering)
        covered = cover_all(re);
    progress_end(&re->progress);
    if (!*acted)
        log_note("see to the cause, and run the same command again, with the same files");
    owner_drop(&owner);
    return rc ? rc : covered;
}

/* --- all ------------------------------------------------------------------- */

static int check_uuid(const struct args *args)
{
    const char *uuid = opt_value(args, "uuid");

    if (uuid && !hash_uuid_valid(uuid))
        return opt_usage_error(args->command, "--uuid: '%s' is not a UUID in lower case", uuid);
    return 0;
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
        printed = reindex_report_json(&re->report, re->archive.path);
    else if (worth_telling)
        reindex_report_print(&re->report);
    return rc ? rc : printed;
}

static int run(const struct args *args)
{
    struct reindex re = {
        .archive.dirfd = -1,
        .repair.dirfd = -1,
        .report.dry_run = opt_given(args, "dry-run"),
        .report.verbose = opt_given(args, "verbose"),
        .json = opt_given(args, "json"),
    };
    int rc = check_uuid(args);

    if (!rc)
        rc = cover_check_options(args, "covers", &re.covers);
    if (!rc && re.covers.path[0])
        rc = cover_check_all(&re.covers);
    re.report.covering = re.covers.path[0] != '\0';
    if (rc)
        return rc;
    rc = open_archive(&re, args);
    if (!rc)
        rc = reindex(&re, args);
    repair_close(&re.repair);
    strays_release(&re.strays);
    archive_close(&re.archive);
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
