/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns every loop around read(2) and write(2), and the order of calls that
 * makes a small file durable. Knows no archive, logs nothing.
 */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/inherit.h"

/*
 * openat2(2) reports a race with rename(2) as EAGAIN, which is over at once. O_NONBLOCK makes it
 * one, too, that another holds a lease on the file: Samba for its clients, an NFS server. The
 * holder is asked to let go, and after lease-break-time (45 seconds, see proc(5)) it has to.
 */
#define OPEN_TRIES 64
#define LEASE_MS 60000
#define LEASE_PAUSE_MS 50

int io_pread(int fd, void *buf, size_t len, uint64_t off, size_t *done)
{
    *done = 0;
    while (*done < len) {
        ssize_t n = pread(fd, (char *)buf + *done, len - *done, (off_t)(off + *done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        *done += (size_t)n;
    }
    return 0;
}

int io_pwrite(int fd, const void *buf, size_t len, uint64_t off)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)buf + done, len - done, (off_t)(off + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

int io_write(int fd, const void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = write(fd, (const char *)buf + done, len - done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}

bool io_is_full(int rc)
{
    return rc == -ENOSPC || rc == -EDQUOT;
}

int io_fsync(int fd)
{
    while (fsync(fd)) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

int io_fdatasync(int fd)
{
    while (fdatasync(fd)) {
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

int io_links(int fd, unsigned *n)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_NLINK, &stx))
        return -errno;
    *n = stx.stx_nlink;
    return 0;
}

/* Linux has closed the descriptor even when it says EINTR: a second call could close another's. */
static int io_close(int fd)
{
    return close(fd) && errno != EINTR ? -errno : 0;
}

static int openat_retry(int dirfd, const char *name, int flags, mode_t mode, int *fd)
{
    do {
        *fd = openat(dirfd, name, flags, mode);
    } while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? -errno : 0;
}

static bool is_symlink(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* One component. With O_DIRECTORY the kernel calls a symbolic link ENOTDIR; the caller wants ELOOP.
 */
static int open_component(int dirfd, const char *name, int flags, mode_t mode, int *fd)
{
    int err = openat_retry(dirfd, name, flags | O_NOFOLLOW, mode, fd);

    return err == -ENOTDIR && is_symlink(dirfd, name) ? -ELOOP : err;
}

/* Moves the next component of *path to name and the slashes after it out of the way. */
static int next_component(const char **path, char name[NAME_MAX + 1])
{
    size_t len = strcspn(*path, "/");

    if (len > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, *path, len);
    name[len] = '\0';
    *path += len;
    *path += strspn(*path, "/");
    return 0;
}

/* What openat2(2) does in one call, for kernels before 5.6 and sandboxes that refuse it. */
static int open_walk(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    int at = dirfd;
    int err;

    if (path[strlen(path) - 1] == '/')
        flags |= O_DIRECTORY;
    for (;;) {
        char name[NAME_MAX + 1];
        int next = -1;

        err = next_component(&path, name);
        if (!err && *path)
            err = open_component(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, &next);
        else if (!err)
            err = open_component(at, name, flags, mode, fd);
        if (at != dirfd)
            close(at);
        if (err || next < 0)
            return err;
        at = next;
    }
}

/*
 * -ENOSYS when the kernel has no openat2(2), -EPERM also when a sandbox
 * refuses it; open_walk() then has the last word.
 */
static int open_at_once(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    static atomic_bool missing;
    struct open_how how = {
        .flags = (unsigned)(flags | O_LARGEFILE),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    int tries = 0;

    if (atomic_load(&missing))
        return -ENOSYS;
    do {
        *fd = (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
    } while (*fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < OPEN_TRIES)));
    if (*fd >= 0)
        return 0;
    if (errno == ENOSYS)
        atomic_store(&missing, true);
    return -errno;
}

static bool has_dotdot(const char *path)
{
    while (*path) {
        size_t len = strcspn(path, "/");

        if (len == 2 && path[0] == '.' && path[1] == '.')
            return true;
        path += len;
        path += strspn(path, "/");
    }
    return false;
}

static int open_once(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    int err = open_at_once(dirfd, path, flags, mode, fd);

    return err == -ENOSYS || err == -EPERM ? open_walk(dirfd, path, flags, mode, fd) : err;
}

/* Waits for who holds a lease. The kernel would, without O_NONBLOCK, but also for a FIFO's end. */
static int open_below(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    int err = open_once(dirfd, path, flags, mode, fd);

    for (int ms = 1, waited = 0; err == -EAGAIN && waited < LEASE_MS; waited += ms) {
        ms = ms * 2 < LEASE_PAUSE_MS ? ms * 2 : LEASE_PAUSE_MS;
        usleep((useconds_t)ms * 1000);
        err = open_once(dirfd, path, flags, mode, fd);
    }
    return err;
}

int io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    int err;

    *fd = -1;
    if (!*path)
        return -ENOENT;
    if (*path == '/' || has_dotdot(path))
        return -EXDEV;
    if (flags & O_PATH)
        return -EINVAL; /* does not go with the flags added here */
    flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    mode = creates ? mode : 0; /* else openat2(2) says EINVAL */
    if ((flags & O_ACCMODE) != O_RDONLY || creates)
        return open_below(dirfd, path, flags, mode, fd);
    /* Only the file's owner and root may leave its atime alone. */
    err = open_below(dirfd, path, flags | O_NOATIME, mode, fd);
    return err == -EPERM ? open_below(dirfd, path, flags, mode, fd) : err;
}

int io_open_file(int dirfd, const char *path, int flags, int *fd)
{
    struct stat st;
    int err;

    *fd = -1;
    /* Another may come in its place before it is opened, but only one who may put things there. */
    if (fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode) &&
        !S_ISLNK(st.st_mode))
        return -EINVAL;
    err = io_open(dirfd, path, flags, 0, fd);
    if (err)
        return err;
    if (fstat(*fd, &st))
        err = -errno;
    else if (!S_ISREG(st.st_mode))
        err = -EINVAL;
    if (err)
        close(*fd);
    return err;
}

/* Reads all of fd, which is longer than cap when there is one byte more. */
static int read_capped(int fd, void *buf, size_t cap, size_t *len)
{
    size_t more;
    char extra;
    int err = io_pread(fd, buf, cap, 0, len);

    if (err || *len < cap)
        return err;
    err = io_pread(fd, &extra, 1, cap, &more);
    if (err)
        return err;
    return more ? -EFBIG : 0;
}

int io_read_file(int dirfd, const char *name, void *buf, size_t cap, size_t *len)
{
    int fd;
    int err = io_open_file(dirfd, name, O_RDONLY, &fd);

    *len = 0;
    if (err)
        return err;
    err = read_capped(fd, buf, cap, len);
    close(fd);
    return err;
}

int io_truncate(int fd, uint64_t len)
{
    int rc;

    do
        rc = ftruncate(fd, (off_t)len);
    while (rc && errno == EINTR);
    return rc ? -errno : 0;
}

int io_fallocate(int fd, int mode, uint64_t off, uint64_t len)
{
    int rc;

    do
        rc = fallocate(fd, mode, (off_t)off, (off_t)len);
    while (rc && errno == EINTR);
    return rc ? -errno : 0;
}

int io_flock(int fd, int operation)
{
    int rc;

    do
        rc = flock(fd, operation);
    while (rc && errno == EINTR);
    return rc ? -errno : 0;
}

/* From the first byte to the last that there can be: file servers lock far behind the end. */
static const struct flock whole_file = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

int io_lock(int fd)
{
    struct flock lock = whole_file;
    int rc;

    do
        rc = fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
    while (rc == -EINTR);
    return rc == -EACCES ? -EAGAIN : rc;
}

int io_locked(int fd)
{
    struct flock lock = whole_file;

    if (fcntl(fd, F_OFD_GETLK, &lock))
        return -errno;
    return lock.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/*
 * The kernel gives a lease for reading to nobody while the file is open for
 * writing. Who opens it in the moment of ours waits until that is over; the
 * signal that we are sent then must not be one that ends us.
 */
int io_opened_to_write(int fd)
{
    if (!fs_known(fd))
        return -EOPNOTSUPP;
    if (fcntl(fd, F_SETSIG, SIGURG) || fcntl(fd, F_SETLEASE, F_RDLCK))
        return -errno;
    return fcntl(fd, F_SETLEASE, F_UNLCK) ? -errno : 0;
}

int io_sync_dir(int dirfd, const char *path)
{
    int fd;
    int err = io_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, &fd);

    if (err)
        return err;
    err = io_fsync(fd);
    close(fd);
    return err;
}

/* A file of this name that was not there before, written and on disk. */
static int write_synced(int dirfd, const char *name, const void *buf, size_t len)
{
    int fd;
    int closed;
    int err = inherit_create(dirfd, name, O_WRONLY, &fd);

    if (err)
        return err;
    err = io_write(fd, buf, len);
    if (!err)
        err = io_fsync(fd);
    closed = io_close(fd);
    return err ? err : closed;
}

/*
 * Across directories the new name is on disk before the old one goes: the two
 * reach it in any order, and a power cut must not take both. When a step fails
 * the first is taken back: a file of two names is in the way.
 */
static int unlink_linked(int fromfd, const char *from, int tofd, const char *to)
{
    int err = fromfd == tofd ? 0 : io_fsync(tofd);

    if (!err && unlinkat(fromfd, from, 0))
        err = -errno;
    if (err)
        (void)!unlinkat(tofd, to, 0); /* the first error is the one to tell */
    return err;
}

/*
 * Without hard links, too, which one file system says by this error, another by that
 * one (rclone mount, exfat-fuse, fusefat). The callers hold a lock, so nobody of ours makes
 * the name in between.
 */
static int look_and_rename(int fromfd, const char *from, int tofd, const char *to)
{
    if (faccessat(tofd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    if (errno != ENOENT)
        return -errno;
    return renameat(fromfd, from, tofd, to) ? -errno : 0;
}

int io_move_new(int fromfd, const char *from, int tofd, const char *to)
{
    if (renameat2(fromfd, from, tofd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return -errno;
    if (linkat(fromfd, from, tofd, to, 0) == 0)
        return unlink_linked(fromfd, from, tofd, to);
    if (errno == EEXIST || errno == ENOENT || io_is_full(-errno))
        return -errno;
    return look_and_rename(fromfd, from, tofd, to);
}

int io_rename_new(int dirfd, const char *from, const char *to)
{
    return io_move_new(dirfd, from, dirfd, to);
}

static int rename_over(int dirfd, const char *from, const char *to)
{
    return renameat(dirfd, from, dirfd, to) ? -errno : 0;
}

static int remove_if_there(int dirfd, const char *name)
{
    return unlinkat(dirfd, name, 0) && errno != ENOENT ? -errno : 0;
}

static int temporary_name(const char *name, char tmp[NAME_MAX + 1])
{
    int n;

    if (strchr(name, '/'))
        return -EINVAL; /* the directory to fsync would be another one */
    n = snprintf(tmp, NAME_MAX + 1, "%s.tmp", name);
    return n > NAME_MAX ? -ENAMETOOLONG : 0;
}

int io_replace(int dirfd, const char *name, const void *buf, size_t len, enum io_replace_mode mode)
{
    char tmp[NAME_MAX + 1];
    int err = temporary_name(name, tmp);

    if (err)
        return err;
    /* Removed, not truncated: what a crash or a stranger left may be a link to something else. */
    err = remove_if_there(dirfd, tmp);
    if (err)
        return err;
    err = write_synced(dirfd, tmp, buf, len);
    if (!err)
        err = mode == IO_NEW ? io_rename_new(dirfd, tmp, name) : rename_over(dirfd, tmp, name);
    if (!err)
        return io_sync_dir(dirfd, ".");
    (void)remove_if_there(dirfd, tmp); /* the first error is the one to tell */
    return err;
}
