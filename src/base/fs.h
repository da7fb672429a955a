/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What kind of file system something lies on. Logs nothing.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * True when all who use the file system do so through this kernel and see the same
 * inodes, so that an flock(2) is seen by everybody. False for those of a network or
 * behind FUSE, for layers over others, and when in doubt.
 */
bool fs_local(int fd);

/* Whether a file of that many bytes can be, on the file system of a regular file fd. */
bool fs_holds(int fd, uint64_t len);

/*
 * True when it is one of few that are known well, and may be believed:
 *
 *   - SEEK_DATA, SEEK_HOLE and st_blocks know of bytes that the page cache alone has.
 *     Elsewhere they may tell a hole where unsynced data are: nothing is destroyed
 *     on their word.
 *   - The number of an inode is not another file's before it is gone.
 *   - A lease tells who else has the file open.
 */
bool fs_known(int fd);

#endif
