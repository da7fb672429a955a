/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file that an image is mounted on: an empty one that the user made, or one
 * that we make and remove again.
 */
#ifndef MOUNT_MOUNTPOINT_H
#define MOUNT_MOUNTPOINT_H

#include <limits.h>
#include <stdbool.h>

#include "base/compiler.h"

/*
 * The absolute path of what the user calls path; it need not exist yet. 0 or
 * -errno, logged.
 */
MUST_CHECK int mountpoint_resolve(const char *path, char out[PATH_MAX]);

/*
 * Makes sure that path (absolute) is an empty regular file that nothing is
 * mounted on, and keeps others from mounting on it until *fd is closed. Takes
 * away a mount whose daemon has died. *made: it did not exist. 0 or -errno,
 * logged.
 */
MUST_CHECK int mountpoint_prepare(const char *path, bool *made, int *fd);

/* Removes the file if it is still there, still empty, and nobody is about to mount on it. */
void mountpoint_remove(const char *path);

#endif
