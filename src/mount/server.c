/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asks the server of a mount by control calls, each in a process that can be given up,
 * and waits for its end.
 */
#include "mount/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "mount/apart.h"
#include "mount/health.h"

#define PATIENCE_MS 2000 /* of a person in front of a silent command */
#define WAIT_STEP_MS 20

static bool is_dead(int err)
{
    return err == -ENOTCONN || err == -ECONNABORTED;
}

/* --- questions, each in a process that can be given up --------------------------------------- */

/* What the two processes share. */
struct question {
    struct server server;      /* what has been told so far */
    const struct mount *mount; /* where to ask */
    bool told;                 /* that it takes long */
    int rc;                    /* what came of it */
    char epoch[STORE_EPOCH];   /* of CONTROL_MARK */
    unsigned long call;        /* of a snapshot */
    struct control_snapshot snapshot;
    struct control_resize resize;
    struct control_replaced replaced;
    struct control_archive room; /* for the answer */
};

int server_open(const struct mount *mount, int flags)
{
    int fd = open(mount->mountpoint, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct statx stx;
    int rc = fd < 0 ? -errno : 0;

    if (!rc && statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &stx))
        rc = -errno;
    else if (!rc && makedev(stx.stx_dev_major, stx.stx_dev_minor) != mount->dev)
        rc = -ENOENT;
    if (rc && fd >= 0)
        close(fd);
    return rc ? rc : fd;
}

/* Those questions first that are answered even when the disk below stands still. */
static void ask(int fd, struct question *question)
{
    struct server *server = &question->server;
    struct control_waiting waiting;

    if (ioctl(fd, CONTROL_ARCHIVE, &question->room) == 0) { /* older servers know nothing of it */
        server->pid = question->room.pid;
        server->archive_dev = question->room.dev;
        server->archive_ino = question->room.ino;
        snprintf(server->archive, sizeof(server->archive), "%s", question->room.path);
        server->located = true;
    }
    if (ioctl(fd, CONTROL_WAITING, &waiting) == 0) { /* nor of this: then none waits */
        server->waiting = waiting.requests;
        server->waiting_since = waiting.since;
    }
    if (ioctl(fd, CONTROL_STATUS, &server->status) == 0) {
        server->answered = true;
        server->pid = server->status.pid;
        server->flags = server->status.flags;
    } else {
        server->dead = is_dead(-errno);
    }
}

static void work_ask(void *arg)
{
    struct question *question = arg;
    int fd = server_open(question->mount, O_RDONLY);

    if (fd >= 0) {
        ask(fd, question);
        close(fd);
    }
    if (is_dead(fd))
        question->server.dead = true;
}

static void work_sync(void *arg)
{
    struct question *question = arg;
    int fd = server_open(question->mount, O_RDONLY);

    if (fd >= 0) {
        question->rc = io_fsync(fd);
        close(fd);
    }
    if (is_dead(question->rc))
        question->rc = 0;
}

static void work_mark(void *arg)
{
    struct question *question = arg;
    int fd = server_open(question->mount, O_WRONLY);
    struct control_mark mark;

    question->rc = fd < 0 ? fd : ioctl(fd, CONTROL_MARK, &mark) ? -errno : 0;
    if (!question->rc)
        snprintf(question->epoch, STORE_EPOCH, "%.*s", STORE_EPOCH - 1, mark.epoch);
    if (fd >= 0)
        close(fd);
}

static void work_snapshot(void *arg)
{
    struct question *question = arg;
    int fd = server_open(question->mount, O_WRONLY);

    question->rc = fd < 0 ? fd : ioctl(fd, question->call, &question->snapshot) ? -errno : 0;
    if (fd >= 0)
        close(fd);
}

/* Who asks the kernel for the size, as losetup does, may get what it knew last: so we ask first. */
static void work_resize(void *arg)
{
    struct question *question = arg;
    int fd = server_open(question->mount, O_WRONLY);
    struct stat st;

    question->rc = fd < 0 ? fd : ioctl(fd, CONTROL_RESIZE, &question->resize) ? -errno : 0;
    if (!question->rc)
        (void)!fstat(fd, &st);
    if (fd >= 0)
        close(fd);
}

static void work_replaced(void *arg)
{
    struct question *question = arg;
    int fd = server_open(question->mount, O_RDONLY);

    /* Older servers know nothing of it. */
    if (fd < 0 || ioctl(fd, CONTROL_REPLACED, &question->replaced))
        question->replaced.tiles = 0;
    if (fd >= 0)
        close(fd);
}

/* Waits on, and says so, unless it is certain that waiting alone does not help. */
static bool wait_on(void *arg)
{
    struct question *question = arg;
    pid_t pid = question->server.pid;

    if (health_halted(pid))
        return false;
    if (!question->told && pid)
        log_note("waiting for process %d to write the data of '%s' to disk", (int)pid,
                 question->mount->mountpoint);
    if (!question->told && pid)
        health_note(question->mount->mountpoint, pid);
    question->told = true;
    return true;
}

/* 0, -ETIMEDOUT: no answer, or -errno. What was told until then is in *question in any case. */
static int put_question(struct question *question, void (*work)(void *arg), int patience_ms,
                        bool (*go_on)(void *arg))
{
    struct question *shared = apart_memory(sizeof(*shared));
    struct apart apart = {.work = work, .arg = shared, .patience_ms = patience_ms, .go_on = go_on};
    int rc;

    if (!shared)
        return -ENOMEM;
    *shared = *question;
    rc = apart_run(&apart);
    *question = *shared;
    apart_free(shared, sizeof(*shared));
    return rc ? rc : question->rc;
}

void server_ask(const struct mount *mount, int patience_ms, struct server *server)
{
    struct question question = {.mount = mount, .server = {.fd = -1, .dev = mount->dev}};
    int rc = put_question(&question, work_ask, patience_ms, NULL);

    *server = question.server;
    server->silent = rc == -ETIMEDOUT;
    if (rc && rc != -ETIMEDOUT)
        log_warn("cannot ask the process that serves '%s': %s", mount->mountpoint, strerror(-rc));
}

int server_sync(const struct mount *mount, const struct server *server)
{
    struct question question = {.mount = mount, .server = *server};

    return mount->read_only ? 0 : put_question(&question, work_sync, PATIENCE_MS, wait_on);
}

int server_mark(const struct mount *mount, const struct server *server, char epoch[STORE_EPOCH])
{
    static const char what[] = "cannot begin an epoch of what is mounted on";
    struct question question = {.mount = mount, .server = *server};
    int rc = server->silent ? -ETIMEDOUT : put_question(&question, work_mark, PATIENCE_MS, wait_on);

    if (rc == -ETIMEDOUT)
        health_tell(what, mount->mountpoint, server->pid);
    else if (rc)
        log_error("%s '%s': %s", what, mount->mountpoint, strerror(-rc));
    else
        snprintf(epoch, STORE_EPOCH, "%s", question.epoch);
    return rc;
}

int server_snapshot(const struct mount *mount, const struct server *server, unsigned long call,
                    uint64_t *stalled)
{
    static const char what[] = "cannot make or delete a snapshot of what is mounted on";
    struct question question = {.mount = mount, .server = *server, .call = call};
    int rc =
        server->silent ? -ETIMEDOUT : put_question(&question, work_snapshot, PATIENCE_MS, wait_on);

    if (rc == -ETIMEDOUT)
        health_tell(what, mount->mountpoint, server->pid);
    else if (rc == -ENOTTY)
        log_error("%s '%s': the process that serves it is of an older version", what,
                  mount->mountpoint);
    else if (rc)
        log_error("%s '%s': %s", what, mount->mountpoint, strerror(-rc));
    *stalled = question.snapshot.stalled;
    return rc;
}

static const char *why_not(int rc)
{
    switch (rc) {
    case -ENOTTY:
        return "the process that serves it is of an older version";
    case -EINVAL:
        return "it is larger already, and does not shrink while it is mounted";
    case -ERANGE:
        return "it cannot have that size";
    default:
        return strerror(-rc);
    }
}

int server_resize(const struct mount *mount, const struct server *server, uint64_t size)
{
    static const char what[] = "cannot resize what is mounted on";
    struct question question = {.mount = mount, .server = *server, .resize = {size}};
    int rc =
        server->silent ? -ETIMEDOUT : put_question(&question, work_resize, PATIENCE_MS, wait_on);

    if (rc == -ETIMEDOUT)
        health_tell(what, mount->mountpoint, server->pid);
    else if (rc)
        log_error("%s '%s': %s", what, mount->mountpoint, why_not(rc));
    return rc;
}

/* --- its end ---------------------------------------------------------------------------------- */

unsigned server_replaced(const struct mount *mount, const struct server *server, const char *name)
{
    struct question question = {.mount = mount, .server = *server};
    unsigned n = 0;

    if (server->answered && !server->silent && !server->waiting &&
        put_question(&question, work_replaced, 3 * PATIENCE_MS, NULL) == 0)
        n = question.replaced.tiles;
    if (!n)
        return 0;
    log_error("another program replaced or removed %u of the tiles that '%s' uses, such as '%.*s'",
              n, name, (int)sizeof(question.replaced.first) - 1, question.replaced.first);
    log_note("the mounted drive shows a mix of old and new tiles: unmount it, restore the whole "
             "archive again from a backup or a mirror while it is not mounted, and then check the "
             "file system on the drive");
    return n;
}

int server_hold(struct server *server)
{
    server->fd = (int)syscall(SYS_pidfd_open, server->pid, 0);
    return server->fd < 0 && errno != ESRCH ? -errno : 0;
}

/*
 * Descriptor number of the process is /dev/fuse. Does the kernel still send
 * requests through it? It hangs up when nothing keeps the file alive, which may
 * be long before a thread that is busy flushing notices.
 */
static bool is_connected(const struct server *server, int number)
{
    struct pollfd pfd = {.fd = (int)syscall(SYS_pidfd_getfd, server->fd, number, 0)};
    bool connected;

    if (pfd.fd < 0)
        return errno != EBADF && errno != ESRCH; /* not for us to look at: open is all we know */
    connected = poll(&pfd, 1, 0) == 0;
    close(pfd.fd);
    return connected;
}

/* Newer kernels tell which file system a descriptor of /dev/fuse belongs to. */
static dev_t device_of(pid_t pid, int number)
{
    char path[64], line[128];
    unsigned minor = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, number);
    f = fopen(path, "re");
    while (f && !minor && fgets(line, sizeof(line), f))
        if (sscanf(line, "fuse_connection: %u", &minor) != 1)
            minor = 0;
    if (f)
        fclose(f);
    return minor ? makedev(0, minor) : 0;
}

/* Does the process still serve its file, rather than write the last of it? */
static bool serves(struct server *server)
{
    char path[64];
    struct dirent *entry;
    bool found = false;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)server->pid);
    d = opendir(path);
    while (d && !found && (entry = readdir(d))) {
        int number = atoi(entry->d_name);
        char link[sizeof("/dev/fuse")] = "";

        if (readlinkat(dirfd(d), entry->d_name, link, sizeof(link)) != sizeof(link) - 1 ||
            strcmp(link, "/dev/fuse") != 0)
            continue;
        found = is_connected(server, number);
        if (found && !server->dev)
            server->dev = device_of(server->pid, number);
    }
    if (d)
        closedir(d);
    return found;
}

/* Waits for its end, not for longer than ms. */
static bool ended(const struct server *server, int ms)
{
    struct pollfd pfd = {.fd = server->fd, .events = POLLIN};

    return server->fd < 0 || poll(&pfd, 1, ms) > 0;
}

int server_wait(struct server *server, const char *name, server_until *until, void *arg)
{
    bool told = false, serving = false;

    for (int ms = WAIT_STEP_MS; !ended(server, WAIT_STEP_MS); ms += WAIT_STEP_MS) {
        if (until && until(arg))
            return -EAGAIN;
        /* Twice in a row: what it has just begun to serve may be what until() waits for. */
        if (serving)
            return -EBUSY;
        if (ms % PATIENCE_MS != 0)
            continue;
        serving = serves(server);
        if (!serving && !told) {
            log_note(until ? "'%s' is not mounted yet or any more, but process %d has it open; "
                             "waiting for it"
                           : "'%s' is unmounted, but process %d is still writing to disk; "
                             "waiting for it",
                     name, (int)server->pid);
            health_note(name, server->pid);
            told = true;
        }
    }
    return 0;
}

void server_release(struct server *server)
{
    if (server->fd >= 0)
        close(server->fd);
    server->fd = -1;
}
