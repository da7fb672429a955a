/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/server.h"

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
#include "front/control.h"

#define PATIENCE_MS 2000 /* of a person in front of a silent command */

static bool is_dead(int err)
{
    return err == -ENOTCONN || err == -ECONNABORTED;
}

static int ask(int fd, bool sync, struct server *server)
{
    struct control_waiting waiting = {0};
    struct control_status status;
    int rc;

    if (ioctl(fd, CONTROL_WAITING, &waiting) == 0) { /* an older server has none that wait */
        server->waiting = waiting.requests;
        server->waiting_since = waiting.since;
    }
    rc = sync && !waiting.requests ? io_fsync(fd) : 0;
    if (ioctl(fd, CONTROL_STATUS, &status) == 0) {
        server->answered = true;
        server->pid = status.pid;
        server->flags = status.flags;
    } else {
        server->dead = is_dead(-errno);
    }
    return server->dead ? 0 : rc;
}

int server_ask(const struct mount *mount, bool sync, struct server *server)
{
    int fd = open(mount->mountpoint, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat st;
    int rc = 0;

    *server = (struct server){.fd = -1, .dev = mount->dev};
    if (fd < 0) {
        server->dead = is_dead(-errno);
        return 0;
    }
    /* Another may have unmounted it meanwhile: then this is the file below. */
    if (fstat(fd, &st))
        server->dead = is_dead(-errno);
    else if (st.st_dev == mount->dev)
        rc = ask(fd, sync && !mount->read_only, server);
    close(fd);
    return rc;
}

static int ask_mark(int fd, const struct mount *mount, char epoch[STORE_EPOCH])
{
    struct control_mark mark;
    struct stat st;

    if (fstat(fd, &st))
        return -errno;
    if (st.st_dev != mount->dev)
        return -ENOENT; /* unmounted meanwhile: this is the file below */
    if (ioctl(fd, CONTROL_MARK, &mark))
        return -errno;
    snprintf(epoch, STORE_EPOCH, "%.*s", STORE_EPOCH - 1, mark.epoch);
    return 0;
}

int server_mark(const struct mount *mount, char epoch[STORE_EPOCH])
{
    int fd = open(mount->mountpoint, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int rc = fd < 0 ? -errno : ask_mark(fd, mount, epoch);

    if (fd >= 0)
        close(fd);
    if (rc)
        log_error("cannot begin an epoch of what is mounted on '%s': %s", mount->mountpoint,
                  strerror(-rc));
    return rc;
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

int server_wait(struct server *server, const char *name)
{
    struct pollfd pfd = {.fd = server->fd, .events = POLLIN};
    int timeout = PATIENCE_MS;

    while (server->fd >= 0) {
        int n = poll(&pfd, 1, timeout);

        if (n > 0)
            break;
        if (n == 0 && serves(server))
            return -EBUSY;
        if (n == 0) {
            log_note("'%s' is unmounted, but process %d is still writing to disk; waiting for it",
                     name, (int)server->pid);
            timeout = -1;
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
