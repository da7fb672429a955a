/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A process under Landlock may not call umount(2), and one without new
 * privileges gets none by way of fusermount3. So the daemon forks the janitor
 * first of all, before it has read a byte of the archive, and asks it at the
 * end. A request is one byte and names no path: what a daemon that has been
 * taken over can ask for is that its own mount goes away.
 *
 *   daemon        janitor
 *   fork          lets go of all it inherited: no lock, no /dev/fuse, no log,
 *                 no terminal, no directory
 *   serves        sleeps in recv(2)
 *   asks, waits   does it, answers
 *   ends          end of file: ends; the daemon waits for that
 *   is killed     end of file: ends and leaves everything as it is, for
 *                 'umount' or the next 'mount' to clear
 *   goes on       is killed: a signal cannot unmount any more, which is logged;
 *                 'umount' works, but leaves a mount point that we made
 *
 * The signals that end the daemon do not end the janitor: from a terminal, or
 * from a service manager that stops a group, they reach both.
 */
#include "mount/janitor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"

enum request { UNMOUNT = 'u', DETACH = 'd', REMOVE = 'r' };

struct answer {
    int rc;
    char why[UNMOUNT_WHY];
};

/* Of the daemon. Fixed between start and stop. */
static pid_t pid;
static int sock = -1;

/* Holding nothing but /dev/null and its socket. Returns that. */
static int let_go(int fd)
{
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (kept < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0 || close_range((unsigned)kept + 1, ~0u, 0) || chdir("/"))
        _exit(EXIT_FAILURE);
    for (int other = STDERR_FILENO + 1; other < kept; other++)
        close(other);
    return kept;
}

static void ignore_signals(void)
{
    static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE};

    for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
        signal(ignored[i], SIG_IGN);
}

static struct answer obey(char request, const char *mountpoint, void (*remove)(const char *))
{
    struct answer answer = {0};

    switch (request) {
    case UNMOUNT:
    case DETACH:
        answer.rc = unmount_path(mountpoint, request == DETACH, answer.why);
        break;
    case REMOVE:
        remove(mountpoint);
        break;
    default:
        answer.rc = -EINVAL;
    }
    return answer;
}

NORETURN static void serve(int fd, const char *mountpoint, void (*remove)(const char *))
{
    char request;
    ssize_t n;

    ignore_signals();
    /* Whoever looks for processes named mosaicfs means the daemon. */
    (void)prctl(PR_SET_NAME, "mosaicfs-umount");
    while ((n = recv(fd, &request, 1, 0)) > 0 || (n < 0 && errno == EINTR)) {
        struct answer answer;

        if (n < 0)
            continue;
        answer = obey(request, mountpoint, remove);
        if (send(fd, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
            break;
    }
    _exit(EXIT_SUCCESS);
}

int janitor_start(const char *mountpoint, void (*remove)(const char *))
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
        return -errno;
    pid = fork();
    if (pid < 0) {
        int err = errno;

        close(fds[0]);
        close(fds[1]);
        return -err;
    }
    if (pid == 0) {
        serve(let_go(fds[1]), mountpoint, remove);
    }
    close(fds[1]);
    sock = fds[0];
    return 0;
}

static int ask(char request, struct answer *answer)
{
    ssize_t n;

    do
        n = send(sock, &request, 1, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return -EPIPE;
    do
        n = recv(sock, answer, sizeof(*answer), 0);
    while (n < 0 && errno == EINTR);
    return n == sizeof(*answer) ? 0 : -EPIPE;
}

int janitor_unmount(const char *mountpoint, bool lazy, char why[UNMOUNT_WHY])
{
    struct answer answer;
    int rc;

    if (sock < 0)
        return unmount_path(mountpoint, lazy, why);
    rc = ask(lazy ? DETACH : UNMOUNT, &answer);
    snprintf(why, UNMOUNT_WHY, "%s", rc ? "the process that was to do it has died" : answer.why);
    return rc ? rc : answer.rc;
}

int janitor_remove(void)
{
    struct answer answer;
    int rc = ask(REMOVE, &answer);

    return rc ? rc : answer.rc;
}

void janitor_stop(void)
{
    if (sock < 0)
        return;
    close(sock);
    sock = -1;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}
