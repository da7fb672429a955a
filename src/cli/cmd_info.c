/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The info command: prints what mount/info.c gathers.
 */
#include <errno.h>

#include "cli/cli.h"
#include "cli/info_report.h"
#include "mount/info.h"

static int run(const struct args *args)
{
    struct info *info = info_gather(args->operands[0]);
    int rc = info ? info->rc : -ENOMEM;
    bool complete = !rc && info_complete(info);

    if (!rc && opt_given(args, "json"))
        rc = info_report_json(info);
    else if (!rc)
        info_report_text(info);
    info_free(info);
    return rc || !complete ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_info = {
    .name = "info",
    .summary = "show sizes, what is stored, and who has it mounted",
    .synopsis = "[--json] ARCHIVE|PATH",
    .description = "Prints the size of the image, the number of tiles and the space that they\n"
                   "occupy, the format, and where and by whom the archive is mounted. PATH is the\n"
                   "file on which an archive is mounted.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
