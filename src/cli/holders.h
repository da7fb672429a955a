/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who keeps a mounted file busy: loop devices and processes. For messages; the
 * kernel alone decides whether it is busy.
 */
#ifndef CLI_HOLDERS_H
#define CLI_HOLDERS_H

#include <sys/types.h>

#include "cli/mounts.h"

struct holder {
    const char *device;     /* "/dev/loop3", or NULL: a process */
    const char *mountpoint; /* where something on the device is mounted, or NULL */
    pid_t pid;
    const char *comm; /* the name of the process */
};

/*
 * Calls tell for each holder that the user may see, and returns how many there
 * were. holder lives as long as the call.
 */
unsigned holders_each(const struct mounts *mounts, const struct mount *mount,
                      void (*tell)(const struct holder *holder, void *arg), void *arg);

#endif
