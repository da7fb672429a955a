/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes one promise away from a daemon that it is preloaded into (LD_PRELOAD),
 * for the controls: tests that must fail with it, or they prove nothing.
 *
 *   SABOTAGE=sync      whatever brings bytes to disk does nothing and says it did
 *   SABOTAGE=flusher   PR_SET_IO_FLUSHER is not permitted
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool sabotaged(const char *what)
{
    const char *wanted = getenv("SABOTAGE");

    return wanted && strcmp(wanted, what) == 0;
}

int fsync(int fd)
{
    return sabotaged("sync") ? 0 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sabotaged("sync") ? 0 : (int)syscall(SYS_fdatasync, fd);
}

int syncfs(int fd)
{
    return sabotaged("sync") ? 0 : (int)syscall(SYS_syncfs, fd);
}

int sync_file_range(int fd, off_t off, off_t len, unsigned flags)
{
    return sabotaged("sync") ? 0 : (int)syscall(SYS_sync_file_range, fd, off, len, flags);
}

int prctl(int option, ...)
{
    unsigned long arg[4];
    va_list args;

    va_start(args, option);
    for (int i = 0; i < 4; i++)
        arg[i] = va_arg(args, unsigned long);
    va_end(args);
    if (option == PR_SET_IO_FLUSHER && sabotaged("flusher")) {
        errno = EPERM;
        return -1;
    }
    return (int)syscall(SYS_prctl, option, arg[0], arg[1], arg[2], arg[3]);
}
