/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file that an image is mounted on: an empty one that the user made, or one
 * that we make and remove again.
 */
#ifndef CLI_MOUNTPOINT_H
#define CLI_MOUNTPOINT_H

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
 * mounted on. Takes away a mount whose daemon has died. *made: it did not exist.
 * 0 or -errno, logged.
 */
MUST_CHECK int mountpoint_prepare(const char *path, bool *made);

/* Removes the file if it is still there, still empty, and nothing is mounted on it. */
void mountpoint_remove(const char *path);

#endif
