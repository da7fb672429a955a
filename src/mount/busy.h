/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What umount says about a file that is in use: by whom, and what to do next.
 */
#ifndef MOUNT_BUSY_H
#define MOUNT_BUSY_H

#include "mount/mounts.h"
#include "mount/server.h"

/*
 * The kernel calls mount busy. name is what the user calls it; waiting, how many of its requests
 * wait for space.
 */
void busy_tell(const struct mounts *mounts, const struct mount *mount, const char *name,
               unsigned waiting);

/* True, and told, when somebody is seen who keeps mount busy. */
bool busy_tell_if(const struct mounts *mounts, const struct mount *mount, const char *name);

/*
 * The same file is mounted elsewhere, too, with a bind mount for example. gone:
 * mount itself has been taken away. archive: its path, or "".
 */
void busy_tell_twins(const struct mounts *mounts, const struct mount *mount, const char *name,
                     const char *archive, bool gone);

/* It is not mounted here any more, and yet the server has somebody to serve. */
void busy_tell_elsewhere(const struct mounts *mounts, const struct server *server,
                         const char *name);

#endif
