/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order: look at the arguments and the covers, make the daemon's process, and in it: start
 * the janitor, open the drive (drive/drive.c), prepare the mount point, mount, confine
 * ourselves, serve. Back in reverse: flush and close the image, have the mount point
 * removed, drop the lock, end.
 *
 * The parent waits for one byte from the child, sent when the kernel has said
 * hello, and ends with the child's exit code if it ends instead.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/cover_check.h"
#include "cli/mount_args.h"
#include "drive/drive.h"
#include "front/fuse.h"
#include "front/janitor.h"
#include "front/unmount.h"
#include "mount/confine.h"
#include "mount/mountpoint.h"
#include "mount/process.h"

#define FUSE_CONF "/etc/fuse.conf"

struct plan {
    const char *archive;
    char mountpoint[PATH_MAX];
    struct mount_args mount;
    struct covers_source covers; /* that were given; path "": none */
    bool logging;                /* to a file of the user's choice */
    int ready_fd;                /* the parent listens at the other end; -1: nobody does */
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

static int make_plan(struct plan *plan, const struct args *args)
{
    int rc;

    *plan = (struct plan){.archive = args->operands[0], .ready_fd = -1};
    rc = mount_args_collect(&plan->mount, args);
    if (plan->mount.debug)
        log_debug_on();
    if (!rc)
        rc = cover_check_options(args, "cover", &plan->covers);
    if (!rc && plan->covers.path[0] && plan->mount.read_only)
        rc = opt_usage_error(args->command, "--cover is for new tiles, and a read-only mount makes "
                                            "none");
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

static void on_ready(void *arg)
{
    const struct plan *plan = arg;

    if (plan->ready_fd < 0) {
        if (plan->logging)
            log_detach();
        return;
    }
    process_detach();
    /* With the parent gone, the user has given up: so do we. */
    if (io_write(plan->ready_fd, "", 1))
        kill(getpid(), SIGTERM);
    close(plan->ready_fd);
    log_debug("'%s' is mounted on '%s'", plan->archive, plan->mountpoint);
}

/*
 * libfuse takes a mount away that cannot be served any more, but may not once
 * we are confined. mount_id is that of our mount, 0 when not known.
 */
static void detach(const struct plan *plan, uint64_t mount_id)
{
    char why[UNMOUNT_WHY];
    uint64_t top;

    if (!mount_id || unmount_top_id(plan->mountpoint, &top) || top != mount_id)
        return;
    if (janitor_unmount(plan->mountpoint, true, why))
        log_error("cannot unmount '%s': %s", plan->mountpoint, why);
}

/* Serves until it is unmounted. mountpoint_fd keeps others away until mounted, and is closed. */
static int serve_mounted(struct plan *plan, struct drive *drive, struct fuse_front *front,
                         int mountpoint_fd)
{
    uint64_t mount_id;
    int rc = fuse_front_mount(front, plan->mountpoint);

    close(mountpoint_fd);
    if (rc)
        return CLI_FAILED;
    if (unmount_top_id(plan->mountpoint, &mount_id))
        mount_id = 0;
    process_harden();
    confine_enter(drive->archive.dirfd, covers_fd(drive->covers), drive->read_only,
                  fuse_front_rings(front));
    rc = log_queue();
    if (rc)
        log_error("cannot start a thread: %s", strerror(-rc));
    else
        rc = fuse_front_run(front, drive->img, on_ready, plan);
    if (rc)
        detach(plan, mount_id);
    return rc ? CLI_FAILED : CLI_DONE;
}

static int new_front(const struct plan *plan, const struct drive *drive, struct fuse_front **front)
{
    struct fuse_front_config config = {
        .source = drive->archive.path,
        .archive_fd = drive->archive.dirfd,
        .args = plan->mount.words,
        .read_only = drive->read_only,
        .io_uring = plan->mount.io_uring,
        .wait = plan->mount.wait,
        .wait_seconds = plan->mount.wait_seconds,
    };
    struct stat st;
    int rc;

    /* Who may read and write the archive may read and write the drive. */
    if (fstat(drive->archive.dirfd, &st)) {
        log_error("cannot look at '%s': %s", drive->archive.path, strerror(errno));
        return CLI_FAILED;
    }
    config.uid = st.st_uid;
    config.gid = st.st_gid;
    config.mode = st.st_mode & (drive->read_only ? 0444 : 0666);
    rc = fuse_front_new(&config, front);
    return rc == -EINVAL ? CLI_USAGE : rc ? CLI_FAILED : 0;
}

/*
 * Gets the mount point ready; *made: it goes at the end. The lock is held, for the
 * daemon before us removes its own mount point while it holds it.
 */
static int prepare_mountpoint(const struct plan *plan, struct drive *drive, bool *made, int *fd)
{
    const struct record *previous = &drive->owner.previous;

    if (mountpoint_prepare(plan->mountpoint, made, fd))
        return CLI_FAILED;
    /* One that a killed daemon made and could not remove is ours to remove. */
    *made =
        *made || (previous->made_mountpoint && strcmp(previous->mountpoint, plan->mountpoint) == 0);
    if (!*made || drive->read_only || owner_made_mountpoint(&drive->owner) == 0)
        return 0;
    close(*fd);
    return CLI_FAILED;
}

/*
 * A tile that cannot become whole would be an error deep in the file system above,
 * much later. Read-only, no tile grows.
 */
static int check_sizes(const struct drive *drive)
{
    const struct archive *archive = &drive->archive;
    uint64_t len = archive->head + geometry_tile_len(&archive->index.geometry, 0);
    const char *what = NULL;
    char text[PARSE_SIZE_TEXT];
    int fd;

    if (drive->read_only)
        return 0;
    if (process_file_limit() < len)
        what = "the limit of a file's size (ulimit -f, LimitFSIZE=)";
    else if (io_open_file(archive->dirfd, archive->index.layout->index, O_RDONLY, &fd) == 0) {
        what = fs_holds(fd, len) ? NULL : "the largest file that its file system can hold";
        close(fd);
    }
    if (!what)
        return 0;
    parse_size_text(len, text);
    log_error("cannot mount '%s' for writing: a tile of %s is more than %s", archive->path, text,
              what);
    log_note("raise the limit, use another file system, or mount it with --read-only");
    return CLI_FAILED;
}

/* With the drive open: until the mount point has gone again and all is flushed. */
static int serve_drive(struct plan *plan, struct drive *drive)
{
    struct fuse_front *front = NULL;
    bool made = false;
    int rc = check_sizes(drive), fd;

    if (!rc)
        rc = new_front(plan, drive, &front);
    (void)!chdir("/"); /* stay out of the way of whoever wants to unmount the place */
    if (!rc)
        rc = prepare_mountpoint(plan, drive, &made, &fd);
    if (!rc)
        rc = serve_mounted(plan, drive, front, fd);
    if (drive_finish(drive))
        rc = CLI_FAILED; /* logged */
    else
        log_debug("'%s' is unmounted and all of it on disk", plan->mountpoint);
    fuse_front_free(front);
    if (made && janitor_remove())
        log_warn("cannot remove the mount point '%s': the process that was to do it has died",
                 plan->mountpoint);
    return rc;
}

/* All of the daemon. Returns its exit code. */
static int serve(struct plan *plan)
{
    struct drive_config config = {
        .path = plan->archive,
        .mountpoint = plan->mountpoint,
        .reach = DRIVE_IMAGE,
        .read_only = plan->mount.read_only,
        .yield = true,
        .covers = &plan->covers,
    };
    struct drive drive;
    int rc;

    if (process_open_limit(&config.max_open))
        return CLI_FAILED;
    rc = janitor_start(plan->mountpoint, mountpoint_remove);
    if (rc) {
        log_error("cannot start the process that is to unmount '%s': %s", plan->mountpoint,
                  strerror(-rc));
        return CLI_FAILED;
    }
    rc = drive_open(&drive, &config) ? CLI_FAILED : 0;
    if (!rc) {
        rc = serve_drive(plan, &drive);
        (void)drive_close(&drive);
    }
    janitor_stop();
    return rc;
}

/* Waits until the child is ready or has ended. Returns the exit code. */
static int await_ready(const struct plan *plan, int fd, pid_t child)
{
    struct statx st;
    int status;
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n == 1) {
        /* Without its size on disk, which the daemon may still be adding up. */
        if (statx(AT_FDCWD, plan->mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0) {
            if (geteuid() != 0 && !plan->mount.shared)
                log_note(
                    "only you can open '%s'; for a loop device, which needs root, mount it with "
                    "'-o allow_root'",
                    plan->mountpoint);
            return CLI_DONE;
        }
        log_error("'%s' is mounted, but cannot be looked at: %s", plan->mountpoint,
                  strerror(errno));
        return CLI_FAILED;
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return CLI_FAILED;
    if (WIFEXITED(status) && WEXITSTATUS(status))
        return WEXITSTATUS(status);
    if (WIFEXITED(status)) {
        log_error("cannot mount '%s': it was unmounted at once", plan->archive);
        return CLI_FAILED;
    }
    log_error("cannot mount '%s': the process that was to serve it died (%s)", plan->archive,
              strsignal(WTERMSIG(status)));
    return CLI_FAILED;
}

static int serve_in_background(struct plan *plan)
{
    int fds[2];
    pid_t child;
    int rc;

    if (pipe2(fds, O_CLOEXEC) || (child = fork()) < 0) {
        log_error("cannot start the process that is to serve '%s': %s", plan->archive,
                  strerror(errno));
        return CLI_FAILED;
    }
    if (child == 0) {
        close(fds[0]);
        setsid();
        plan->ready_fd = fds[1];
        exit(serve(plan));
    }
    close(fds[1]);
    rc = await_ready(plan, fds[0], child);
    close(fds[0]);
    return rc;
}

static int run(const struct args *args)
{
    struct plan plan;
    int rc;

    process_begin();
    rc = make_plan(&plan, args);
    if (!rc)
        rc = plan.mount.foreground ? serve(&plan) : serve_in_background(&plan);
    mount_args_release(&plan.mount);
    return rc;
}

static const struct opt opts[] = {
    {"read-only", 'r', NULL, "leave the archive untouched; others may read it, too"},
    {"foreground", 'f', NULL, "stay until it is unmounted; log to stderr, or to --log FILE"},
    {"options", 'o', "OPT,OPT", "mount options, e.g. ro, allow_root, allow_other"},
    {"fuse", 0, "ARGS", "arguments for libfuse, e.g. --fuse=\"-o allow_root\""},
    {"on-full", 0, "WHAT",
     "writes that find no space 'wait' for it (the default), 'wait:SECONDS'\nor fail: 'error'"},
    {"cover", 0, "FILE|DIR",
     "new tiles show this picture, or random ones out of DIR, from now on;\n"
     "for archives made with 'create --cover'"},
    {"cover-max", 0, "SIZE", "of a picture (default: 1M)"},
    {"log", 0, "FILE", "append log lines to FILE instead of syslog"},
    {"debug", 0, NULL, "log more"},
    {0},
};

const struct command cmd_mount = {
    .name = "mount",
    .summary = "present an archive as one file of fixed size",
    .synopsis = "[-r] [-f] [-o OPT,OPT] [--fuse=\"ARGS\"] [--on-full=WHAT] [--cover FILE|DIR] "
                "[--cover-max SIZE] [--log FILE] [--debug] ARCHIVE PATH",
    .description =
        "Mounts ARCHIVE as the file PATH and returns when it can be used. PATH is an empty\n"
        "file, or is made, and removed again at unmount. Attach it to a loop device with\n"
        "'losetup --find --show --direct-io=on PATH'.\n",
    .opts = opts,
    .operands = {"ARCHIVE", "PATH"},
    .required = 2,
    .run = run,
};
