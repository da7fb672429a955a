/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
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
static int check(const char *path, const struct stat *st)
{
    struct mounts mounts;
    bool mounted = mounts_read(0, &mounts) == 0 && mounts_at(&mounts, path);

    mounts_release(&mounts);
    if (mounted) {
        log_error("cannot mount on '%s': an image is mounted there already", path);
        return -EBUSY;
    }
    if (S_ISDIR(st->st_mode)) {
        log_error("cannot mount on '%s': it is a directory; the drive is a file", path);
        return -EISDIR;
    }
    if (!S_ISREG(st->st_mode) || st->st_size != 0) {
        log_error("cannot mount on '%s': it is not an empty file", path);
        log_note("name an empty file, or one that does not exist yet");
        return -EEXIST;
    }
    return 0;
}

int mountpoint_prepare(const char *path, bool *made)
{
    struct stat st;
    int rc = lstat(path, &st) ? -errno : 0;
    int fd;

    *made = false;
    if (rc == -ENOTCONN || rc == -ECONNABORTED) {
        rc = bury(path);
        if (rc)
            return rc;
        rc = lstat(path, &st) ? -errno : 0;
    }
    if (!rc)
        return check(path, &st);
    if (rc == -ENOENT) {
        fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        rc = fd < 0 ? -errno : 0;
        if (fd >= 0)
            close(fd);
        *made = !rc;
    }
    if (rc)
        log_error("cannot mount on '%s': %s", path, strerror(-rc));
    return rc;
}

void mountpoint_remove(const char *path)
{
    struct stat st;

    if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0)
        (void)!unlink(path); /* EBUSY when somebody else mounts on it */
}
