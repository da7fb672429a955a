/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pictures that a user names for covers: the options, and a look at each of
 * them before anything is made of it.
 */
#ifndef CLI_COVER_CHECK_H
#define CLI_COVER_CHECK_H

#include "base/compiler.h"
#include "cli/opt.h"
#include "cover/covers.h"

/*
 * The values of option name, a file or a directory, and of --cover-max. Without
 * them source->path is "". 0, or the exit code after a line on stderr.
 */
MUST_CHECK int cover_check_options(const struct args *args, const char *name,
                                   struct covers_source *source);

/*
 * Reads and decodes every picture there. A file that is none is refused; in a
 * directory some may be, which are told, and skipped from now on. 0, or
 * CLI_FAILED after a line on stderr.
 */
MUST_CHECK int cover_check_all(struct covers_source *source);

#endif
