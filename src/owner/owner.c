/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two things say that an archive is in use, because neither alone suffices:
 *
 *   flock   on the archive directory: exclusive for a writer, shared for
 *           readers. Exact on one host, gone with its process, needs no file.
 *           Says nothing to other hosts, and some file systems lack it.
 *   record  .mosaicfs/lock, of a writer only: names it, to people and to other
 *           hosts. Survives its process.
 *
 * Order of a writer: flock, look at the record, read the archive, write its own record
 * (atomic and durable), use the archive, remove the record, drop the flock. What a
 * crash leaves, and what the next writer makes of it:
 *
 *   flock gone, the record's writer certainly dead  replaced, with a note, when what that
 *                                                   one wrote is on disk
 *   flock gone, the record's writer alive           held: flock does not work here
 *   flock gone, nobody can tell                     refused: it may be alive
 *   flock held, no record                           starting, finishing, or a reader
 *
 * What is certain stands in writer.c.
 */
#include "owner/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive/snapshots.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "format/format.h"
#include "owner/leftovers.h"
#include "owner/owner_record.h"

#define FINISH_WAIT_MS 60000 /* for a process that is writing its last bytes */
#define FINISH_POLL_MS 5

/*
 * 0 when the record in the archive names this process, -EBUSY when it does not.
 * One that cannot be read is neither: -errno, logged.
 */
static int check_ours(const struct owner *owner)
{
    const struct record *me = &owner->record;
    struct record there;
    int rc = owner_record_read(owner->archive, &there);

    if (rc && rc != -ENOENT && rc != -EBADMSG)
        return owner_record_complain(owner->archive, rc);
    return !rc && strcmp(there.machine, me->machine) == 0 && strcmp(there.boot, me->boot) == 0 &&
                   there.pid == me->pid
               ? 0
               : -EBUSY;
}

/* Without a lock: what can be told by looking. */
static enum owner_state look_at(const struct archive *archive, const struct record *record)
{
    return writer_state(record, fs_local(archive->dirfd), false);
}

int owner_read(const struct archive *archive, struct record *record)
{
    int rc = owner_record_read(archive, record);

    if (!rc && look_at(archive, record) == OWNER_DEAD)
        rc = -ENOENT;
    return rc;
}

int owner_look(const struct archive *archive, struct record *record, enum owner_state *state)
{
    int rc = owner_record_read(archive, record);

    if (rc == -ENOENT)
        *state = OWNER_NONE;
    else if (rc == -EBADMSG || rc == -EINVAL || rc == -ELOOP || rc == -EFBIG)
        *state = OWNER_DAMAGED; /* or no regular file */
    else if (rc)
        return rc;
    else
        *state = look_at(archive, record);
    return 0;
}

/* The flock. One whose holder has unmounted already is about to be free: wait for it. */
static int wait_for_flock(const struct archive *archive, bool read_only, bool *taken)
{
    int operation = (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB;

    for (int waited = 0;; waited += FINISH_POLL_MS) {
        int rc = io_flock(archive->dirfd, operation);
        pid_t pid;

        *taken = rc == 0;
        if (rc == 0)
            return 0;
        if (rc != -EWOULDBLOCK) {
            log_debug("no flock on '%s' (%s): only its lock file protects it", archive->path,
                      strerror(-rc));
            return 0;
        }
        pid = owner_holder(archive);
        if (waited >= FINISH_WAIT_MS || !pid || owner_holder_mounted(archive, pid)) {
            /* The holder may have gone between the two looks. */
            *taken = io_flock(archive->dirfd, operation) == 0;
            if (*taken)
                return 0;
            owner_holder_tell(archive);
            return -EBUSY;
        }
        if (waited == 1000)
            log_note("waiting for process %d to finish writing to '%s'", (int)pid, archive->path);
        usleep(FINISH_POLL_MS * 1000);
    }
}

static void complain_foreign(const struct archive *archive, const struct record *record)
{
    char since[32] = "an unknown time";
    struct tm tm;
    time_t t = (time_t)record->since;

    if (gmtime_r(&t, &tm))
        strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S UTC", &tm);
    log_error("archive '%s' is in use by host '%s' (process %d, %s%s%ssince %s)", archive->path,
              record->host, (int)record->pid, record->mountpoint[0] ? "mounted on '" : "",
              record->mountpoint, record->mountpoint[0] ? "' " : "", since);
    switch (writer_doubt(record)) {
    case WRITER_OTHER_BOOT:
        log_note("that host has the machine-id of this one but a different boot ID (%s): it is a "
                 "clone, or this host before a restart; on a network or FUSE file system the two "
                 "cannot be distinguished",
                 record->boot);
        break;
    case WRITER_OTHER_SPACE:
        log_note("that process is not visible from here: it is in another PID namespace, such as "
                 "that of a container");
        break;
    case WRITER_OTHER_MACHINE:
        break;
    }
    log_note(
        "unmount it there; if you are certain that it is not in use, remove '%s/%s' and try again",
        archive->path, FORMAT_LOCK_NAME);
}

static void note_stale(const struct archive *archive, const struct record *record)
{
    if (record->mountpoint[0])
        log_note("process %d ended without unmounting '%s'; replaced its lock", (int)record->pid,
                 archive->path);
    else
        log_note(
            "process %d, which worked on '%s' without mounting it, was interrupted; replaced its "
            "lock. If it was 'mosaicfs reindex', 'check --repair' or 'snapshot rollback', run it "
            "again",
            (int)record->pid, archive->path);
}

/*
 * While we waited, or between two steps of ours, the archive may have been moved
 * away and another one put in its place: what path names then is not what is locked.
 */
static int check_place(const struct archive *archive)
{
    struct stat ours, there;
    int rc = fstat(archive->dirfd, &ours) ? -errno : 0;

    if (!rc)
        rc = fstatat(AT_FDCWD, archive->path, &there, 0) ? -errno : 0;
    if (rc && rc != -ENOENT && rc != -ENOTDIR) {
        log_error("cannot look at '%s': %s", archive->path, strerror(-rc));
        return rc;
    }
    if (!rc && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
        return 0;
    log_error("'%s' was moved or replaced just now", archive->path);
    log_note("try again");
    return -ESTALE;
}

/* *exclusive: nobody else uses the archive. */
static int take_flock(const struct archive *archive, bool read_only, bool *exclusive)
{
    bool taken;
    int rc = wait_for_flock(archive, read_only, &taken);

    *exclusive = !rc && taken && !read_only && fs_local(archive->dirfd);
    if (!rc) {
        rc = check_place(archive);
        if (rc)
            (void)!io_flock(archive->dirfd, LOCK_UN);
    }
    return rc;
}

/* With the flock in hand: 0 when no record stands in the way. */
static int check_record(const struct owner *owner, struct record *stale)
{
    const struct archive *archive = owner->archive;
    struct record record;
    int rc = owner_record_read(archive, &record);

    *stale = (struct record){0};
    if (rc == -ENOENT)
        return 0;
    if (rc) {
        owner_record_complain(archive, rc);
        if (rc == -EBADMSG || rc == -EINVAL || rc == -ELOOP || rc == -EFBIG) /* it is no record */
            log_note(
                "if you are sure that no host uses the archive, remove that file and try again");
        return rc;
    }
    switch (writer_state(&record, fs_local(archive->dirfd), owner->exclusive)) {
    case OWNER_DEAD:
        break;
    case OWNER_ALIVE:
        if (record.pid == getpid())
            break; /* of one that had our number */
        owner_holder_tell(archive);
        return -EBUSY;
    default:
        complain_foreign(archive, &record);
        return -EBUSY;
    }
    *stale = record;
    return 0;
}

int owner_exclude(const struct archive *archive)
{
    bool exclusive;

    return take_flock(archive, false, &exclusive);
}

/* Nobody writes to a snapshot, and a writer must know every feature of the archive that says so. */
static int check_writable(const struct archive *archive)
{
    if (snapshots_is_one(archive)) {
        log_error("'%s' is a snapshot: it can only be read", archive->path);
        log_note("mount it with --read-only; a copy of it elsewhere is an archive as any other");
        return -EROFS;
    }
    if (!archive->index.read_only)
        return 0;
    log_error("archive '%s' uses a feature of a newer version: it can only be read", archive->path);
    log_note("mount it with --read-only, or use the newer version");
    return -EROFS;
}

/*
 * Writes our record. Where flock does not reach, another may have written at the
 * same time: then the archive is not ours.
 */
static int take_record(const struct owner *owner)
{
    const struct archive *archive = owner->archive;
    struct record other;
    int rc = owner_record_write(archive, &owner->record, owner->previous.pid ? IO_OVER : IO_NEW);
    bool lost;

    if (rc == -EEXIST && owner_record_read(archive, &other) == -ENOENT) /* an empty file */
        rc = owner_record_write(archive, &owner->record, IO_OVER);
    lost = rc == -EEXIST;
    if (!rc) {
        rc = check_ours(owner);
        lost = rc == -EBUSY;
    }
    if (!lost)
        return rc;
    if (!check_record(owner, &other))
        owner_holder_tell(archive);
    return -EBUSY;
}

int owner_lock(struct owner *owner, const struct archive *archive, const char *mountpoint,
               bool read_only)
{
    int rc;

    *owner = (struct owner){.archive = archive, .read_only = read_only};
    rc = take_flock(archive, read_only, &owner->exclusive);
    owner->locked = rc == 0;
    if (!rc)
        rc = check_record(owner, &owner->previous);
    if (rc)
        owner_drop(owner);
    else if (!read_only)
        writer_self(&owner->record, mountpoint);
    owner->record.local = owner->exclusive;
    return rc;
}

int owner_enter(struct owner *owner)
{
    const struct archive *archive = owner->archive;
    int rc = owner->read_only ? 0 : check_writable(archive);

    if (!rc && owner->previous.pid)
        rc = leftovers_adopt(archive, owner->read_only);
    if (rc || owner->read_only)
        return rc;
    rc = take_record(owner);
    owner->recorded = rc == 0;
    if (!rc && owner->previous.pid)
        note_stale(archive, &owner->previous);
    return rc;
}

int owner_take(struct owner *owner, const struct archive *archive, const char *mountpoint,
               bool read_only)
{
    int rc = owner_lock(owner, archive, mountpoint, read_only);

    if (!rc) {
        rc = owner_enter(owner);
        if (rc)
            owner_drop(owner);
    }
    return rc;
}

int owner_made_mountpoint(struct owner *owner)
{
    owner->record.made_mountpoint = true;
    return owner_record_write(owner->archive, &owner->record, IO_OVER);
}

void owner_drop(struct owner *owner)
{
    const struct archive *archive = owner->archive;
    int rc = owner->recorded ? check_ours(owner) : 0;

    if (rc == -EBUSY) {
        log_error("the lock '%s/%s' was removed or replaced by another program while the archive "
                  "was in use",
                  archive->path, FORMAT_LOCK_NAME);
        log_note(
            "if another host wrote to the archive meanwhile, check the file system on the drive");
    }
    if (!rc && owner->recorded)
        owner_record_remove(archive, owner->record.mountpoint[0]);
    if (owner->locked)
        flock(archive->dirfd, LOCK_UN);
    owner->recorded = owner->locked = false;
}
