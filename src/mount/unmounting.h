/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes a drive away in good order, and waits until everything is on disk.
 */
#ifndef MOUNT_UNMOUNTING_H
#define MOUNT_UNMOUNTING_H

#include "base/compiler.h"

/*
 * path: of a mounted file, or of an archive, all of whose mounts go. 0; else -errno,
 * logged: it is in use, not mounted, or its last writes are lost.
 */
MUST_CHECK int unmounting_run(const char *path);

#endif
