/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the owner and the group that new files and directories of the archive are
 * given. Both are set once, before there are threads.
 */
#include "base/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"

#define NOBODY UINT32_MAX /* fchown(2) leaves that one */

/* Set before there are threads. */
static uid_t owner = NOBODY;
static gid_t group = NOBODY;

int inherit_from(int dirfd)
{
    struct stat st;
    uid_t uid = geteuid();

    if (fstat(dirfd, &st))
        return -errno;
    umask(~st.st_mode & (S_IRWXG | S_IRWXO));
    owner = uid == 0 && st.st_uid != 0 ? st.st_uid : NOBODY;
    /* Below a directory with S_ISGID the kernel does it. */
    group = !(st.st_mode & S_ISGID) && st.st_gid != getegid() ? st.st_gid : NOBODY;
    return 0;
}

bool inherit_gives(uid_t *uid, gid_t *gid)
{
    *uid = owner;
    *gid = group;
    return owner != NOBODY || group != NOBODY;
}

void inherit_give(int fd)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;

    if ((owner == NOBODY && group == NOBODY) || !fchown(fd, owner, group) || owner == NOBODY)
        return;
    if (!atomic_flag_test_and_set(&told))
        log_warn("new files of the archive belong to root: cannot give them to its owner: %s",
                 strerror(errno));
}

int inherit_create(int dirfd, const char *name, int flags, int *fd)
{
    return inherit_create_as(dirfd, name, flags, 0666, fd);
}

int inherit_create_as(int dirfd, const char *name, int flags, mode_t mode, int *fd)
{
    int rc = io_open(dirfd, name, flags | O_CREAT | O_EXCL, mode, fd);

    if (!rc)
        inherit_give(*fd);
    return rc;
}

static int make(int dirfd, const char *name)
{
    return mkdirat(dirfd, name, 0777) ? -errno : 0;
}

static int give_directory(int dirfd, const char *name)
{
    int fd;
    int rc = io_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0, &fd);

    if (rc)
        return rc;
    inherit_give(fd);
    close(fd);
    return 0;
}

/* Where a directory cannot be renamed so that it replaces none. */
static int make_then_give(int dirfd, const char *name)
{
    int rc = make(dirfd, name);

    return rc ? rc : give_directory(dirfd, name);
}

/*
 * NAME.tmp may be there: a crash has left it, or another thread is making the same
 * directory, and perhaps gives the name to what we have made.
 */
int inherit_mkdir(int dirfd, const char *name)
{
    char tmp[NAME_MAX + 1];
    int rc;

    if (owner == NOBODY && group == NOBODY)
        return make(dirfd, name);
    if (faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    if (snprintf(tmp, sizeof(tmp), "%s.tmp", name) > NAME_MAX)
        return -ENAMETOOLONG;
    rc = make(dirfd, tmp);
    if (!rc || rc == -EEXIST)
        rc = give_directory(dirfd, tmp);
    if (!rc)
        rc = io_rename_new(dirfd, tmp, name);
    if (rc == -ENOENT)
        return -EEXIST;
    if (!rc)
        return 0;
    (void)unlinkat(dirfd, tmp, AT_REMOVEDIR);
    return rc == -EEXIST ? rc : make_then_give(dirfd, name);
}
