/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who uses an archive. One writer or many readers: an flock(2) on the archive
 * directory itself decides on this host, so that a reader needs to write
 * nothing; the file .mosaicfs/lock names the writer, to people and to other
 * hosts. The states and what each crash leaves stand in owner.c.
 */
#ifndef STORE_OWNER_H
#define STORE_OWNER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "store/archive.h"

#define OWNER_HOST 65
#define OWNER_ID 40

struct owner {
    char host[OWNER_HOST];  /* for people */
    char machine[OWNER_ID]; /* machine-id(5), or the host name where there is none */
    char boot[OWNER_ID];    /* random/boot_id of proc(5) */
    pid_t pid;
    uint64_t start;       /* field 22 of /proc/PID/stat: guards against a reused pid */
    int64_t since;        /* seconds since the epoch */
    bool made_mountpoint; /* the mount point did not exist and goes at unmount */
    char mountpoint[PATH_MAX];
};

/*
 * Takes the archive for the calling process, exclusively and with a record, or
 * shared and without a trace when read_only. mountpoint is absolute. A process
 * that is just finishing (its mount is gone) is waited for, up to 60 s. A record
 * that a dead process of this machine left is replaced; previous, unless NULL,
 * then gets it (else previous->pid is 0). 0 or -errno, logged with the holder's
 * name: -EBUSY when held. The lock ends with owner_drop() or the process.
 */
MUST_CHECK int owner_take(struct archive *archive, const char *mountpoint, bool read_only,
                          struct owner *previous);

/* Notes in the record that the mount point was made by us. Writer only. */
MUST_CHECK int owner_made_mountpoint(struct archive *archive, const char *mountpoint);

/*
 * Clears the record (of a writer) and the lock. Not after a flush that failed,
 * or a failed attempt to save what a dead writer left: then archive_close()
 * alone gives up the lock, and the record tells the next writer.
 */
void owner_drop(struct archive *archive, bool read_only);

/*
 * Reads the record of a live writer or of another host. 0; -ENOENT when nobody
 * writes; else -errno.
 */
MUST_CHECK int owner_read(const struct archive *archive, struct owner *owner);

/* Reads the record as it stands, also that of a dead process. 0; -ENOENT: none; else -errno. */
MUST_CHECK int owner_record(const struct archive *archive, struct owner *owner);

/* A process of this host that holds the archive's lock, or 0. Reads /proc/locks. */
pid_t owner_holder(const struct archive *archive);

#endif
