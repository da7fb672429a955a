/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "replace.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "model.h"
#include "watch.h"

#define REPLACED "replaced"

static unsigned char buffer[2 * MODEL_SECTOR];

/* Old or new, and nothing else; new when it was replaced. */
static void check_replaced(struct run *run, int dirfd, unsigned stamp, int rc)
{
    unsigned char got[MODEL_SECTOR];
    size_t len;
    int err = io_read_file(dirfd, REPLACED, buffer, sizeof(buffer), &len);

    model_fill(got, 0, sizeof(got), run->replaced);
    if (err == -ENOENT && rc && !run->replaced)
        return;
    if (!err && len == sizeof(got) && rc && memcmp(buffer, got, len) == 0)
        return;
    model_fill(got, 0, sizeof(got), stamp);
    if (err || len != sizeof(got) || memcmp(buffer, got, len) != 0)
        run_problem(run, "the replaced file is neither old nor new");
    run->replaced = stamp;
}

static int replace(struct run *run, const struct step *step, enum io_replace_mode mode)
{
    int dirfd = open(run->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dirfd < 0 ? -errno : 0;

    if (rc)
        return rc;
    model_fill(buffer, 0, MODEL_SECTOR, step->stamp);
    rc = io_replace(dirfd, REPLACED, buffer, MODEL_SECTOR, mode);
    if (rc == -EEXIST && mode == IO_NEW && run->replaced == step->stamp)
        rc = 0; /* an earlier try got so far, but could not sync the directory */
    else if (!rc && watch_unsynced())
        run_problem(run, "replaced, but '%s' is not on disk", watch_unsynced());
    sys_pause();
    check_replaced(run, dirfd, step->stamp, rc);
    sys_resume();
    close(dirfd);
    return rc;
}

int replace_new(struct run *run, const struct step *step)
{
    return replace(run, step, IO_NEW);
}

int replace_over(struct run *run, const struct step *step)
{
    return replace(run, step, IO_OVER);
}
