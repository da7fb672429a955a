/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command itself, for tests: in which order it does things stands in it.
 * What it prints goes nowhere.
 */
#ifndef TEST_REINDEX_H
#define TEST_REINDEX_H

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "sys/sys.h"

static inline int reindex_quiet(int to)
{
    int old;

    sys_pause();
    fflush(stdout);
    old = dup(STDOUT_FILENO);
    if (to < 0)
        to = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (old < 0 || to < 0 || dup2(to, STDOUT_FILENO) < 0)
        perror("stdout");
    close(to);
    sys_resume();
    return old;
}

/* mosaicfs reindex ARCHIVE [FROM]. Its exit status. */
static inline int reindex_run(const char *archive, const char *from)
{
    char *operands[] = {(char *)archive, (char *)from, NULL};
    const struct args args = {
        .command = &cmd_reindex, .operands = operands, .noperands = from ? 2 : 1};
    int out = reindex_quiet(-1);
    int status = cmd_reindex.run(&args);

    close(reindex_quiet(out));
    return status;
}

#endif
