/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What kind of file system something lies on. Logs nothing.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>

/*
 * True when all who use the file system do so through this kernel and see the same
 * inodes, so that an flock(2) is seen by everybody. False for those of a network or
 * behind FUSE, for layers over others, and when in doubt.
 */
bool fs_local(int fd);

#endif
