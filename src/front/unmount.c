/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "front/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Runs fusermount3 and keeps the first line of what it has to say, without its
 * name. Returns its exit code, or -1 when it cannot be run.
 */
static int run_helper(const char *const argv[], char *said, int cap)
{
    posix_spawn_file_actions_t actions;
    int pipefd[2], status = -1, rc;
    pid_t pid;
    FILE *f;

    if (pipe2(pipefd, O_CLOEXEC))
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipefd[1], STDERR_FILENO);
    rc = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipefd[1]);
    f = rc ? NULL : fdopen(pipefd[0], "r");
    if (f && fgets(said, cap, f)) {
        said[strcspn(said, "\n")] = '\0';
        if (strncmp(said, "fusermount3: ", 13) == 0)
            memmove(said, said + 13, strlen(said + 13) + 1);
    }
    if (f)
        fclose(f);
    else
        close(pipefd[0]);
    while (!rc && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return rc || !WIFEXITED(status) ? -1 : WEXITSTATUS(status);
}

/* Only the words of fusermount3 tell a busy file from a forbidden one. */
static int by_helper(const char *path, bool lazy, char why[UNMOUNT_WHY])
{
    const char *argv[] = {"fusermount3", lazy ? "-uz" : "-u", "--", path, NULL};
    int rc;

    snprintf(why, UNMOUNT_WHY, "fusermount3 failed");
    rc = run_helper(argv, why, UNMOUNT_WHY);
    if (rc < 0)
        snprintf(why, UNMOUNT_WHY, "fusermount3 cannot be run (package fuse3)");
    return !rc ? 0 : strstr(why, "busy") ? -EBUSY : -EPERM;
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
