/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Serves an archive as a mounted file, from the first look at it until it is
 * unmounted and all is on disk.
 */
#ifndef MOUNT_DAEMON_H
#define MOUNT_DAEMON_H

#include <stdbool.h>

#include "base/compiler.h"
#include "cover/covers.h"

struct daemon_config {
    const char *archive;
    const char *mountpoint; /* absolute, see mountpoint_resolve() */
    bool read_only;
    bool accept;                        /* as in drive.h */
    const struct covers_source *covers; /* of new tiles, as in drive.h */
    const char *const *fuse_args;       /* libfuse's own; ends with NULL */
    bool io_uring;
    bool wait;             /* writes that find no space wait for it, else they fail */
    unsigned wait_seconds; /* at most, while none gets any; 0: as long as it takes */
    bool log_detached; /* daemon_serve(): once it is mounted, the log no longer goes to stderr */
};

/*
 * In this process, which has no other thread, until it is unmounted. 0; -EINVAL for
 * arguments that libfuse does not know; else -errno; logged.
 */
MUST_CHECK int daemon_serve(const struct daemon_config *config);

/*
 * In a process of its own, which goes on when this returns: the file can be used
 * then. 0, or as daemon_serve().
 */
MUST_CHECK int daemon_start(const struct daemon_config *config);

#endif
