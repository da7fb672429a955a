/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a repair touches, in the order of repair_all():
 *
 *   0 before it, the caller takes the flock and then scans: a finding stays true
 *   1 a Mac's lock, where the archive is a bundle
 *   2 where the record of a writer is damaged or that of a dead one: what that one
 *     wrote is brought to disk (owner/leftovers.c), and record and temporary files in
 *     .mosaicfs are moved away, for our own record would overwrite them. The record of
 *     another machine is left alone, and stops us in the next step
 *   3 our own record: from here on other machines see that somebody is at work
 *   4 every other file that does not belong there
 *
 * and back: the record, the lock of a Mac, and with the archive the flock.
 *
 * Order of a move: each directory is made and its entry synced before anything moves
 * into it; then the rename, which never replaces a file; then the new directory is
 * synced and last the old one. So at a power cut the file is in the old place or in the
 * new one, and is in no case forgotten by both. When a directory cannot be synced,
 * nothing more is moved.
 *
 * Every repair has a directory of its own, so names cannot meet there. Nothing is
 * deleted, and what stands in the place of a tile, a folder or the index stays: without
 * it the drive would show zeros instead of an error.
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
#include "owner/leftovers.h"
#include "owner/maclock.h"
#include "owner/owner.h"

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
        const char *name = repair->path + strlen(FORMAT_PRIVATE_DIR "/" INSPECT_LOST "/");

        snprintf(repair->path, sizeof(repair->path), FORMAT_PRIVATE_DIR "/" INSPECT_LOST "/%s",
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
        rc = make_dir(private, INSPECT_LOST, &lost);
    if (!rc)
        rc = make_own(lost, repair);
    if (private >= 0)
        close(private);
    if (lost >= 0)
        close(lost);
    if (rc)
        log_error("cannot make a directory in '%s/%s/%s': %s", archive->path, FORMAT_PRIVATE_DIR,
                  INSPECT_LOST, strerror(-rc));
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

/* --- all of it -------------------------------------------------------------- */

struct repairing {
    struct scan *scan;
    struct repair repair;
    struct owner owner;
    struct maclock maclock;
    void (*tell)(void *arg, const struct scan_finding *finding);
    void *arg;
};

/* What our own record would overwrite or remove. */
static bool is_lock(const struct scan_finding *f)
{
    return f->kind == SCAN_LOCK_DAMAGED || f->kind == SCAN_LOCK_STALE ||
           (f->kind == SCAN_TEMPORARY && f->where == NAMES_PRIVATE);
}

static bool has_movable(const struct scan *scan)
{
    for (size_t i = 0; i < scan->n; i++)
        if (scan_may_move(scan, &scan->list[i]))
            return true;
    return false;
}

/* A record stands in the way, and is not that of another machine. */
static bool has_locks(const struct scan *scan)
{
    bool locks = false;

    for (size_t i = 0; i < scan->n; i++) {
        if (scan->list[i].kind == SCAN_LOCK_ELSEWHERE)
            return false;
        locks = locks || is_lock(&scan->list[i]);
    }
    return locks;
}

static int move_one(struct repairing *r, struct scan_finding *f)
{
    int rc;

    if (!scan_may_move(r->scan, f) || !scan_still(r->scan, f))
        return 0;
    rc = repair_move(&r->repair, f);
    r->tell(r->arg, f);
    return rc;
}

/* locks: those of is_lock(), else all the rest. */
static int move_some(struct repairing *r, bool locks)
{
    int first = 0;

    for (size_t i = 0; i < r->scan->n && !r->repair.unsynced; i++) {
        int rc = 0;

        if (is_lock(&r->scan->list[i]) == locks)
            rc = move_one(r, &r->scan->list[i]);
        first = first ? first : rc; /* it has said which one */
    }
    return first;
}

static int lock_mac(struct repairing *r)
{
    const struct archive *archive = r->scan->archive;
    bool made;
    int rc = maclock_take(&r->maclock, archive);

    if (!rc)
        rc = maclock_make(&r->maclock, archive, &made);
    if (rc == -EBUSY)
        log_error("cannot repair archive '%s': it is in use by another program, such as a Mac",
                  archive->path);
    return rc;
}

static int clear_record(struct repairing *r)
{
    const struct archive *archive = r->scan->archive;
    int rc = leftovers_adopt(archive, false);

    if (!rc)
        rc = repair_open(archive, &r->repair);
    return rc ? rc : move_some(r, true);
}

static int move_rest(struct repairing *r)
{
    int rc = r->repair.dirfd < 0 ? repair_open(r->scan->archive, &r->repair) : 0;

    if (!rc)
        rc = move_some(r, false);
    owner_drop(&r->owner);
    return rc;
}

int repair_all(struct scan *scan, void (*tell)(void *arg, const struct scan_finding *finding),
               void *arg)
{
    struct repairing r = {
        .scan = scan, .repair.dirfd = -1, .maclock = MACLOCK_NONE, .tell = tell, .arg = arg};
    int rc;

    if (!has_movable(scan))
        return 0;
    rc = lock_mac(&r);
    if (!rc && has_locks(scan))
        rc = clear_record(&r);
    if (!rc)
        rc = owner_take(&r.owner, scan->archive, "", false);
    if (!rc)
        rc = move_rest(&r);
    repair_close(&r.repair);
    maclock_drop(&r.maclock);
    return rc;
}
