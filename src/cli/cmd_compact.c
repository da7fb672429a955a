/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The compact command: its options, its progress, and its end. What is done stands in
 * image/image_compact.c. A signal lets it end after the step that is at work, which takes
 * milliseconds, and tell what was done until then.
 */
#include <errno.h>
#include <signal.h>

#include "archive/archive.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/compact_report.h"
#include "cli/json.h"
#include "cli/progress.h"
#include "mount/compacting.h"
#include "mount/served.h"

static volatile sig_atomic_t stopping;

static void stop(int sig)
{
    stopping = 1;
}

static bool is_stopped(void)
{
    return stopping;
}

/* What is ignored already stays so, as for 'nohup'. */
static void catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART}, old;

        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            (void)sigaction(signals[i], &action, NULL);
    }
}

static void show(void *arg, uint64_t done, uint64_t total)
{
    progress_at(arg, done, total);
}

static int report(const struct args *args, const struct archive *archive,
                  const struct compacting *compacting)
{
    const struct compact *compact = &compacting->compact;
    int rc = 0;

    if (opt_given(args, "json"))
        rc = compact_report_json(archive, compacting);
    else
        compact_report_text(archive, compacting);
    if (compact->stopped) {
        log_error("interrupted: the rest of '%s' is as it was", archive->path);
        log_note("run it again to go on");
    }
    if (compact->failed)
        log_note("'mosaicfs check --deep %s' reads all tiles", archive->path);
    return rc ? rc : compact->stopped || compact->failed ? -EINTR : 0;
}

static int with_archive(const struct args *args, enum progress_how how)
{
    struct archive archive = {.dirfd = -1};
    struct compacting *compacting = NULL;
    struct progress progress;
    const struct compacting_caller caller = {show, &progress, is_stopped};
    struct served served;
    int rc = served_open(&served, args->operands[0], archive_open, &archive);

    if (!rc) {
        catch_signals();
        progress_begin(&progress, how, "compact", PROGRESS_BYTES);
        rc = compacting_run(&served, &archive, opt_given(args, "dry-run"), &caller, &compacting);
        progress_end(&progress);
    }
    if (!rc)
        rc = report(args, &archive, compacting);
    compacting_free(compacting);
    archive_close(&archive);
    served_release(&served);
    return rc;
}

static int run(const struct args *args)
{
    enum progress_how how;
    int rc = progress_option(args, &how);

    if (rc)
        return rc;
    return with_archive(args, how) ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"dry-run", 'n', NULL, "change nothing, and show what would be freed"},
    PROGRESS_OPT,
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_compact = {
    .name = "compact",
    .summary = "free the space of zeros that are stored",
    .synopsis = "[-n] [--progress HOW] [--json] ARCHIVE|PATH",
    .description =
        "Frees the space of zeros that tiles store, removes tiles that hold nothing else,\n"
        "and prints what was freed, and what was not and why. The drive may be in use.\n"
        "Run 'fstrim' on its file system before, so that the space of deleted files is\n"
        "freed, too.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
