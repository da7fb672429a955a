/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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
    struct control_status status;
    int rc = sync ? io_fsync(fd) : 0;

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

    *server = (struct server){.fd = -1};
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

int server_hold(struct server *server)
{
    server->fd = (int)syscall(SYS_pidfd_open, server->pid, 0);
    return server->fd < 0 && errno != ESRCH ? -errno : 0;
}

void server_wait(const struct server *server, const char *name)
{
    struct pollfd pfd = {.fd = server->fd, .events = POLLIN};
    int timeout = PATIENCE_MS;

    while (server->fd >= 0) {
        int n = poll(&pfd, 1, timeout);

        if (n > 0)
            return;
        if (n == 0) {
            log_note("'%s' is unmounted, but process %d is still writing to disk; waiting for it",
                     name, (int)server->pid);
            timeout = -1;
        }
    }
}

void server_release(struct server *server)
{
    if (server->fd >= 0)
        close(server->fd);
    server->fd = -1;
}
