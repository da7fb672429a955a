/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CLI_CREATE_ARGS_H
#define CLI_CREATE_ARGS_H

#include "base/compiler.h"
#include "cli/opt.h"
#include "format/geometry.h"
#include "format/layout.h"

/* From --layout and --cover. 0, or the exit code after a line on stderr. */
MUST_CHECK int create_args_layout(const struct args *args, const struct layout **layout);

/* From --number or --total, and --size. 0, or the exit code after a line on stderr. */
MUST_CHECK int create_args_geometry(const struct args *args, const struct layout *layout,
                                    struct geometry *geo);

#endif
