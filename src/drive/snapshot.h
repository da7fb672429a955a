/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making, deleting, listing and comparing snapshots of an archive, see archive/snapshots.h. What
 * is made and deleted is whole at each instant, also after a crash: see snapshot.c.
 */
#ifndef DRIVE_SNAPSHOT_H
#define DRIVE_SNAPSHOT_H

#include <stdint.h>

#include "archive/archive.h"
#include "archive/snapshots.h"
#include "base/compiler.h"

/* What the writer of an archive has to do for a snapshot, in image/image.h. */
enum snapshot_step {
    SNAPSHOT_BEGIN, /* image_snapshot_begin() */
    SNAPSHOT_TAKE,  /* image_snapshot_take(): *stalled */
    SNAPSHOT_LINKS_BEGIN,
    SNAPSHOT_LINKS_END,
};

/* Who writes to an archive that is in use. step: 0 or -errno, logged. */
struct snapshot_writer {
    int (*step)(void *arg, enum snapshot_step step, uint64_t *stalled);
    void *arg;
};

struct snapshot_made {
    uint32_t tiles;
    uint64_t stalled; /* nanoseconds for which requests were stopped */
};

/* Is told how many of at most so many tiles have come. */
typedef void snapshot_progress(void *arg, uint32_t tile, uint32_t ntiles);

/*
 * Makes a snapshot of an archive whose index has been read. writer NULL: nobody does, and it is
 * opened for that time. 0 or -errno, logged: -EINVAL for a name that is none, -EEXIST,
 * -EBUSY when another snapshot is being made or deleted.
 */
MUST_CHECK int snapshot_create(const struct archive *archive, const char *name,
                               const struct snapshot_writer *writer, snapshot_progress *progress,
                               void *arg, struct snapshot_made *made);

/* Deletes it. As above; -ENOENT, and -EBUSY when it is mounted. */
MUST_CHECK int snapshot_delete(const struct archive *archive, const char *name,
                               const struct snapshot_writer *writer);

struct snapshot_rolled {
    uint32_t replaced, removed; /* tiles */
};

/*
 * Makes of the archive, which nobody uses, what it was in the snapshot. Of an archive whose index
 * has been read, perhaps by archive_read_between(). After a crash the archive is refused until
 * this is done again. 0 or -errno, logged: also -EBUSY when it is in use.
 */
MUST_CHECK int snapshot_rollback(const struct archive *archive, const char *name,
                                 struct snapshot_rolled *rolled);

/* The directory of a snapshot. 0; -EINVAL, -ENOENT or another -errno, logged. */
MUST_CHECK int snapshot_path(const struct archive *archive, const char *name, char path[PATH_MAX]);

struct snapshot_info {
    char name[FORMAT_SNAPSHOT_NAME + 1];
    int64_t created; /* seconds since 1970 */
    uint64_t size;   /* of its image in bytes */
    uint32_t tiles;
    uint64_t blocks; /* of 512 bytes, occupied by them */
    uint64_t own;    /* those of them that come free when it is deleted */
};

/* Calls fn with each snapshot, the oldest first. 0 or -errno, logged. */
MUST_CHECK int snapshot_list(const struct archive *archive,
                             void (*fn)(void *arg, const struct snapshot_info *info), void *arg);

struct snapshot_held {
    size_t snapshots;
    uint64_t
        blocks; /* of 512 bytes, of tiles' files that snapshots have and the archive does not */
};

/*
 * Counts them, each file once. progress is told of each tile of each snapshot. 0 or -errno; then
 * *held has what is known, and a part of it may have been logged.
 */
MUST_CHECK int snapshot_held(const struct archive *archive, snapshot_progress *progress, void *arg,
                             struct snapshot_held *held);

/*
 * Calls fn with every tile that is another file in snapshot to, or in the archive itself where
 * that is NULL, than in snapshot from; ascending. absent: it is not in to. 0 or -errno, logged.
 */
MUST_CHECK int snapshot_diff(const struct archive *archive, const char *from, const char *to,
                             void (*fn)(void *arg, uint32_t tile, bool absent), void *arg);

#endif
