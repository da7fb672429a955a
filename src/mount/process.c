/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the limits of a daemon, its locked memory, its score for the OOM killer, its
 * state as an I/O flusher, and its standard descriptors.
 */
#include "mount/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

#define OPEN_MIN 64    /* tiles */
#define OPEN_OTHERS 32 /* what else is open then, at least */
#define OPEN_MAX 4096  /* at tiles of 8 MiB a working set of 32 GiB */

static int null_fd = -1; /* /dev/null, for process_detach() */

void process_begin(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL); /* ignored by whoever started us, no child's end would be told */
    (void)!close_range(STDERR_FILENO + 1, ~0u, 0);
}

/* The soft limit becomes the hard one. */
static rlim_t raise_limit(int which)
{
    struct rlimit limit;

    if (getrlimit(which, &limit))
        return RLIM_INFINITY;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(which, &limit);
    return limit.rlim_cur;
}

int process_open_limit(unsigned *tiles)
{
    rlim_t limit = raise_limit(RLIMIT_NOFILE);

    if (limit < OPEN_MIN + OPEN_OTHERS) {
        log_error("the limit of open files is %u; to serve a drive it must be %u at least",
                  (unsigned)limit, OPEN_MIN + OPEN_OTHERS);
        log_note("raise it with 'ulimit -n', or LimitNOFILE= of a systemd service");
        return -EMFILE;
    }
    /* Half of it: folders, /dev/fuse and what libraries open need some, too. */
    *tiles = limit / 2 >= OPEN_MAX   ? OPEN_MAX
             : limit / 2 <= OPEN_MIN ? OPEN_MIN
                                     : (unsigned)(limit / 2);
    return 0;
}

uint64_t process_file_limit(void)
{
    return raise_limit(RLIMIT_FSIZE);
}

static void tell(const char *what, int failed)
{
    if (failed)
        log_debug("cannot %s: %s", what, strerror(errno));
}

static void lock_memory(void)
{
    struct rlimit limit;

    /* With a limit in force, a later allocation would fail instead. */
    if (geteuid() != 0 && (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur != RLIM_INFINITY)) {
        log_debug("memory is not locked: there is a limit on locked memory");
        return;
    }
    /* On fault: a thread's stack of 8 MiB shall not become resident as a whole. */
    tell("lock memory", mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
}

static void survive(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    int rc = fd < 0 ? -errno : io_write(fd, "-1000", 5);

    errno = -rc;
    tell("be spared when memory runs out", rc);
    if (fd >= 0)
        close(fd);
}

void process_harden(void)
{
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    tell("open /dev/null", null_fd < 0);
    tell("become an I/O flusher", prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0));
    lock_memory();
    survive();
}

void process_detach(void)
{
    log_detach();
    if (null_fd < 0)
        return;
    dup2(null_fd, STDIN_FILENO);
    dup2(null_fd, STDOUT_FILENO);
    dup2(null_fd, STDERR_FILENO);
    close(null_fd);
    null_fd = -1;
}
