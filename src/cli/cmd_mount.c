/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order: look at the arguments, make the daemon's process, and in it: start the
 * janitor, open the archive, take its lock (and that of a Mac), prepare the mount point,
 * open the image, mount, confine ourselves, serve. The lock comes before the mount point
 * because the daemon before us removes its own mount point while it holds the
 * lock. Back in reverse: flush and close the image, have the mount point
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

#include "base/io.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/confine.h"
#include "cli/cover_check.h"
#include "cli/mount_args.h"
#include "cli/mountpoint.h"
#include "cli/process.h"
#include "front/fuse.h"
#include "front/janitor.h"
#include "front/unmount.h"
#include "image/image.h"
#include "store/archive.h"
#include "store/covers.h"
#include "store/dir.h"
#include "store/maclock.h"
#include "store/owner.h"

#define FUSE_CONF "/etc/fuse.conf"

struct plan {
    const char *archive;
    char mountpoint[PATH_MAX];
    struct mount_args mount;
    struct covers_source covers; /* that were given; path "": none */
    bool logging;                /* to a file of the user's choice */
    bool keep_record; /* of the lock: the next writer must know that data may be missing */
    int ready_fd;     /* the parent listens at the other end; -1: nobody does */
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

/* With image, mount point and session in hand. mountpoint_fd keeps others away until mounted. */
static int serve_mounted(struct plan *plan, const struct archive *archive, struct fuse_front *front,
                         struct image *img, int mountpoint_fd)
{
    uint64_t mount_id;
    int rc = fuse_front_mount(front, plan->mountpoint);

    close(mountpoint_fd);
    if (rc)
        return CLI_FAILED;
    if (unmount_top_id(plan->mountpoint, &mount_id))
        mount_id = 0;
    process_harden();
    confine_enter(archive->dirfd, covers_fd(archive->covers), plan->mount.read_only,
                  fuse_front_rings(front));
    rc = fuse_front_run(front, img, on_ready, plan);
    if (rc)
        detach(plan, mount_id);
    return rc ? CLI_FAILED : CLI_DONE;
}

/* For new tiles that are pictures. 0 or -errno, logged. */
static int open_covers(struct plan *plan, struct archive *archive)
{
    int rc;

    if (plan->mount.read_only || archive->index.layout->head == LAYOUT_BARE)
        return 0;
    rc = plan->covers.path[0] ? covers_source_remember(archive, &plan->covers)
                              : covers_source_recall(archive, &plan->covers);
    return rc ? rc : covers_open(archive, &plan->covers, &archive->covers);
}

/* With the lock and the mount point in hand. Closes mountpoint_fd. */
static int serve_image(struct plan *plan, struct archive *archive, struct fuse_front *front,
                       int mountpoint_fd)
{
    struct store *store;
    struct image *img;
    int rc = open_covers(plan, archive);

    if (rc) {
        close(mountpoint_fd);
        return CLI_FAILED;
    }
    rc = dir_open(archive, plan->mount.read_only, process_open_limit(), &store);

    if (!rc)
        rc = image_open(store, plan->mount.read_only, &img);
    if (rc) {
        log_error("cannot open archive '%s': %s", archive->path, strerror(-rc));
        close(mountpoint_fd);
        return CLI_FAILED;
    }
    rc = serve_mounted(plan, archive, front, img, mountpoint_fd);
    if (image_close(img)) {
        plan->keep_record = true;
        return CLI_FAILED; /* logged */
    }
    log_debug("'%s' is unmounted and all of it on disk", plan->mountpoint);
    return rc;
}

/* With the lock in hand. Frees front. */
static int serve_locked(struct plan *plan, struct archive *archive, struct fuse_front *front,
                        struct owner *owner, const struct record *previous)
{
    bool made = false;
    int rc = CLI_FAILED;
    int fd;

    if (!mountpoint_prepare(plan->mountpoint, &made, &fd)) {
        /* One that a killed daemon made and could not remove is ours to remove. */
        made = made ||
               (previous->made_mountpoint && strcmp(previous->mountpoint, plan->mountpoint) == 0);
        if (made && !plan->mount.read_only && owner_made_mountpoint(owner))
            close(fd);
        else
            rc = serve_image(plan, archive, front, fd);
    }
    fuse_front_free(front);
    if (made && janitor_remove())
        log_warn("cannot remove the mount point '%s': the process that was to do it has died",
                 plan->mountpoint);
    return rc;
}

static int new_front(const struct plan *plan, const struct archive *archive,
                     struct fuse_front **front)
{
    struct fuse_front_config config = {
        .source = archive->path,
        .args = plan->mount.words,
        .read_only = plan->mount.read_only,
        .io_uring = plan->mount.io_uring,
        .wait = plan->mount.wait,
        .wait_seconds = plan->mount.wait_seconds,
    };
    struct stat st;
    int rc;

    /* Who may read and write the archive may read and write the drive. */
    if (fstat(archive->dirfd, &st)) {
        log_error("cannot look at '%s': %s", archive->path, strerror(errno));
        return CLI_FAILED;
    }
    config.uid = st.st_uid;
    config.gid = st.st_gid;
    config.mode = st.st_mode & (plan->mount.read_only ? 0444 : 0666);
    rc = fuse_front_new(&config, front);
    return rc == -EINVAL ? CLI_USAGE : rc ? CLI_FAILED : 0;
}

static int refuse_covers(const struct archive *archive)
{
    log_error("cannot use covers for archive '%s': %s", archive->path,
              archive->index.layout->head == LAYOUT_BARE
                  ? "its tiles are no pictures"
                  : "all of its tiles show the same picture, and new ones have to show it, too");
    log_note("mount it without --cover; 'mosaicfs create --cover' makes an archive of pictures");
    return CLI_FAILED;
}

/* May take long, and who interrupts that reaches the parent only. */
static int check_covers(struct plan *plan, const struct archive *archive)
{
    int rc;

    if (archive->index.layout->head != LAYOUT_PICTURE)
        return refuse_covers(archive);
    process_follow_parent(plan->ready_fd >= 0);
    rc = cover_check_all(&plan->covers);
    process_follow_parent(false);
    return rc;
}

/* What stands against mounting this archive there, as far as one can see beforehand. */
static int check_archive(struct plan *plan, const struct archive *archive)
{
    size_t len = strlen(archive->path);

    if (strncmp(plan->mountpoint, archive->path, len) == 0 && plan->mountpoint[len] == '/') {
        log_error("cannot mount on '%s': that is inside the archive", plan->mountpoint);
        return CLI_FAILED;
    }
    return plan->covers.path[0] ? check_covers(plan, archive) : 0;
}

/*
 * The archive's lock and, of a sparse bundle, that of a Mac. What a Mac uses is
 * mounted read-only. 0 or an exit code, then with nothing taken.
 */
static int take_locks(struct plan *plan, const struct archive *archive, struct owner *owner,
                      struct maclock *maclock, struct record *previous)
{
    int rc = owner_take(owner, archive, plan->mountpoint, plan->mount.read_only, previous);

    if (rc)
        return CLI_FAILED;
    if (plan->mount.read_only)
        return 0;
    rc = maclock_take(maclock, archive);
    if (!rc)
        return 0;
    owner_drop(owner);
    if (rc != -EBUSY)
        return CLI_FAILED;
    log_warn("'%s' is in use by another program, such as a Mac: it is mounted read-only, and may "
             "change meanwhile",
             archive->path);
    plan->mount.read_only = true;
    return owner_take(owner, archive, plan->mountpoint, true, previous) ? CLI_FAILED : 0;
}

/* With the locks in hand. */
static int serve_taken(struct plan *plan, struct archive *archive, struct owner *owner,
                       const struct record *previous)
{
    struct fuse_front *front;
    int rc = new_front(plan, archive, &front);

    if (rc)
        return rc;
    (void)!chdir("/"); /* stay out of the way of whoever wants to unmount the place */
    return serve_locked(plan, archive, front, owner, previous);
}

/* The daemon with its janitor. */
static int serve_archive(struct plan *plan)
{
    struct maclock maclock = MACLOCK_NONE;
    struct archive archive;
    struct record previous;
    struct owner owner;
    int rc;

    if (archive_open(plan->archive, &archive))
        return CLI_FAILED;
    rc = check_archive(plan, &archive);
    if (!rc)
        rc = take_locks(plan, &archive, &owner, &maclock, &previous);
    if (!rc) {
        rc = serve_taken(plan, &archive, &owner, &previous);
        maclock_drop(&maclock);
        if (!plan->keep_record)
            owner_drop(&owner);
    }
    archive_close(&archive);
    return rc;
}

/* All of the daemon. Returns its exit code. */
static int serve(struct plan *plan)
{
    int rc = janitor_start(plan->mountpoint, mountpoint_remove);

    if (rc) {
        log_error("cannot start the process that is to unmount '%s': %s", plan->mountpoint,
                  strerror(-rc));
        return CLI_FAILED;
    }
    rc = serve_archive(plan);
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
                log_note("only you can open '%s', not even root; for a loop device mount it with "
                         "--fuse=\"-o allow_root\", which needs the line 'user_allow_other' "
                         "in " FUSE_CONF,
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
