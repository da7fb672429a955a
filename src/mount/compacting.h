/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compacts an archive, mounted or not: a mounted one through its server, asked step by step by a
 * process that can be given up. Also learns what is mounted from the drive, and how much that
 * uses, for it may not have been trimmed.
 */
#ifndef MOUNT_COMPACTING_H
#define MOUNT_COMPACTING_H

#include <limits.h>
#include <stdbool.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "drive/compact.h"
#include "mount/served.h"

#define COMPACTING_ABOVE_MAX 8 /* file systems: those that exceed it are not told of */

/* A file system that is mounted from the drive. */
struct compacting_above {
    char mountpoint[PATH_MAX];
    uint64_t used; /* bytes */
};

struct compacting {
    struct compacting_above above[COMPACTING_ABOVE_MAX];
    unsigned nabove;
    int rc; /* what came of it */
    struct compact compact;
};

/* Who waits for it. */
struct compacting_caller {
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* how far it is, now and then */
    void *arg;
    bool (*stopped)(void); /* it is to end after the next step; asked in both processes */
};

/*
 * *out is the result, also of what was stopped, or NULL with an error. 0 or -errno, logged: also
 * -EROFS of a drive that is mounted read-only, and -ETIMEDOUT of a server that does not answer.
 */
MUST_CHECK int compacting_run(const struct served *served, const struct archive *archive, bool dry,
                              const struct compacting_caller *caller, struct compacting **out);

/* NULL is fine. */
void compacting_free(struct compacting *compacting);

/*
 * Whether what is mounted from the drive uses so much less than is stored that it can hardly have
 * been trimmed.
 */
bool compacting_untrimmed(const struct compacting *compacting);

#endif
