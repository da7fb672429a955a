/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A second process that takes the mount and its mount point away for a daemon
 * that is confined and may not do that itself. One per process; its states
 * stand in janitor.c.
 *
 * Order: start, use, stop; all by one thread, except that janitor_unmount() may
 * come from another one, while the first waits for that.
 */
#ifndef MOUNT_JANITOR_H
#define MOUNT_JANITOR_H

#include <stdbool.h>

#include "base/compiler.h"
#include "mount/unmount.h"

/*
 * Forks it. mountpoint is absolute; remove(mountpoint) is what janitor_remove()
 * will call over there, where it must not log. To be called before anything is
 * opened that must end with the daemon, and before threads start. 0 or -errno.
 */
MUST_CHECK int janitor_start(const char *mountpoint, void (*remove)(const char *mountpoint));

/*
 * unmount_path() of the mount point. Without a janitor the caller does it
 * itself. -EPIPE when the janitor has died.
 */
MUST_CHECK int janitor_unmount(const char *mountpoint, bool lazy, char why[UNMOUNT_WHY]);

/* Returns when remove() has. 0, or -EPIPE when the janitor has died. */
MUST_CHECK int janitor_remove(void);

/* Waits for its end. Without a janitor it does nothing. */
void janitor_stop(void);

#endif
