/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes a mount away: by umount2(2), and by fusermount3(1) for those who may
 * not call that.
 */
#ifndef FRONT_UNMOUNT_H
#define FRONT_UNMOUNT_H

#include <stdbool.h>

#include "base/compiler.h"

#define UNMOUNT_WHY 256

/*
 * path is absolute. lazy detaches it at once, in use or not: only for a mount
 * whose daemon is dead. 0; -EBUSY when in use; else -errno. On failure why is a
 * reason for people. Logs nothing. Any thread.
 */
MUST_CHECK int unmount_path(const char *path, bool lazy, char why[UNMOUNT_WHY]);

#endif
