/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What mount does, in the order of daemon_serve():
 *
 *   1 the limit of descriptors
 *   2 the janitor (janitor.c), before anything is open and any thread runs
 *   3 the drive (drive/drive.c): its locks are held from here on
 *   4 what could go wrong later is asked now: how large tiles may become
 *   5 a session of libfuse, from its arguments
 *   6 the mount point: found empty, or made. With the lock in hand, for the daemon
 *     before us removes its own while it holds it
 *   7 the mount; signals wait from here on
 *   8 memory is locked, and the process confined (confine.c) to the archive
 *   9 threads: the log's, the signals', those that serve (front/fuse.c)
 *
 * Back in reverse: the image is flushed and closed, the mount point goes, the lock
 * goes, the janitor ends. Whatever fails on the way, all behind it is undone.
 *
 * daemon_start() does that in a child, which sends one byte when the kernel has said
 * hello. The parent waits for that, or for the child's end.
 */
#include "mount/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/parse.h"
#include "drive/drive.h"
#include "front/fuse.h"
#include "mount/confine.h"
#include "mount/janitor.h"
#include "mount/mountpoint.h"
#include "mount/process.h"
#include "mount/signals.h"
#include "mount/unmount.h"

struct daemon {
    const struct daemon_config *config;
    int ready_fd; /* the parent listens at the other end; -1: nobody does */
    struct drive drive;
    struct fuse_front *front;
    bool made_mountpoint; /* it goes at the end */
    int mountpoint_fd;    /* keeps others away until it is mounted; -1: closed */
    uint64_t mount_id;    /* of our mount, 0 when not known */
};

/* What is logged already; -EINVAL would be taken for arguments that libfuse does not know. */
static int failed(int rc)
{
    return rc ? -EIO : 0;
}

static int start_janitor(const struct daemon *d)
{
    int rc = janitor_start(d->config->mountpoint, mountpoint_remove);

    if (rc)
        log_error("cannot start the process that is to unmount '%s': %s", d->config->mountpoint,
                  strerror(-rc));
    return rc;
}

static int open_drive(struct daemon *d, unsigned max_open)
{
    struct drive_config config = {
        .path = d->config->archive,
        .mountpoint = d->config->mountpoint,
        .reach = DRIVE_IMAGE,
        .read_only = d->config->read_only,
        .accept = d->config->accept,
        .yield = true,
        .max_open = max_open,
        .covers = d->config->covers,
    };

    return failed(drive_open(&d->drive, &config));
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
    return -EFBIG;
}

/* Who may read and write the archive may read and write the drive. */
static int new_front(struct daemon *d)
{
    const struct archive *archive = &d->drive.archive;
    struct fuse_front_config config = {
        .source = archive->path,
        .archive_fd = archive->dirfd,
        .args = d->config->fuse_args,
        .read_only = d->drive.read_only,
        .io_uring = d->config->io_uring,
        .wait = d->config->wait,
        .wait_seconds = d->config->wait_seconds,
    };
    struct stat st;

    if (fstat(archive->dirfd, &st)) {
        log_error("cannot look at '%s': %s", archive->path, strerror(errno));
        return -EIO;
    }
    config.uid = st.st_uid;
    config.gid = st.st_gid;
    config.mode = st.st_mode & (d->drive.read_only ? 0444 : 0666);
    return fuse_front_new(&config, &d->front);
}

static int prepare_mountpoint(struct daemon *d)
{
    const struct record *previous = &d->drive.owner.previous;
    const char *path = d->config->mountpoint;

    (void)!chdir("/"); /* stay out of the way of whoever wants to unmount the place */
    if (mountpoint_prepare(path, &d->made_mountpoint, &d->mountpoint_fd))
        return -EIO;
    /* One that a killed daemon made and could not remove is ours to remove. */
    if (previous->made_mountpoint && strcmp(previous->mountpoint, path) == 0)
        d->made_mountpoint = true;
    if (d->made_mountpoint && !d->drive.read_only)
        return failed(owner_made_mountpoint(&d->drive.owner));
    return 0;
}

static void close_mountpoint(struct daemon *d)
{
    if (d->mountpoint_fd >= 0)
        close(d->mountpoint_fd);
    d->mountpoint_fd = -1;
}

static int mount_front(struct daemon *d)
{
    int rc;

    signals_block();
    rc = fuse_front_mount(d->front, d->config->mountpoint);
    close_mountpoint(d);
    if (!rc && unmount_top_id(d->config->mountpoint, &d->mount_id))
        d->mount_id = 0;
    return failed(rc);
}

static void confine(const struct daemon *d)
{
    process_harden();
    confine_enter(d->drive.archive.dirfd, covers_fd(d->drive.covers), d->drive.read_only,
                  fuse_front_rings(d->front));
}

static void on_ready(void *arg)
{
    const struct daemon *d = arg;

    if (d->ready_fd < 0) {
        if (d->config->log_detached)
            log_detach();
        return;
    }
    process_detach();
    /* With the parent gone, the user has given up: so do we. */
    if (io_write(d->ready_fd, "", 1))
        kill(getpid(), SIGTERM);
    close(d->ready_fd);
    log_debug("'%s' is mounted on '%s'", d->config->archive, d->config->mountpoint);
}

static int serve_requests(struct daemon *d)
{
    struct signals signals;
    int rc = log_queue();

    if (rc)
        log_error("cannot start a thread: %s", strerror(-rc));
    else
        rc = signals_start(&signals, d->config->mountpoint);
    if (rc)
        return failed(rc);
    rc = fuse_front_run(d->front, d->drive.img, on_ready, d);
    signals_stop(&signals);
    return failed(rc);
}

/*
 * libfuse takes a mount away that cannot be served any more, but may not once
 * we are confined.
 */
static void take_away(const struct daemon *d)
{
    char why[UNMOUNT_WHY];
    uint64_t top;

    if (!d->mount_id || unmount_top_id(d->config->mountpoint, &top) || top != d->mount_id)
        return;
    if (janitor_unmount(d->config->mountpoint, true, why))
        log_error("cannot unmount '%s': %s", d->config->mountpoint, why);
}

/* The drive is open; whatever came after that may have failed. */
static int close_drive(struct daemon *d)
{
    int rc = drive_finish(&d->drive); /* logged */

    if (!rc)
        log_debug("'%s' is unmounted and all of it on disk", d->config->mountpoint);
    fuse_front_free(d->front);
    if (d->made_mountpoint && janitor_remove())
        log_warn("cannot remove the mount point '%s': the process that was to do it has died",
                 d->config->mountpoint);
    (void)drive_close(&d->drive);
    return rc;
}

static int use_drive(struct daemon *d)
{
    int rc = check_sizes(&d->drive);

    if (!rc)
        rc = new_front(d);
    if (!rc)
        rc = prepare_mountpoint(d);
    if (!rc)
        rc = mount_front(d);
    close_mountpoint(d);
    if (rc)
        return rc;
    confine(d);
    rc = serve_requests(d);
    if (rc)
        take_away(d);
    return rc;
}

static int run_daemon(const struct daemon_config *config, int ready_fd)
{
    struct daemon d = {.config = config, .ready_fd = ready_fd, .mountpoint_fd = -1};
    unsigned max_open;
    int rc = failed(process_open_limit(&max_open)), closed;

    if (rc)
        return rc;
    rc = failed(start_janitor(&d));
    if (rc)
        return rc;
    rc = open_drive(&d, max_open);
    if (!rc) {
        rc = use_drive(&d);
        closed = failed(close_drive(&d));
        rc = rc ? rc : closed;
    }
    janitor_stop();
    return rc;
}

int daemon_serve(const struct daemon_config *config)
{
    return run_daemon(config, -1);
}

/* --- in the background ------------------------------------------------------ */

#define STATUS_USAGE 2 /* of the child: -EINVAL */

static int to_status(int rc)
{
    return rc == -EINVAL ? STATUS_USAGE : rc ? EXIT_FAILURE : 0;
}

static int from_status(int status, const char *archive)
{
    if (WIFSIGNALED(status))
        log_error("cannot mount '%s': the process that was to serve it died (%s)", archive,
                  strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 0)
        log_error("cannot mount '%s': it was unmounted at once", archive);
    return WIFEXITED(status) && WEXITSTATUS(status) == STATUS_USAGE ? -EINVAL : -EIO;
}

/* Waits until the child is ready or has ended. */
static int await_ready(const struct daemon_config *config, int fd, pid_t child)
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
        if (statx(AT_FDCWD, config->mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0)
            return 0;
        log_error("'%s' is mounted, but cannot be looked at: %s", config->mountpoint,
                  strerror(errno));
        return -EIO;
    }
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -EIO;
    return from_status(status, config->archive);
}

int daemon_start(const struct daemon_config *config)
{
    int fds[2];
    pid_t child;
    int rc;

    if (pipe2(fds, O_CLOEXEC) || (child = fork()) < 0) {
        log_error("cannot start the process that is to serve '%s': %s", config->archive,
                  strerror(errno));
        return -EIO;
    }
    if (child == 0) {
        close(fds[0]);
        setsid();
        exit(to_status(run_daemon(config, fds[1])));
    }
    close(fds[1]);
    rc = await_ready(config, fds[0], child);
    close(fds[0]);
    return rc;
}
