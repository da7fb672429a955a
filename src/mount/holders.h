/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who keeps a mounted file busy: loop devices and processes. For messages; the
 * kernel alone decides whether it is busy.
 */
#ifndef MOUNT_HOLDERS_H
#define MOUNT_HOLDERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "mount/mounts.h"

struct holder {
    const char *device; /* "/dev/loop3", or NULL: a process */
    bool leaving;       /* the device is detached already, as soon as nobody uses it */
    bool more;          /* the device is told again, with another mount of what is on it */
    bool apart;         /* a process of another mount namespace, where the file is mounted */
    /* where something on the device is mounted, or NULL; with apart: where the file is, there */
    const char *mountpoint;
    pid_t pid;
    const char *comm; /* the name of the process */
};

/*
 * Calls tell for each holder that the user may see, for a device once for each
 * mount of it, and returns how many holders there were. holder lives as long as the call.
 */
unsigned holders_each(const struct mounts *mounts, const struct mount *mount,
                      void (*tell)(const struct holder *holder, void *arg), void *arg);

/*
 * The same for a file system that is mounted nowhere here, and lives on all the
 * same: who has a file of it open after a lazy unmount, and one process of each
 * other mount namespace where it is mounted. dev is its st_dev, 0: not known.
 */
unsigned holders_elsewhere(const struct mounts *mounts, dev_t dev,
                           void (*tell)(const struct holder *holder, void *arg), void *arg);

#endif
