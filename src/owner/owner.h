/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who uses an archive. One writer or many readers: an flock(2) on the archive
 * directory itself decides on this host, so that a reader needs to write
 * nothing; the file .mosaicfs/lock names the writer, to people and to other
 * hosts. The states and what each crash leaves stand in owner.c.
 */
#ifndef OWNER_OWNER_H
#define OWNER_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/record.h"
#include "owner/writer.h"

/* An archive that this process has taken. */
struct owner {
    const struct archive *archive;
    bool read_only;
    bool locked;            /* the flock is ours, or the file system has none */
    bool exclusive;         /* nobody else uses the archive: the flock reaches them all */
    bool recorded;          /* the record is ours */
    struct record record;   /* ours; as it stands in the lock when recorded */
    struct record previous; /* that of a dead process, which was there; pid 0: none */
};

/*
 * The first half: takes the flock, exclusively or shared when read_only, and looks
 * whether the record of another stands in the way. Writes nothing. A process that is
 * just finishing (its mount is gone) is waited for, up to 60 s, so whatever
 * was read of the archive before is out of date. mountpoint is
 * absolute, or "" for a short use without a mount. 0 or -errno, logged with the
 * holder's name: -EBUSY when held, -ESTALE when the path names another directory
 * by now. Ends with owner_drop() or the process; archive stays open until then.
 */
MUST_CHECK int owner_lock(struct owner *owner, const struct archive *archive,
                          const char *mountpoint, bool read_only);

/*
 * The second half: what a dead process wrote is brought to disk, and unless
 * read_only our record is written, in place of that of the dead. archive->index
 * has been read under the lock. 0 or -errno, logged: -EBUSY when another
 * host was faster, -EROFS when its features are not ours to write. After an error
 * owner_drop() gives back what is held.
 */
MUST_CHECK int owner_enter(struct owner *owner);

/* Both, for who has read the index under the flock of owner_exclude(). */
MUST_CHECK int owner_take(struct owner *owner, const struct archive *archive,
                          const char *mountpoint, bool read_only);

/* The two below look at nothing outside the archive: by then the process may be confined to it. */

/* Notes in the record that the mount point was made by us. Writer only. */
MUST_CHECK int owner_made_mountpoint(struct owner *owner);

/*
 * Clears the record (of a writer) and the lock, as far as they were taken. Not
 * after a flush that failed: then archive_close() alone gives up the lock, and
 * the record tells the next writer.
 */
void owner_drop(struct owner *owner);

/*
 * Reads the record of a writer that is alive, or may be. 0; -ENOENT when nobody
 * writes; else -errno.
 */
MUST_CHECK int owner_read(const struct archive *archive, struct record *record);

/* What the lock says of who writes. *record is set unless NONE or DAMAGED. 0 or -errno. */
MUST_CHECK int owner_look(const struct archive *archive, struct record *record,
                          enum owner_state *state);

/*
 * For who repairs what stands in the way of owner_take(), which may follow: the
 * flock alone. 0 or -EBUSY, logged.
 */
MUST_CHECK int owner_exclude(const struct archive *archive);

/* A process of this host that holds the archive's lock, or 0. Reads /proc/locks. */
pid_t owner_holder(const struct archive *archive);

/* How many of them there are; *exclusive: it is a writer. */
unsigned owner_holder_count(const struct archive *archive, bool *exclusive);

/* Says who uses an archive that could not be taken, and what to do. */
void owner_holder_tell(const struct archive *archive);

/*
 * True when the process of a record, which lives, has certainly not this
 * directory open: a copy of an archive in use has such a record, and so has the
 * same archive where another mount of the file system below gives it another inode.
 */
bool owner_holder_strange(const struct archive *archive, const struct record *record);

/* That is so: what it means, and what to do. */
void owner_holder_note_copy(const struct archive *archive, const struct record *record);

/* True when that process has the archive mounted somewhere, or we cannot tell. */
bool owner_holder_mounted(const struct archive *archive, pid_t pid);

#endif
