/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How a Mac says that it uses a bundle, and what of it can be seen here:
 *
 *   macOS 12 and later opens the file lock with O_EXLOCK, making it if need be,
 *   or with O_SHLOCK to read only, and opens token for writing; before, token was
 *   what it locked. It keeps both open as long as the bundle is attached.
 *   (DiskImages2, as published decompilations show it; issue 221 of
 *   jamesyc/TimeCapsuleSMB; smbstatus listings of Time Machine servers.)
 *
 *   AFP   Netatalk makes fcntl(2) locks of it, near the end of all offsets: seen,
 *         and ours on the whole of token keep a Mac out (lobeck/locker tried).
 *   NFS   the server makes fcntl(2) locks of it: likewise.
 *   SMB   Samba keeps such locks to itself, unless fruit:locking = netatalk; but
 *         it has the files open: seen by that (io_opened_to_write()), while ours
 *         are not seen by Samba. Where this is itself a client, the
 *         server refuses to open the file: seen, likewise.
 *
 * Not seen: a Mac that sleeps, or has lost its connection. The manual says so.
 *
 * Both files are locked, since either kind of Mac may come; lock is made where it
 * is missing, as a Mac would, but not before it is known that the bundle can be used.
 * A missing token is nobody's.
 */
#include "owner/maclock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "format/format.h"

static const char *const names[MACLOCK_FILES] = {FORMAT_BUNDLE_LOCK, FORMAT_BUNDLE_TOKEN};

/* What an SMB server says of a file that another client has opened for itself. */
static bool refused(int rc)
{
    return rc == -EBUSY || rc == -EAGAIN || rc == -ETXTBSY;
}

/* Somebody else has the file open for writing, or locked. */
static bool file_used(const struct archive *archive, const char *name)
{
    int rc, fd;

    rc = io_open_file(archive->dirfd, name, O_RDONLY, &fd);
    if (rc)
        return refused(rc);
    rc = io_locked(fd);
    if (rc != -EAGAIN)
        rc = io_opened_to_write(fd);
    close(fd);
    return rc == -EAGAIN;
}

bool maclock_held(const struct archive *archive)
{
    bool held = false;

    if (archive->index.layout != &layout_bundle)
        return false;
    for (unsigned i = 0; i < MACLOCK_FILES; i++)
        held = held || file_used(archive, names[i]);
    return held;
}

static void complain_lock(const struct archive *archive, const char *name, const char *what, int rc)
{
    log_error("cannot %s '%s/%s' to lock it: %s", what, archive->path, name, io_why(rc));
    log_note("to mount without writing, use 'mosaicfs mount --read-only'");
}

static int take_file(const struct archive *archive, const char *name, int *fd)
{
    int rc = io_open_file(archive->dirfd, name, O_RDWR, fd);

    if (rc) {
        *fd = -1;
        if (rc == -ENOENT)
            return 0;
        if (refused(rc))
            return -EBUSY;
        complain_lock(archive, name, "open", rc);
        return rc;
    }
    rc = io_lock(*fd);
    if (rc && rc != -EAGAIN)
        log_debug("no lock on '%s/%s': %s", archive->path, name, strerror(-rc));
    return rc == -EAGAIN ? -EBUSY : 0;
}

int maclock_take(struct maclock *lock, const struct archive *archive)
{
    int rc = 0;

    for (unsigned i = 0; i < MACLOCK_FILES; i++)
        lock->fds[i] = -1;
    if (archive->index.layout != &layout_bundle)
        return 0;
    if (maclock_held(archive))
        return -EBUSY;
    for (unsigned i = 0; !rc && i < MACLOCK_FILES; i++)
        rc = take_file(archive, names[i], &lock->fds[i]);
    if (rc)
        maclock_drop(lock);
    return rc;
}

int maclock_make(struct maclock *lock, const struct archive *archive, bool *made)
{
    int fd;
    int rc = 0;

    *made = archive->index.layout == &layout_bundle && lock->fds[0] < 0;
    if (!*made)
        return 0;
    rc = inherit_create(archive->dirfd, FORMAT_BUNDLE_LOCK, O_RDWR, &fd);
    if (!rc)
        close(fd);
    if (!rc || rc == -EEXIST)
        rc = file_used(archive, FORMAT_BUNDLE_LOCK)
                 ? -EBUSY
                 : take_file(archive, FORMAT_BUNDLE_LOCK, &lock->fds[0]);
    else
        complain_lock(archive, FORMAT_BUNDLE_LOCK, "make", rc);
    if (rc)
        maclock_drop(lock);
    return rc;
}

void maclock_drop(struct maclock *lock)
{
    for (unsigned i = 0; i < MACLOCK_FILES; i++) {
        if (lock->fds[i] >= 0)
            close(lock->fds[i]);
        lock->fds[i] = -1;
    }
}
