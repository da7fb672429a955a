/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The other process has one descriptor: a pipe to us as its stderr. It tells us
 * of its end, however that comes, and keeps nothing that others wait for: no
 * terminal, no pipe of the caller. One that cannot even be killed is left to
 * init.
 */
#include "mount/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"

#define READ_MAX 4096

void *apart_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void apart_free(void *memory, size_t size)
{
    if (memory)
        munmap(memory, size);
}

static _Noreturn void be_apart(const struct apart *apart, int pipefd, pid_t parent)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null < 0 || getppid() != parent || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0 || dup2(pipefd, STDERR_FILENO) < 0)
        _exit(1);
    (void)!close_range(STDERR_FILENO + 1, ~0u, 0);
    apart->work(apart->arg);
    _exit(0);
}

/* Passes on what it logs until it has ended. 0, or -ETIMEDOUT: it is to be given up. */
static int listen_to(const struct apart *apart, int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};

    for (;;) {
        char text[READ_MAX];
        int n = poll(&pfd, 1, apart->patience_ms);
        ssize_t len;

        if (n == 0 && !(apart->go_on && apart->go_on(apart->arg)))
            return -ETIMEDOUT;
        if (n <= 0)
            continue;
        len = read(fd, text, sizeof(text));
        if (len > 0)
            (void)!io_write(STDERR_FILENO, text, (size_t)len);
        else if (len == 0 || errno != EINTR)
            return 0;
    }
}

static int end_of(pid_t child)
{
    int status = -1;

    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

int apart_run(const struct apart *apart)
{
    pid_t parent = getpid(), child;
    int fds[2], rc;

    if (pipe2(fds, O_CLOEXEC))
        return -errno;
    child = fork();
    if (child == 0)
        be_apart(apart, fds[1], parent);
    rc = child < 0 ? -errno : 0;
    close(fds[1]);
    if (!rc)
        rc = listen_to(apart, fds[0]);
    if (rc == -ETIMEDOUT)
        kill(child, SIGKILL);
    close(fds[0]);
    return rc || child < 0 ? rc : end_of(child);
}
