/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "meanwhile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../sys/sys.h"

#define ASIDE "mark.aside"

struct waiting {
    int base;
    char mark[64];
};

/* Whoever holds the lock is killed: what it has left is there from now on. */
static int lock_is_free(void *arg, struct sys_call *call)
{
    const struct waiting *waiting = arg;

    if (call->op == CALL_FLOCK && faccessat(waiting->base, ASIDE, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return renameat(waiting->base, ASIDE, waiting->base, waiting->mark) ? errno : 0;
    return 0;
}

/* As a mount did once: whether the archive may be used was judged without the lock. */
static int judge_early(const char *path, struct drive *drive)
{
    int rc = archive_open(path, &drive->archive);

    return rc ? rc : owner_take(&drive->owner, &drive->archive, "", false);
}

static int open_hooked(const struct work *w, const char *path, struct waiting *waiting)
{
    struct sys_hooks hooks = {.arg = waiting, .before = lock_is_free};
    struct drive drive = {.maclock = MACLOCK_NONE};
    int rc;

    if (renameat(waiting->base, waiting->mark, waiting->base, ASIDE))
        return -errno;
    sys_hook(&hooks);
    rc =
        w->judges_early ? judge_early(path, &drive) : work_open_drive(w, path, DRIVE_IMAGE, &drive);
    sys_hook(NULL);
    if (!rc)
        (void)drive_close(&drive);
    return rc;
}

int meanwhile_open(const struct work *w, const char *base, const char *mark)
{
    struct waiting waiting = {.base = open(base, O_RDONLY | O_DIRECTORY)};
    char path[PATH_MAX];
    int rc;

    if (waiting.base < 0)
        return -errno;
    snprintf(path, sizeof(path), "%s/drive.img", base);
    snprintf(waiting.mark, sizeof(waiting.mark), "drive.img/%s", mark);
    rc = open_hooked(w, path, &waiting);
    close(waiting.base);
    return rc;
}
