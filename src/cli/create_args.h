/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef CLI_CREATE_ARGS_H
#define CLI_CREATE_ARGS_H

#include "base/compiler.h"
#include "cli/opt.h"
#include "format/geometry.h"
#include "format/layout.h"

/* From --layout and --cover; without both, usual. 0, or the exit code after a line on stderr. */
MUST_CHECK int create_args_layout(const struct args *args, const struct layout *usual,
                                  const struct layout **layout);

/* From --number or --total, and --size. 0, or the exit code after a line on stderr. */
MUST_CHECK int create_args_geometry(const struct args *args, const struct layout *layout,
                                    struct geometry *geo);

/*
 * Of an image of size bytes, from --size, else tile_size if the layout can have such tiles (0:
 * none is wanted), else as create chooses it. As above.
 */
MUST_CHECK int create_args_fit(const struct args *args, const struct layout *layout, uint64_t size,
                               uint64_t tile_size, struct geometry *geo);

/* Warns of a name that a Mac does not take for that of a sparse bundle, if it is to be one. */
void create_args_check_name(const char *path, const struct layout *layout);

#endif
