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

/* mosaicfs reindex ARCHIVE [FROM [ALSO]]. Its exit status. */
static inline int reindex_run(const char *archive, const char *from, const char *also)
{
    char *operands[] = {(char *)archive, (char *)from, (char *)also, NULL};
    const struct args args = {.command = &cmd_reindex,
                              .operands = operands,
                              .noperands = !from   ? 1
                                           : !also ? 2
                                                   : 3};
    int status, out, null;

    sys_pause();
    fflush(stdout);
    out = dup(STDOUT_FILENO);
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (out < 0 || null < 0 || dup2(null, STDOUT_FILENO) < 0)
        perror("/dev/null");
    sys_resume();
    status = cmd_reindex.run(&args);
    sys_pause();
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(null);
    sys_resume();
    return status;
}

#endif
