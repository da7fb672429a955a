/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every read and write loop of the program, and the ways to make a small file
 * durable. All functions retry EINTR; all are safe to call from any thread.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"

/*
 * Reads up to len bytes at off. *done is what was read; less than len only at
 * the end of the file. 0 or -errno (then *done is what came before the error).
 */
MUST_CHECK int io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *done);

/* Writes all len bytes at off. 0 or -errno; a write that makes no progress is -EIO. */
MUST_CHECK int io_pwrite(int fd, const void *buf, size_t len, uint64_t off);

/* Writes all len bytes at the descriptor's position (pipes too). 0 or -errno. */
MUST_CHECK int io_write(int fd, const void *buf, size_t len);

/*
 * Opens path below dirfd without following any symbolic link and without
 * leaving dirfd (openat2(2); where the kernel lacks it, component by component).
 * O_CLOEXEC, O_NOCTTY and O_NONBLOCK are added, so a FIFO in the place of a
 * file cannot hang the caller; for reading also O_NOATIME where it is allowed.
 * Waits for who holds a lease on the file, a minute at most, then -EAGAIN.
 * path is relative. 0 or -errno; a symbolic link in any component is -ELOOP, an
 * absolute path or ".." is -EXDEV, O_PATH is -EINVAL.
 */
MUST_CHECK int io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd);

/*
 * io_open() of a regular file that exists. Anything else is -EINVAL, and is not
 * opened: to open a device may already do something.
 */
MUST_CHECK int io_open_file(int dirfd, const char *path, int flags, int *fd);

/* The reason behind an error of io_open_file() and io_read_file(), for people. */
const char *io_why(int rc);

/*
 * Reads the whole regular file name, at most cap bytes. *len is its length.
 * 0 or -errno; -EFBIG when it is longer than cap, -EINVAL when it is no
 * regular file.
 */
MUST_CHECK int io_read_file(int dirfd, const char *name, void *buf, size_t cap, size_t *len);

/*
 * Atomic, durable replace: writes name.tmp in dirfd, fsyncs it, renames it over
 * name, fsyncs dirfd. After a crash name is whole: the old content or the new.
 * With IO_NEW an existing name is -EEXIST and stays as it is. On failure
 * name.tmp is removed. A name.tmp left by a crash is overwritten.
 */
enum io_replace_mode { IO_OVER, IO_NEW };
MUST_CHECK int io_replace(int dirfd, const char *name, const void *buf, size_t len,
                          enum io_replace_mode mode);

/* Renames within dirfd; a name that is there already stays and is -EEXIST. 0 or -errno. */
MUST_CHECK int io_rename_new(int dirfd, const char *from, const char *to);

/* The same from one directory to another; both names are single components. */
MUST_CHECK int io_move_new(int fromfd, const char *from, int tofd, const char *to);

/* ftruncate(2) and fallocate(2), whose mode they take. 0 or -errno. */
MUST_CHECK int io_truncate(int fd, uint64_t len);
MUST_CHECK int io_fallocate(int fd, int mode, uint64_t off, uint64_t len);

/* Whether a result, 0 or -errno, stands for want of space, on the disk or in a quota. */
bool io_is_full(int rc);

/* flock(2). 0 or -errno. */
MUST_CHECK int io_flock(int fd, int operation);

/*
 * Locks the whole file, which is open for writing, as fcntl(2) and file servers do, until it is
 * closed. 0; -EAGAIN when another holds any lock on any part of it; else -errno.
 */
MUST_CHECK int io_lock(int fd);

/* Whether io_lock() would fail for another's lock: 0, -EAGAIN, else -errno. Locks nothing. */
MUST_CHECK int io_locked(int fd);

/*
 * Whether anybody has the file open for writing: 0, or -EAGAIN. Any other error
 * means that it cannot be told: the file is another user's, or on a file
 * system that would not know. fd is open for reading only.
 */
MUST_CHECK int io_opened_to_write(int fd);

MUST_CHECK int io_fsync(int fd);
MUST_CHECK int io_fdatasync(int fd);

/*
 * How many names the file has. fstat(2) asks for times, too: then the next write has to give the
 * file a new one, and every sync may write the inode, even many within one tick of the clock.
 */
MUST_CHECK int io_links(int fd, unsigned *n);

/* fsync of the directory path below dirfd ("." for dirfd itself). 0 or -errno. */
MUST_CHECK int io_sync_dir(int dirfd, const char *path);

#endif
