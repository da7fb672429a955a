/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a daemon may do once it serves: use its archive, and what it has open.
 * An archive, and whoever writes to the mounted file, may be hostile; a fault
 * of ours that they exploit shall end there. What is forbidden, and why the
 * daemon can do without, stands in confine.c.
 */
#ifndef MOUNT_CONFINE_H
#define MOUNT_CONFINE_H

#include <stdbool.h>

/*
 * For the calling process, for ever. Before threads start: those that run
 * already stay free. What the kernel does not know is left out; what is in
 * force, and what is not, goes to the debug log. With rings, io_uring may be
 * used, which does some of what is forbidden. Beneath covers_fd, unless that is -1,
 * files may be read.
 */
void confine_enter(int archive_dirfd, int covers_fd, bool read_only, bool rings);

#endif
