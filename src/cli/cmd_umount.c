/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Unmounts a drive. What is done, and in which order, stands in mount/unmounting.c.
 */
#include "cli/cli.h"
#include "mount/unmounting.h"

static int run(const struct args *args)
{
    return unmounting_run(args->operands[0]) ? CLI_FAILED : CLI_DONE;
}

const struct command cmd_umount = {
    .name = "umount",
    .summary = "unmount, and wait until everything is on disk",
    .synopsis = "PATH|ARCHIVE",
    .description =
        "Unmounts the file PATH, or every mount of ARCHIVE, and returns when all bytes\n"
        "are on disk and the archive is free for the next mount. If the file is in use,\n"
        "names its users and leaves it mounted.\n",
    .operands = {"PATH|ARCHIVE"},
    .required = 1,
    .run = run,
};
