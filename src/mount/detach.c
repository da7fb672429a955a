/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Before each unmount, which unmount.c does, compares the id of the mount on top with
 * that of the mount that is meant.
 */
#include "mount/detach.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define BUSY_TRIES 10 /* losetup -d and a dying process let go a moment after they return */
#define BUSY_PAUSE_MS 50

/* False when it is known to be gone. */
static bool still_there(const struct mount *mount)
{
    struct mounts now;
    bool found = mounts_read(0, &now) != 0;

    for (size_t i = 0; i < now.n; i++)
        found = found || (now.list[i].id == mount->id && now.list[i].ours);
    mounts_release(&now);
    return found;
}

/* Asks for nothing that a server would have to answer, or that not everybody may know. */
bool detach_covered(const struct mount *mount)
{
    uint64_t id;
    int rc = unmount_top_id(mount->mountpoint, &id);
    bool other = rc ? rc == -ENOENT || rc == -ENOTDIR : id && id != (uint64_t)mount->id;

    return other && still_there(mount);
}

static int try(const struct mount *mount, bool lazy, char why[UNMOUNT_WHY])
{
    if (!detach_covered(mount))
        return unmount_path(mount->mountpoint, lazy, why);
    snprintf(why, UNMOUNT_WHY, "it is covered by another mount");
    return -EXDEV;
}

int detach_soon(const struct mount *mount, char why[UNMOUNT_WHY])
{
    int rc = try(mount, false, why);

    for (int i = 1; rc == -EBUSY && i < BUSY_TRIES; i++) {
        poll(NULL, 0, BUSY_PAUSE_MS);
        rc = try(mount, false, why);
    }
    return rc && !still_there(mount) ? 0 : rc;
}

int detach_lazily(const struct mount *mount, char why[UNMOUNT_WHY])
{
    int rc = try(mount, true, why);

    return rc && !still_there(mount) ? 0 : rc;
}

void detach_tell_covered(const struct mounts *mounts, const struct mount *mount, const char *name)
{
    const struct mount *other = NULL;

    for (size_t i = 0; i < mounts->n; i++)
        if (mounts->list[i].id != mount->id &&
            strcmp(mounts->list[i].mountpoint, mount->mountpoint) == 0)
            other = &mounts->list[i];
    log_error("cannot unmount '%s': it is covered by another mount", name);
    if (other)
        log_note("run 'umount %s' to unmount that one, then try again", other->mountpoint);
    else
        log_note("first unmount that one, which is on a directory above, then try again");
}
