/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is mounted where, as /proc/PID/mountinfo tells it: all mounts of a mount
 * namespace, and which of them are ours.
 */
#ifndef MOUNT_MOUNTS_H
#define MOUNT_MOUNTS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

struct mount {
    int id, parent;
    dev_t dev; /* st_dev of what is on it */
    bool read_only;
    bool ours;               /* a mosaicfs */
    uint32_t shared, master; /* peer groups, 0: none */
    char *root;              /* what of its file system is seen */
    char *mountpoint;
    char *source; /* of ours: the archive's absolute path */
};

struct mounts {
    struct mount *list;
    size_t n;
};

/* As the process sees them, 0: as we do. 0 or -errno. Release in any case. */
MUST_CHECK int mounts_read(pid_t pid, struct mounts *mounts);
/* As we see them. 0 or -errno, told. Release in any case. */
MUST_CHECK int mounts_own(struct mounts *mounts);
void mounts_release(struct mounts *mounts);

/*
 * The mosaicfs that a user sees at path, or NULL. path may be relative, lead
 * through symbolic links, and name a mount whose daemon is dead. Where mounts
 * are stacked, only the topmost is seen.
 */
const struct mount *mounts_at(const struct mounts *mounts, const char *path);

/*
 * The last mosaicfs whose archive is path, or, with previous, the one before
 * that: last mounted first. NULL when there is none.
 */
const struct mount *mounts_of(const struct mounts *mounts, const char *path,
                              const struct mount *previous);

/*
 * Another mount of the same file that stays when mount is unmounted: a bind
 * mount, say. The first, or the one after previous; NULL when there is none.
 */
const struct mount *mounts_twin(const struct mounts *mounts, const struct mount *mount,
                                const struct mount *previous);

/*
 * The absolute path without symbolic links of what may be a dead mount. 0 or
 * -errno, as realpath(3) says it of the directory that path is in.
 */
MUST_CHECK int mounts_resolve(const char *path, char out[PATH_MAX]);

#endif
