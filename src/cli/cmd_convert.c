/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The convert command: which ends its operands stand for, its options, and its report. What is
 * done, and in which order, stands in drive/convert.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/archive.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/cover_check.h"
#include "cli/create_args.h"
#include "cli/escape.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "drive/convert.h"
#include "drive/snapshot.h"
#include "format/format.h"
#include "mount/process.h"
#include "mount/served.h"

enum kind { KIND_ARCHIVE, KIND_RAW, KIND_STREAM };

struct work {
    const struct args *args;
    const char *from, *to; /* operands */
    enum kind source_kind, target_kind;
    bool device;           /* the target is a block device */
    char source[PATH_MAX]; /* the archive, the snapshot, or the file */
    uint64_t total;        /* of a stream */
    enum progress_how how;
    struct index index; /* of an archive that is made */
    struct covers_source covers;
    struct convert_end *in, *out;
    struct convert_result result;
    int64_t began; /* ms */
};

/* --- interrupting -------------------------------------------------------------------------------
 */

static atomic_bool stop;
static atomic_int stopped_by;

static void on_signal(int sig)
{
    atomic_store(&stopped_by, sig);
    atomic_store(&stop, true);
}

/* What cannot be gone on with may as well be killed. */
static void listen_to_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static void die_of_signal(void)
{
    int sig = atomic_load(&stopped_by);

    log_error("interrupted; run the same command again to go on");
    signal(sig, SIG_DFL);
    raise(sig);
}

/* --- what is asked for --------------------------------------------------------------------------
 */

static bool is_dash(const char *operand)
{
    return strcmp(operand, "-") == 0;
}

static bool is_kind(const char *path, mode_t kind)
{
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

static int check_total(struct work *work)
{
    const char *text = opt_value(work->args, "total");
    bool stream = work->source_kind == KIND_STREAM;

    if (!stream && text)
        return opt_usage_error(work->args->command,
                               "--total is for standard input, unless that is a file");
    if (!stream)
        return 0;
    if (!text)
        return opt_usage_error(work->args->command,
                               "standard input is not a file: give its size with --total");
    if (parse_size(text, &work->total) || !work->total ||
        work->total > FORMAT_SIZE_MAX - FORMAT_SECTOR)
        return opt_usage_error(work->args->command,
                               "--total: '%s' is not a number of bytes, optionally followed by K, "
                               "M, G, T or P, such as 64K",
                               text);
    return 0;
}

static int check_target(const struct work *work)
{
    static const char *const archive_only[] = {"size", "layout", "cover", "cover-max"};
    const struct args *args = work->args;
    char name[OPT_NAME];

    for (size_t i = 0; work->target_kind != KIND_ARCHIVE && i < ARRAY_LEN(archive_only); i++)
        if (opt_given(args, archive_only[i])) {
            opt_name(args->command, archive_only[i], name);
            return opt_usage_error(args->command, "%s is for a new archive, and '%s' is to be raw",
                                   name, work->to);
        }
    if (work->target_kind == KIND_STREAM && opt_given(args, "json"))
        return opt_usage_error(args->command, "--json: standard output takes the image");
    if (opt_given(args, "overwrite") && !work->device)
        return opt_usage_error(args->command, "--overwrite is for a block device, and '%s' is none",
                               work->to);
    return 0;
}

/* 0 or an exit code. */
static int check(struct work *work)
{
    const struct args *args = work->args;
    int rc = progress_option(args, &work->how);

    work->from = args->operands[0];
    work->to = args->operands[1];
    if (is_dash(work->from) && opt_given(args, "snapshot"))
        return opt_usage_error(args->command, "--snapshot is for an archive");
    work->source_kind = !is_dash(work->from)      ? KIND_RAW /* until it is looked at */
                        : convert_stream_is_raw() ? KIND_RAW
                                                  : KIND_STREAM;
    work->device = !is_dash(work->to) && is_kind(work->to, S_IFBLK);
    work->target_kind = is_dash(work->to)                        ? KIND_STREAM
                        : work->device || opt_given(args, "raw") ? KIND_RAW
                                                                 : KIND_ARCHIVE;
    if (!rc)
        rc = check_total(work);
    if (!rc)
        rc = check_target(work);
    if (!rc)
        rc = cover_check_options(args, "cover", &work->covers);
    return rc;
}

/* --- the source ---------------------------------------------------------------------------------
 */

/* What is mounted there stands for its archive. */
static int resolve_mounted(struct work *work)
{
    struct archive archive = {.dirfd = -1};
    struct served served;
    struct mounts mounts;
    bool mounted;
    int rc = mounts_own(&mounts);

    if (rc)
        return rc;
    mounted = mounts_at(&mounts, work->from) != NULL;
    mounts_release(&mounts);
    snprintf(work->source, sizeof(work->source), "%s", work->from);
    if (!mounted)
        return 0;
    rc = served_open(&served, work->from, archive_open_dir, &archive);
    if (!rc)
        strcpy(work->source, archive.path);
    archive_close(&archive);
    served_release(&served);
    return rc;
}

static int resolve_snapshot(struct work *work)
{
    struct archive archive;
    int rc = archive_open_dir(work->source, &archive);

    if (!rc)
        rc = snapshot_path(&archive, opt_value(work->args, "snapshot"), work->source);
    archive_close(&archive);
    return rc;
}

static int open_source(struct work *work)
{
    const char *to = is_dash(work->to) ? NULL : work->to;
    int rc = 0;

    if (is_dash(work->from)) {
        rc = convert_apart(NULL, to);
        if (rc)
            return rc;
        return work->source_kind == KIND_STREAM
                   ? convert_stream_source(work->total, &work->in)
                   : convert_raw_source("standard input", STDIN_FILENO, &work->in);
    }
    rc = resolve_mounted(work);
    if (!rc && opt_given(work->args, "snapshot"))
        rc = resolve_snapshot(work);
    if (!rc)
        rc = convert_apart(work->source, to);
    if (rc)
        return rc;
    if (is_kind(work->source, S_IFDIR))
        work->source_kind = KIND_ARCHIVE;
    return work->source_kind == KIND_ARCHIVE ? convert_archive_source(work->source, &work->in)
                                             : convert_raw_source(work->source, -1, &work->in);
}

/* --- the target ---------------------------------------------------------------------------------
 */

/* What an archive of the source's kind is when it is made anew: format 1 is no more. */
static const struct layout *usual_layout(const struct index *index)
{
    if (!index)
        return &layout_plain;
    if (index->layout == &layout_bundle)
        return &layout_bundle;
    return index->layout->head == LAYOUT_BARE ? &layout_plain : &layout_jpeg;
}

/* 0 or an exit code. */
static int plan_archive(struct work *work)
{
    const struct index *index = convert_index(work->in);
    struct index *new = &work->index;
    int rc = create_args_layout(work->args, usual_layout(index), &new->layout);

    if (!rc)
        rc = create_args_fit(work->args, new->layout, convert_size(work->in),
                             index ? index->geometry.tile_size : 0, &new->geometry);
    if (!rc && work->covers.path[0])
        rc = cover_check_all(&work->covers);
    if (rc)
        return rc;
    new->format = new->layout == &layout_bundle ? FORMAT_FOREIGN : FORMAT_CURRENT;
    if (new->format == FORMAT_CURRENT)
        rc = hash_uuid(new->uuid);
    if (rc)
        log_error("cannot create a random identifier: %s", strerror(-rc));
    return rc ? CLI_FAILED : 0;
}

static int open_archive(struct work *work)
{
    unsigned max_open;
    int rc = process_open_limit(&max_open);

    (void)process_file_limit();
    if (!rc)
        rc = convert_archive_target(work->to, &work->index, &work->covers, max_open, work->in,
                                    &work->out);
    if (!rc)
        create_args_check_name(work->to, work->index.layout);
    return rc;
}

static int open_device(struct work *work)
{
    if (opt_given(work->args, "overwrite"))
        return convert_raw_device(work->to, work->in, &work->out);
    log_error("'%s' is a block device: all that is on it would be lost", work->to);
    log_note("--overwrite does that");
    return -EEXIST;
}

static int open_stream(struct work *work)
{
    if (!isatty(STDOUT_FILENO))
        return convert_stream_target(work->in, &work->out);
    log_error("standard output is a terminal; an image is not printed there");
    return -EINVAL;
}

static int open_target(struct work *work)
{
    if (work->target_kind == KIND_ARCHIVE)
        return open_archive(work);
    if (work->target_kind == KIND_STREAM)
        return open_stream(work);
    (void)process_file_limit();
    return work->device ? open_device(work) : convert_raw_file(work->to, work->in, &work->out);
}

/* --- the report ---------------------------------------------------------------------------------
 */

static int64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void print_text(const struct work *work)
{
    const struct convert_result *result = &work->result;
    char size[PARSE_SIZE_TEXT], copied[PARSE_SIZE_TEXT], cloned[PARSE_SIZE_TEXT];

    parse_size_text(convert_size(work->in), size);
    parse_size_text(result->copied, copied);
    parse_size_text(result->cloned, cloned);
    fputs("converted '", stdout);
    escape_print(work->from, stdout);
    fputs("' to '", stdout);
    escape_print(work->to, stdout);
    printf("': %s", size);
    if (work->target_kind == KIND_ARCHIVE) {
        parse_size_text(work->index.geometry.tile_size, size);
        printf(" in tiles of %s", size);
    }
    printf("; %s copied and checked, %s shared, in %.1f s\n", copied, cloned,
           (double)(now_ms() - work->began) / 1000);
}

static int print_json(const struct work *work)
{
    const struct convert_result *result = &work->result;
    struct json_object *json;
    int rc = json_begin(&json);

    if (rc)
        return json_complain(rc);
    json_add_text(json, "source", work->from);
    json_add_text(json, "destination", work->to);
    json_add_number(json, "size", convert_size(work->in));
    if (work->target_kind == KIND_ARCHIVE) {
        json_add_text(json, "layout", work->index.layout->name);
        json_add_number(json, "tile_size", work->index.geometry.tile_size);
        json_add_number(json, "tiles", result->tiles);
    }
    json_add_number(json, "bytes_resumed", result->resumed);
    json_add_number(json, "bytes_copied", result->copied);
    json_add_number(json, "bytes_cloned", result->cloned);
    json_add_number(json, "elapsed_ms", (uint64_t)(now_ms() - work->began));
    return json_complain(json_end(json, stdout));
}

/* --- all ----------------------------------------------------------------------------------------
 */

static void show(void *arg, uint64_t done, uint64_t size)
{
    progress_at(arg, done, size);
}

static int convert(struct work *work)
{
    struct progress progress;
    const struct convert_config config = {show, &progress, &stop};
    int rc;

    if (work->out && convert_resumes(work->in, work->out))
        listen_to_signals();
    progress_begin(&progress, work->how, "convert", PROGRESS_BYTES);
    rc = convert_run(work->in, work->out, &config, &work->result);
    progress_end(&progress);
    return rc;
}

static int report(const struct work *work)
{
    if (opt_given(work->args, "json"))
        return print_json(work);
    if (work->target_kind != KIND_STREAM)
        print_text(work);
    return 0;
}

static int run(const struct args *args)
{
    struct work work = {.args = args, .began = now_ms()};
    int usage = check(&work);
    int rc, closed;

    if (usage)
        return usage;
    rc = open_source(&work);
    if (!rc && work.target_kind == KIND_ARCHIVE)
        usage = plan_archive(&work);
    if (!rc && !usage)
        rc = open_target(&work);
    if (!rc && !usage)
        rc = convert(&work);
    closed = convert_close(work.out);
    if (!rc && !usage && !closed)
        rc = report(&work);
    (void)convert_close(work.in);
    if (rc == -EINTR)
        die_of_signal();
    return usage ? usage : rc || closed ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"size", 's', "SIZE",
     "size of a tile (same as --tile-size; default: that of an\n"
     "archive SRC, else chosen to fit)"},
    {"layout", 0, "NAME", "plain, jpeg or sparsebundle (default: that of SRC, or plain)"},
    {"cover", 0, "FILE|DIR",
     "make tiles JPEG pictures that show FILE, or random\n"
     "pictures from DIR"},
    {"cover-max", 0, "SIZE", "maximum size of a picture (default: 1M)"},
    {"total", 0, "SIZE", "bytes on standard input, if that is not a file"},
    {"raw", 0, NULL, "make DST a raw file, not an archive"},
    {"overwrite", 0, NULL, "DST is a block device, and what it holds may be lost"},
    {"snapshot", 0, "NAME", "convert that snapshot of SRC"},
    PROGRESS_OPT,
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

static const struct opt_alias aliases[] = {
    {"tile-size", "size"},
    {0},
};

const struct command cmd_convert = {
    .name = "convert",
    .summary = "copy an image to another layout, tile size, or a raw file",
    .synopsis = "[-s SIZE] [--layout NAME] [--cover FILE|DIR] [--cover-max SIZE] [--total SIZE] "
                "[--raw] [--overwrite] [--snapshot NAME] [--progress HOW] [--json] SRC DST",
    .description = "Copies the image SRC to DST, which must not exist. SRC is an archive that is\n"
                   "not mounted for writing, a raw file, a block device, or '-', standard input.\n"
                   "DST is a new archive or, with --raw, a raw file; a block device and '-',\n"
                   "standard output, are always raw.\n"
                   "What was written is read back and compared. Interrupted, the same command\n"
                   "goes on where it stopped.\n",
    .opts = opts,
    .aliases = aliases,
    .operands = {"SRC", "DST"},
    .required = 2,
    .run = run,
};
