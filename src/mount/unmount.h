/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes a mount away: by umount2(2), and by fusermount3(1) for those who may
 * not call that.
 */
#ifndef MOUNT_UNMOUNT_H
#define MOUNT_UNMOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define UNMOUNT_WHY 256

/*
 * path is absolute. lazy detaches it at once, in use or not: only for a mount
 * whose daemon is dead. 0; -EBUSY when in use; else -errno. On failure why is a
 * reason for people. Logs nothing. Any thread.
 */
MUST_CHECK int unmount_path(const char *path, bool lazy, char why[UNMOUNT_WHY]);

/*
 * The id of the topmost mount at path (absolute), as in /proc/self/mountinfo;
 * *id is 0 where the kernel does not tell (before 5.8). Asks no server. 0 or
 * -errno. Any thread.
 */
MUST_CHECK int unmount_top_id(const char *path, uint64_t *id);

#endif
