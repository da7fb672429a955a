/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs umount2(2), or fusermount3(1), and reads the reason out of what that prints.
 */
#include "mount/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_MAX (PATH_MAX + 256) /* a sentence of fusermount3 with a path in it */
#define BUSY ": Device or resource busy"

/* All that there is to read; what exceeds cap is of no interest. Closes fd. */
static void read_words(int fd, char *said, size_t cap)
{
    FILE *f = fdopen(fd, "r");
    size_t len = f ? fread(said, 1, cap - 1, f) : 0;

    while (len > 0 && said[len - 1] == '\n')
        len--;
    said[len] = '\0';
    if (f)
        fclose(f);
    else
        close(fd);
}

/*
 * Runs fusermount3 and keeps what it has to say, without the last newline: a
 * path in it may hold others. Returns its exit code, or -1 when it cannot be run.
 */
static int run_helper(const char *const argv[], char *said, size_t cap)
{
    posix_spawn_file_actions_t actions;
    int pipefd[2], status = -1, rc;
    pid_t pid;

    said[0] = '\0';
    if (pipe2(pipefd, O_CLOEXEC))
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipefd[1], STDERR_FILENO);
    rc = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipefd[1]);
    read_words(pipefd[0], said, cap);
    while (!rc && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return rc || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), end_len = strlen(end);

    return len >= end_len && strcmp(s + len - end_len, end) == 0;
}

/* The reason in "fusermount3: failed to unmount PATH: REASON", or all of what was said. */
static const char *reason(const char *said, const char *path)
{
    static const char who[] = "fusermount3: ", what[] = "failed to unmount ";
    const char *rest = said;

    if (strncmp(rest, who, sizeof(who) - 1) == 0)
        said = rest += sizeof(who) - 1;
    if (strncmp(rest, what, sizeof(what) - 1) != 0)
        return said;
    rest += sizeof(what) - 1;
    if (strncmp(rest, path, strlen(path)) != 0)
        return said;
    rest += strlen(path);
    return strncmp(rest, ": ", 2) == 0 ? rest + 2 : said;
}

/* Only the words of fusermount3 tell a busy file from a forbidden one. */
static int by_helper(const char *path, bool lazy, char why[UNMOUNT_WHY])
{
    const char *argv[] = {"fusermount3", lazy ? "-uz" : "-u", "--", path, NULL};
    char said[SAID_MAX];
    int rc = run_helper(argv, said, sizeof(said));

    if (rc < 0)
        snprintf(why, UNMOUNT_WHY, "fusermount3 cannot be run (package fuse3)");
    else
        snprintf(why, UNMOUNT_WHY, "%.*s", UNMOUNT_WHY - 1,
                 said[0] ? reason(said, path) : "fusermount3 failed");
    return !rc ? 0 : ends_with(said, BUSY) ? -EBUSY : -EPERM;
}

int unmount_path(const char *path, bool lazy, char why[UNMOUNT_WHY])
{
    int err;

    if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
        return 0;
    err = errno;
    snprintf(why, UNMOUNT_WHY, "%s", strerror(err));
    return err == EPERM ? by_helper(path, lazy, why) : -err;
}

int unmount_top_id(const char *path, uint64_t *id)
{
    struct statx stx;

    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &stx))
        return -errno;
    *id = stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0;
    return 0;
}
