/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order: each directory is made and its entry synced before anything moves into
 * it; then the rename, which never replaces a file; then the new directory is
 * synced and last the old one. So at a power cut the file is in the old place
 * or in the new one, and is in no case forgotten by both.
 *
 * Every repair has a directory of its own, so names cannot meet there.
 */
#include "check/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "check/inspect.h"
#include "format/format.h"

#define SAME_SECOND 100 /* repairs that begin in one second */

/* Opens name in dirfd, made if need be; its entry is durable. */
static int make_dir(int dirfd, const char *name, int *fd)
{
    int rc = inherit_mkdir(dirfd, name);

    *fd = -1;
    if (rc && rc != -EEXIST)
        return rc;
    rc = io_fsync(dirfd);
    return rc ? rc : io_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0, fd);
}

/* A new directory that is called by the time. */
static int make_own(int lost, struct repair *repair)
{
    time_t now = time(NULL);
    char stamp[32];
    struct tm tm;
    int rc;

    if (!gmtime_r(&now, &tm) || !strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &tm))
        return -EOVERFLOW;
    for (int i = 1; i <= SAME_SECOND; i++) {
        const char *name = repair->path + strlen(FORMAT_PRIVATE_DIR "/" JUDGE_LOST "/");

        snprintf(repair->path, sizeof(repair->path), FORMAT_PRIVATE_DIR "/" JUDGE_LOST "/%s",
                 stamp);
        if (i > 1)
            snprintf(repair->path + strlen(repair->path),
                     sizeof(repair->path) - strlen(repair->path), "-%d", i);
        rc = inherit_mkdir(lost, name);
        if (!rc)
            return make_dir(lost, name, &repair->dirfd);
        if (rc != -EEXIST)
            return rc;
    }
    return -EEXIST;
}

int repair_open(const struct archive *archive, struct repair *repair)
{
    int private = -1, lost = -1;
    int rc;

    *repair = (struct repair){.archive = archive, .dirfd = -1};
    rc = make_dir(archive->dirfd, FORMAT_PRIVATE_DIR, &private);
    if (!rc)
        rc = make_dir(private, JUDGE_LOST, &lost);
    if (!rc)
        rc = make_own(lost, repair);
    if (private >= 0)
        close(private);
    if (lost >= 0)
        close(lost);
    if (rc)
        log_error("cannot make a directory in '%s/%s/%s': %s", archive->path, FORMAT_PRIVATE_DIR,
                  JUDGE_LOST, strerror(-rc));
    return rc;
}

void repair_close(struct repair *repair)
{
    if (repair->dirfd >= 0)
        close(repair->dirfd);
    repair->dirfd = -1;
}

static int move_synced(struct repair *repair, int from, int to, const char *name)
{
    int rc = io_move_new(from, name, to, name);

    if (rc)
        return rc;
    rc = io_fsync(to);
    if (!rc)
        rc = io_fsync(from);
    repair->unsynced = rc != 0;
    return rc;
}

/* folder: that it lies in, NULL for the archive itself. */
static int move_from(struct repair *repair, const char *folder, const char *name)
{
    int from = -1, to = -1;
    int rc;

    if (!folder)
        return move_synced(repair, repair->archive->dirfd, repair->dirfd, name);
    rc = io_open(repair->archive->dirfd, folder, O_RDONLY | O_DIRECTORY, 0, &from);
    if (!rc)
        rc = make_dir(repair->dirfd, folder, &to);
    if (!rc)
        rc = move_synced(repair, from, to, name);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    return rc;
}

int repair_move(struct repair *repair, struct scan_finding *finding)
{
    char *folder = strdup(finding->path), *slash = folder ? strrchr(folder, '/') : NULL;
    int rc = -ENOMEM;

    if (folder && asprintf(&finding->moved, "%s/%s", repair->path, finding->path) < 0)
        finding->moved = NULL;
    if (slash)
        *slash = '\0';
    if (finding->moved)
        rc = move_from(repair, slash ? folder : NULL, slash ? slash + 1 : folder);
    free(folder);
    if (!rc)
        return 0;
    log_error("cannot move '%s/%s' to '%s': %s", repair->archive->path, finding->path, repair->path,
              strerror(-rc));
    free(finding->moved);
    finding->moved = NULL;
    return rc;
}
