/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whom new files and directories of an archive belong to, and who may use them:
 * whom the archive's directory belongs to, and whom it lets in. Of the process as a
 * whole, as umask(2) is: it works on one archive.
 */
#ifndef BASE_INHERIT_H
#define BASE_INHERIT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"

/*
 * From now on all is made as the directory says. Changes the process's umask: before
 * there are threads. 0 or -errno.
 */
MUST_CHECK int inherit_from(int dirfd);

/*
 * Whether new files are given away, and to whom; -1 as with fchown(2). We can do that as
 * root, and as a member of the group.
 */
bool inherit_gives(uid_t *uid, gid_t *gid);

/*
 * Gives the new file or directory away, if need be. That it cannot be done is no reason to
 * fail: there are file systems without owners. Any thread.
 */
void inherit_give(int fd);

/* Makes and opens a regular file, which must not exist; flags are those of open(2). 0 or -errno. */
MUST_CHECK int inherit_create(int dirfd, const char *name, int flags, int *fd);

/* The same, for whom mode lets in, too. */
MUST_CHECK int inherit_create_as(int dirfd, const char *name, int flags, mode_t mode, int *fd);

/*
 * Makes a directory, which is given away before it bears its name. 0 or -errno; -EEXIST
 * also when another thread was faster.
 */
MUST_CHECK int inherit_mkdir(int dirfd, const char *name);

#endif
