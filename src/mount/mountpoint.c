/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Makes, finds and removes the file that is mounted on. Two mounts that begin at once
 * exclude each other by a lock on that file.
 */
#include "mount/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "mount/mounts.h"
#include "mount/server.h"
#include "mount/unmount.h"

int mountpoint_resolve(const char *path, char out[PATH_MAX])
{
    int rc = mounts_resolve(path, out);

    if (rc)
        log_error("cannot mount on '%s': %s", path, strerror(-rc));
    return rc;
}

/* Takes away what a dead daemon left. 0 or -errno. */
static int unmount_dead(const char *path)
{
    char why[UNMOUNT_WHY];
    int rc = unmount_path(path, true, why);

    if (rc)
        log_error("cannot mount on '%s': the mount of a dead process is in the way: %s", path, why);
    else
        log_note("removed the mount on '%s', whose process had died", path);
    return rc;
}

/* Opens what is there already, if it will do. */
static int open_existing(const char *path, int *fd)
{
    struct stat st;
    int rc;

    *fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    rc = *fd < 0 || fstat(*fd, &st) ? -errno : 0;
    if (rc == -ELOOP) {
        log_error("cannot mount on '%s': it is a symbolic link that leads nowhere", path);
        log_note("remove it, or name what it should lead to");
    } else if (rc) {
        log_error("cannot mount on '%s': %s", path, strerror(-rc));
    } else if (S_ISDIR(st.st_mode)) {
        log_error("cannot mount on '%s': it is a directory; the drive is a file", path);
        rc = -EISDIR;
    } else if (!S_ISREG(st.st_mode) || st.st_size != 0) {
        log_error("cannot mount on '%s': it is not an empty file", path);
        log_note("name an empty file, or one that does not exist yet");
        rc = -EEXIST;
    }
    return rc;
}

/* 0 when no image is mounted on path, or none any more. */
static int clear(const char *path)
{
    struct server server = {.fd = -1};
    struct mounts mounts;
    const struct mount *mount = mounts_read(0, &mounts) == 0 ? mounts_at(&mounts, path) : NULL;
    bool mounted = mount != NULL;

    if (mount)
        server_ask(mount, SERVER_PATIENCE_MS, &server);
    mounts_release(&mounts);
    if (!mounted)
        return 0;
    if (server.dead)
        return unmount_dead(path);
    log_error("cannot mount on '%s': an image is mounted there already", path);
    return -EBUSY;
}

/* The file that path names is still the one that is open. */
static bool same_file(const char *path, int fd)
{
    struct stat by_path, by_fd;

    return lstat(path, &by_path) == 0 && fstat(fd, &by_fd) == 0 && by_path.st_dev == by_fd.st_dev &&
           by_path.st_ino == by_fd.st_ino;
}

/*
 * Makes the file. It is locked before it has its name, so that whoever finds it
 * finds it taken. 0 or -errno; -EEXIST when there is one already.
 */
static int make(const char *path, int *fd)
{
    char tmp[PATH_MAX];
    int dir = (int)(strrchr(path, '/') - path); /* it is absolute */
    int rc;

    if (snprintf(tmp, sizeof(tmp), "%.*s/.mosaicfs-XXXXXX", dir, path) >= (int)sizeof(tmp))
        return -ENAMETOOLONG;
    *fd = mkostemp(tmp, O_CLOEXEC);
    if (*fd < 0)
        return -errno;
    (void)!flock(*fd, LOCK_EX | LOCK_NB); /* not every file system has it */
    rc = io_rename_new(AT_FDCWD, tmp, path);
    if (rc) {
        unlink(tmp);
        close(*fd);
        *fd = -1;
    }
    return rc;
}

static int make_or_open(const char *path, bool *made, int *fd)
{
    struct stat st;
    int rc;

    *fd = -1;
    *made = lstat(path, &st) && errno == ENOENT;
    if (!*made)
        return open_existing(path, fd);
    rc = make(path, fd);
    if (rc == -EEXIST)
        return -EAGAIN;
    if (rc)
        log_error("cannot mount on '%s': %s", path, strerror(-rc));
    if (io_is_full(rc))
        log_note("name an empty file that is there already, or one on another file system, such as "
                 "/run");
    return rc;
}

/* One try. -EAGAIN: the file came or went meanwhile, or something was mounted on it. */
static int make_or_find(const char *path, bool *made, int *fd)
{
    int rc = clear(path);

    if (rc)
        return rc;
    rc = make_or_open(path, made, fd);
    if (!rc && !*made && flock(*fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        rc = -EBUSY;
        log_error("cannot mount on '%s': another image is just being mounted there", path);
    }
    if (!rc && !same_file(path, *fd))
        rc = -EAGAIN;
    if (rc && *fd >= 0)
        close(*fd);
    return rc;
}

int mountpoint_prepare(const char *path, bool *made, int *fd)
{
    int rc;

    do
        rc = make_or_find(path, made, fd);
    while (rc == -EAGAIN);
    return rc;
}

void mountpoint_remove(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 &&
        !(flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK))
        (void)!unlink(path); /* EBUSY when somebody else has mounted on it */
    close(fd);
}
