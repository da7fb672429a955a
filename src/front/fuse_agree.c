/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is agreed with the kernel when a session begins: every feature that is not in
 * the list below is turned off.
 */
#include "front/fuse_ops.h"

/*
 * All that the kernel may do for this file system. libfuse turns on more by itself,
 * and other things in each version, so this list is the whole of it; what is not
 * in it is off, known today or not:
 *
 *   on   ASYNC_READ          several reads of one file under way
 *        ASYNC_DIO           likewise of direct I/O, as a loop device does it
 *        OVER_IO_URING       when the user asks for rings
 *   off  ATOMIC_O_TRUNC      see fuse_ops.c
 *        AUTO_INVAL_DATA     a new mtime is no reason to drop cached pages: times are those of
 *                            the tiles, and who opens the file anew gets a fresh cache. It cannot
 *                            be kept beyond that: an asynchronous direct write, as from a loop
 *                            device, may leave stale pages.
 *        EXPLICIT_INVAL_DATA nobody would tell the kernel when
 *        WRITEBACK_CACHE     a write that was answered has reached us, and failed if it had to
 *        POSIX_LOCKS, FLOCK_LOCKS          the kernel's own serve all who see this mount
 *        NO_OPEN_SUPPORT, NO_OPENDIR_...   writers are counted when they open
 *        SPLICE_*            bytes are taken from memory and put there
 *        HANDLE_KILLPRIV*, POSIX_ACL, SETXATTR_EXT, SECURITY_CTX, DONT_MASK
 *                            the mode is fixed, and has no such bits; there are no attributes
 *        PASSTHROUGH         no single file has the bytes
 *        DIRECT_IO_ALLOW_MMAP              no handle is without a cache
 *        EXPORT_SUPPORT, NO_EXPORT_SUPPORT, EXPIRE_ONLY, ALLOW_IDMAP
 *                            as the kernel does it by itself
 *        PARALLEL_DIROPS, READDIRPLUS*, IOCTL_DIR, CACHE_SYMLINKS
 *                            there are no directories and no links
 */
void fuse_agree(struct fuse_conn_info *conn, bool ring)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
    uint64_t wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO;

#ifdef FUSE_CAP_OVER_IO_URING
    wanted |= ring ? FUSE_CAP_OVER_IO_URING : 0;
#endif
    fuse_unset_feature_flag(conn, ~UINT64_C(0));
    fuse_set_feature_flag(conn, conn->capable_ext & wanted);
#else
    conn->want = conn->capable & (FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO);
#endif
}
