/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes a mount out of the table of mounts, and no other one that came on top of
 * it meanwhile.
 */
#ifndef MOUNT_DETACH_H
#define MOUNT_DETACH_H

#include "base/compiler.h"
#include "mount/mounts.h"
#include "mount/unmount.h"

/*
 * Would umount(2) by path take another mount away, one that came on top of this
 * one or of a directory above it?
 */
bool detach_covered(const struct mount *mount);

/* That is so: says by what, as far as can be seen. */
void detach_tell_covered(const struct mounts *mounts, const struct mount *mount, const char *name);

/*
 * Patient with those who are just letting go, content when another was faster. 0
 * or -errno, then with the reason in why.
 */
MUST_CHECK int detach_soon(const struct mount *mount, char why[UNMOUNT_WHY]);

/* The same for what is in use or whose process is dead. */
MUST_CHECK int detach_lazily(const struct mount *mount, char why[UNMOUNT_WHY]);

#endif
