/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/mounts.h"
#include "front/unmount.h"

int mountpoint_resolve(const char *path, char out[PATH_MAX])
{
    int rc = mounts_resolve(path, out);

    if (rc)
        log_error("cannot mount on '%s': %s", path, strerror(-rc));
    return rc;
}

/* Takes away what a dead daemon left. 0 or -errno. */
static int bury(const char *path)
{
    char why[UNMOUNT_WHY];
    int rc = unmount_path(path, true, why);

    if (rc)
        log_error("cannot mount on '%s': the mount of a dead process is in the way: %s", path, why);
    else
        log_note("the process behind the last mount of '%s' had died; took that mount away", path);
    return rc;
}

/* A file that is there already. */
static int check(const char *path)
{
    struct stat st;

    if (lstat(path, &st)) {
        int rc = -errno;

        log_error("cannot mount on '%s': %s", path, strerror(-rc));
        return rc;
    }
    if (S_ISDIR(st.st_mode)) {
        log_error("cannot mount on '%s': it is a directory; the drive is a file", path);
        return -EISDIR;
    }
    if (!S_ISREG(st.st_mode) || st.st_size != 0) {
        log_error("cannot mount on '%s': it is not an empty file", path);
        log_note("name an empty file, or one that does not exist yet");
        return -EEXIST;
    }
    return 0;
}

/* 0 when no image is mounted on path, or none any more. */
static int clear(const char *path)
{
    struct mounts mounts;
    struct statvfs vfs;
    bool mounted = mounts_read(0, &mounts) == 0 && mounts_at(&mounts, path);

    mounts_release(&mounts);
    if (!mounted)
        return 0;
    /* Always asks the daemon, unlike stat(2), which the kernel may answer by itself. */
    if (statvfs(path, &vfs) && (errno == ENOTCONN || errno == ECONNABORTED))
        return bury(path);
    log_error("cannot mount on '%s': an image is mounted there already", path);
    return -EBUSY;
}

int mountpoint_prepare(const char *path, bool *made)
{
    int rc = clear(path);
    int fd;

    *made = false;
    if (rc)
        return rc;
    fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        *made = true;
        return 0;
    }
    if (errno == EEXIST)
        return check(path);
    rc = -errno;
    log_error("cannot mount on '%s': %s", path, strerror(-rc));
    return rc;
}

void mountpoint_remove(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
        (void)!unlink(path); /* EBUSY when somebody else mounts on it */
}
