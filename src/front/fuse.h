/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An image as a mounted file, through libfuse's low-level interface. The only
 * files that know libfuse are fuse.c, fuse_ops.c, fuse_agree.c, uring.c and uring_ops.c.
 *
 * Order: new, mount, run, free; all by one thread.
 */
#ifndef FRONT_FUSE_H
#define FRONT_FUSE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "image/image.h"

struct fuse_front;

struct fuse_front_config {
    const char *source;      /* what mountinfo shows as the source: the archive's absolute path */
    int archive_fd;          /* the archive's directory, for who asks where it is; -1: none */
    const char *const *args; /* libfuse's own arguments, e.g. "-o", "allow_root"; ends with NULL */
    bool read_only;
    uid_t uid; /* owner and permission bits of the mounted file */
    gid_t gid;
    mode_t mode;
    bool io_uring;         /* requests come through it, if that can be */
    bool wait;             /* writes that find no space wait for it, else they fail */
    unsigned wait_seconds; /* at most, while none gets any; 0: as long as it takes */
};

/* The run-time version of libfuse, e.g. "3.14.0". */
const char *fuse_front_version(void);

/*
 * Checks the arguments and makes a session. 0; -EINVAL for arguments that
 * libfuse does not know, or -ENOMEM; logged.
 */
MUST_CHECK int fuse_front_new(const struct fuse_front_config *config, struct fuse_front **out);

/* Whether requests are to come through io_uring, which fuse_front_run() sets up. */
bool fuse_front_rings(const struct fuse_front *front);

/* Mounts on mountpoint, an absolute path of a regular file. 0 or -errno, logged. */
MUST_CHECK int fuse_front_mount(struct fuse_front *front, const char *mountpoint);

/*
 * Serves img until it is unmounted. ready(arg) is called once, from any thread,
 * when the kernel has said hello. Writes that wait for space when the mount is gone have
 * failed. 0 or -errno, logged.
 */
MUST_CHECK int fuse_front_run(struct fuse_front *front, struct image *img, void (*ready)(void *arg),
                              void *arg);

/* NULL is fine. */
void fuse_front_free(struct fuse_front *front);

#endif
