/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Looks at the arguments and the covers, before there is a trace of us. What mount does
 * then, and in which order, stands in mount/daemon.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/cover_check.h"
#include "cli/mount_args.h"
#include "drive/snapshot.h"
#include "mount/daemon.h"
#include "mount/mountpoint.h"
#include "mount/process.h"

#define FUSE_CONF "/etc/fuse.conf"

struct plan {
    const char *archive;
    char snapshot[PATH_MAX]; /* the directory of the one that is to be mounted */
    char mountpoint[PATH_MAX];
    struct mount_args mount;
    struct covers_source covers; /* that were given; path "": none */
    bool logging;                /* to a file of the user's choice */
    bool accept;                 /* a copy that is not complete */
};

/* False when /etc/fuse.conf does not let users pass allow_root and allow_other. */
static bool sharing_allowed(void)
{
    FILE *f = fopen(FUSE_CONF, "re");
    bool allowed = !f && errno != ENOENT; /* then fusermount3 is to judge */
    char line[256], word[32];

    while (f && !allowed && fgets(line, sizeof(line), f))
        allowed = sscanf(line, " %31s", word) == 1 && strcmp(word, "user_allow_other") == 0;
    if (f)
        fclose(f);
    return allowed;
}

/* Users other than root need leave to share. 0 or an exit code. */
static int check_sharing(const struct plan *plan, const char *path)
{
    if (geteuid() == 0 || !plan->mount.shared || sharing_allowed())
        return 0;
    log_error("cannot mount on '%s' with allow_root or allow_other: " FUSE_CONF
              " does not permit it",
              path);
    log_note("ask root to write the line 'user_allow_other' into " FUSE_CONF);
    return CLI_FAILED;
}

static int open_log(struct plan *plan, const char *path)
{
    int rc = log_open(path);

    plan->logging = true;
    if (rc)
        log_error("cannot open log '%s': %s", path, strerror(-rc));
    return rc ? CLI_FAILED : 0;
}

/* Before there is a trace of us. A path that does not resolve is told when it is opened. */
static int check_place(const struct plan *plan)
{
    char path[PATH_MAX];
    size_t len;

    if (!realpath(plan->archive, path))
        return 0;
    len = strlen(path);
    if (strncmp(plan->mountpoint, path, len) != 0 || plan->mountpoint[len] != '/')
        return 0;
    log_error("cannot mount on '%s': that is inside the archive", plan->mountpoint);
    return CLI_FAILED;
}

/* A snapshot is an archive, which nobody changes. */
static int find_snapshot(struct plan *plan, const char *name)
{
    struct archive archive;
    int rc = archive_open_dir(plan->archive, &archive);

    if (!rc)
        rc = snapshot_path(&archive, name, plan->snapshot);
    archive_close(&archive);
    plan->archive = plan->snapshot;
    plan->mount.read_only = true;
    return rc ? CLI_FAILED : 0;
}

static int make_plan(struct plan *plan, const struct args *args)
{
    int rc;

    *plan = (struct plan){.archive = args->operands[0], .accept = opt_given(args, "accept")};
    rc = mount_args_collect(&plan->mount, args);
    if (!rc && opt_given(args, "snapshot"))
        rc = find_snapshot(plan, opt_value(args, "snapshot"));
    if (plan->mount.debug)
        log_debug_on();
    if (!rc)
        rc = cover_check_options(args, "cover", &plan->covers);
    if (!rc && plan->covers.path[0] && plan->mount.read_only)
        rc = opt_usage_error(args->command,
                             "--cover is for new tiles, and a read-only mount creates none");
    if (!rc)
        rc = check_sharing(plan, args->operands[1]);
    if (!rc && mountpoint_resolve(args->operands[1], plan->mountpoint))
        rc = CLI_FAILED;
    if (!rc && opt_given(args, "log"))
        rc = open_log(plan, opt_value(args, "log"));
    if (!rc)
        rc = check_place(plan);
    if (!rc && plan->covers.path[0])
        rc = cover_check_all(&plan->covers);
    return rc;
}

static int run_daemon(const struct plan *plan)
{
    const struct daemon_config config = {
        .archive = plan->archive,
        .mountpoint = plan->mountpoint,
        .read_only = plan->mount.read_only,
        .accept = plan->accept,
        .covers = &plan->covers,
        .fuse_args = plan->mount.words,
        .io_uring = plan->mount.io_uring,
        .wait = plan->mount.wait,
        .wait_seconds = plan->mount.wait_seconds,
        .log_detached = plan->logging,
    };
    int rc = plan->mount.foreground ? daemon_serve(&config) : daemon_start(&config);

    if (!rc && !plan->mount.foreground && geteuid() != 0 && !plan->mount.shared)
        log_note("only you can open '%s'; for a loop device, which needs root, mount it with "
                 "'-o allow_root'",
                 plan->mountpoint);
    return rc == -EINVAL ? CLI_USAGE : rc ? CLI_FAILED : CLI_DONE;
}

static int run(const struct args *args)
{
    struct plan plan;
    int rc;

    process_begin();
    rc = make_plan(&plan, args);
    if (!rc)
        rc = run_daemon(&plan);
    mount_args_release(&plan.mount);
    return rc;
}

static const struct opt opts[] = {
    {"read-only", 'r', NULL,
     "mount read-only, leaving the archive untouched;\n"
     "other read-only mounts may exist"},
    {"snapshot", 0, "NAME", "mount that snapshot of ARCHIVE, read-only"},
    {"accept", 0, NULL, "use a copy whose files do not belong together, as it is"},
    {"foreground", 'f', NULL,
     "stay in the foreground until it is unmounted; log to\n"
     "stderr, or to --log FILE"},
    {"options", 'o', "OPT,OPT", "mount options, e.g. ro, allow_root, allow_other"},
    {"fuse", 0, "ARGS", "arguments for libfuse, e.g. --fuse=\"-o allow_root\""},
    {"on-full", 0, "WHAT",
     "when there is no space, writes 'wait' (the default),\n"
     "'wait:SECONDS', or fail: 'error'"},
    {"cover", 0, "FILE|DIR",
     "show FILE, or random pictures from DIR, in new tiles\n"
     "from now on; for archives created with\n"
     "'create --cover'"},
    {"cover-max", 0, "SIZE", "maximum size of a picture (default: 1M)"},
    {"log", 0, "FILE", "append log lines to FILE instead of syslog"},
    {"debug", 0, NULL, "log more"},
    {0},
};

const struct command cmd_mount = {
    .name = "mount",
    .summary = "present an archive as one file of fixed size",
    .synopsis =
        "[-r] [--snapshot NAME] [--accept] [-f] [-o OPT,OPT] [--fuse=\"ARGS\"] [--on-full=WHAT] "
        "[--cover FILE|DIR] "
        "[--cover-max SIZE] [--log FILE] [--debug] ARCHIVE PATH",
    .description = "Mounts ARCHIVE as the file PATH and returns when it can be used. PATH is an\n"
                   "empty file, or is created, and removed again at unmount. Attach it to a loop\n"
                   "device with 'losetup --find --show --direct-io=on PATH'.\n",
    .opts = opts,
    .operands = {"ARCHIVE", "PATH"},
    .required = 2,
    .run = run,
};
