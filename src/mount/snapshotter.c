/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mount/snapshotter.h"

#include <errno.h>

#include "base/log.h"
#include "front/control.h"
#include "mount/freeze.h"
#include "mount/server.h"

static int ask(const struct served *served, enum snapshot_step step, uint64_t *stalled)
{
    static const unsigned long calls[] = {
        [SNAPSHOT_BEGIN] = CONTROL_SNAPSHOT_BEGIN,
        [SNAPSHOT_TAKE] = CONTROL_SNAPSHOT_TAKE,
        [SNAPSHOT_LINKS_BEGIN] = CONTROL_LINKS_BEGIN,
        [SNAPSHOT_LINKS_END] = CONTROL_LINKS_END,
    };
    uint64_t unused;

    return server_snapshot(served->mount, &served->server, calls[step],
                           stalled ? stalled : &unused);
}

static int step_asked(void *arg, enum snapshot_step step, uint64_t *stalled)
{
    const struct snapshotter *asked = arg;
    struct freeze freeze;
    int rc, thawed;

    if (step != SNAPSHOT_TAKE || !asked->freeze)
        return ask(asked->served, step, stalled);
    rc = freeze_begin(&asked->served->mounts, asked->served->mount, &freeze);
    if (rc)
        return rc;
    rc = ask(asked->served, step, stalled);
    thawed = freeze_end(&freeze);
    return rc ? rc : thawed;
}

int snapshotter_find(const struct served *served, const char *path, bool freeze,
                     struct snapshotter *asked, const struct snapshot_writer **found)
{
    const struct mount *mount = served->mount;

    *asked = (struct snapshotter){served, freeze, {step_asked, asked}};
    *found = mount ? &asked->writer : NULL;
    if (!mount || !mount->read_only)
        return 0;
    log_error("cannot change the snapshots of '%s': it is mounted read-only on '%s'", path,
              mount->mountpoint);
    log_note("unmount it first");
    return -EROFS;
}
