/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A child freezes and thaws, for it must go on when we are killed: it waits for our word with a
 * time limit, and the end of our side of the channel is a word, too. Should the child be
 * killed, we thaw. So what is frozen stays so only if both are killed at a time.
 *
 * Each process that waits for a frozen file system waits until it is thawed. Between begin and
 * end the caller therefore does nothing that could write to one, but for what it has to say in
 * case of trouble: the time limit ends that, too.
 */
#include "mount/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "mount/holders.h"

/* --- which ------------------------------------------------------------------------------------ */

struct search {
    struct freeze *freeze;
    const char *drive;
    int rc;
};

static bool is_known(const struct freeze *freeze, int fd)
{
    struct stat one, other;

    for (unsigned i = 0; i < freeze->n; i++)
        if (fstat(fd, &one) == 0 && fstat(freeze->fds[i], &other) == 0 &&
            one.st_dev == other.st_dev)
            return true;
    return false;
}

static void add(const struct holder *holder, void *arg)
{
    struct search *search = arg;
    struct freeze *freeze = search->freeze;
    int fd, *fds;

    if (search->rc || !holder->device || !holder->mountpoint)
        return;
    fd = open(holder->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        search->rc = -errno;
        log_error("cannot open '%s': %s", holder->mountpoint, strerror(errno));
        return;
    }
    fds = is_known(freeze, fd) ? NULL : realloc(freeze->fds, (freeze->n + 1) * sizeof(*fds));
    if (!fds) {
        close(fd);
        return;
    }
    freeze->fds = fds;
    freeze->fds[freeze->n++] = fd;
}

static void release(struct freeze *freeze)
{
    for (unsigned i = 0; i < freeze->n; i++)
        close(freeze->fds[i]);
    free(freeze->fds);
    *freeze = (struct freeze){.channel = -1};
}

/* --- the child -------------------------------------------------------------------------------- */

static void thaw(const struct freeze *freeze, unsigned n)
{
    while (n-- > 0)
        (void)ioctl(freeze->fds[n], FITHAW, 0);
}

/* 0 or -errno; then none is frozen. */
static int freeze_all(const struct freeze *freeze)
{
    for (unsigned i = 0; i < freeze->n; i++)
        if (ioctl(freeze->fds[i], FIFREEZE, 0)) {
            int rc = -errno;

            thaw(freeze, i);
            return rc;
        }
    return 0;
}

/* Sends what came of it, twice: of freezing, and whether somebody asked for the end in time. */
static void keep_frozen(const struct freeze *freeze, int channel)
{
    struct pollfd pfd = {.fd = channel, .events = POLLIN};
    char word;
    int rc;

    for (int sig = 1; sig < NSIG; sig++)
        (void)signal(sig, SIG_IGN);
    setsid();
    rc = freeze_all(freeze);
    if (send(channel, &rc, sizeof(rc), MSG_NOSIGNAL) != sizeof(rc) || rc) {
        if (!rc)
            thaw(freeze, freeze->n);
        return;
    }
    rc = poll(&pfd, 1, FREEZE_MAX_S * 1000) > 0 ? 0 : -ETIMEDOUT;
    thaw(freeze, freeze->n);
    (void)!recv(channel, &word, 1, MSG_DONTWAIT); /* unread, it would reset the channel */
    (void)!send(channel, &rc, sizeof(rc), MSG_NOSIGNAL);
}

static int start(struct freeze *freeze)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
        return -errno;
    freeze->child = fork();
    if (freeze->child == 0) {
        close(ends[0]);
        keep_frozen(freeze, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    freeze->channel = ends[0];
    return freeze->child < 0 ? -errno : 0;
}

/* What the child says; -EIO when it has died. */
static int hear(const struct freeze *freeze)
{
    int rc;
    ssize_t n;

    do
        n = recv(freeze->channel, &rc, sizeof(rc), 0);
    while (n < 0 && errno == EINTR);
    return n == sizeof(rc) ? rc : -EIO;
}

static void stop(struct freeze *freeze)
{
    close(freeze->channel);
    while (freeze->child > 0 && waitpid(freeze->child, NULL, 0) < 0 && errno == EINTR)
        ;
    release(freeze);
}

/* --- all of it -------------------------------------------------------------------------------- */

int freeze_begin(const struct mounts *mounts, const struct mount *mount, struct freeze *freeze)
{
    struct search search = {.freeze = freeze, .drive = mount->mountpoint};
    int rc;

    *freeze = (struct freeze){.channel = -1};
    (void)holders_each(mounts, mount, add, &search);
    rc = search.rc;
    if (!rc && freeze->n == 0) {
        rc = -ENOENT;
        log_error("cannot freeze the file system on '%s': none is mounted here", search.drive);
    }
    if (rc) {
        release(freeze);
        return rc;
    }
    rc = start(freeze);
    if (!rc)
        rc = hear(freeze);
    if (!rc)
        return 0;
    log_error("cannot freeze the file system on '%s': %s", search.drive,
              rc == -EBUSY ? "it is frozen already" : strerror(-rc));
    stop(freeze);
    return rc;
}

int freeze_end(struct freeze *freeze)
{
    int rc = send(freeze->channel, "", 1, MSG_NOSIGNAL) == 1 ? hear(freeze) : -EIO;

    if (rc == -EIO)
        thaw(freeze, freeze->n);
    if (rc == -ETIMEDOUT)
        log_error("the file system on the drive was frozen for %d seconds and goes on now: the "
                  "snapshot would not be clean",
                  FREEZE_MAX_S);
    else if (rc)
        log_error("the process that kept the file system frozen has died");
    stop(freeze);
    return rc;
}
