/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The words of mount's -o and --fuse: which of them concern us, which go to
 * libfuse, and which neither takes. And --on-full, which may stand among them.
 */
#ifndef CLI_MOUNT_ARGS_H
#define CLI_MOUNT_ARGS_H

#include <stdbool.h>

#include "cli/opt.h"

#define MOUNT_ARGS_MAX 64

struct mount_args {
    const char *words[MOUNT_ARGS_MAX + 1]; /* for libfuse, ends with NULL */
    unsigned n;
    bool read_only;
    bool foreground;
    bool debug;
    bool io_uring;         /* requests are to come through it */
    bool wait;             /* for space, when there is none */
    unsigned wait_seconds; /* at most; 0: as long as it takes */
    bool shared;           /* others than the mounting user may open the file */
    char *text;            /* what words points into */
};

/* 0, or the exit code after a line on stderr. Release in any case. */
MUST_CHECK int mount_args_collect(struct mount_args *mount, const struct args *args);
void mount_args_release(struct mount_args *mount);

#endif
