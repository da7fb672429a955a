/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive directory: create it, open it, read what it is. Errors are logged
 * here, with the archive's name and what to do next.
 */
#ifndef ARCHIVE_ARCHIVE_H
#define ARCHIVE_ARCHIVE_H

#include <limits.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "format/index.h"

/* Of a new archive's directory, less what umask(2) forbids: what is on a drive is its owner's. */
#define ARCHIVE_MODE 0700

struct archive {
    int dirfd;           /* O_RDONLY | O_DIRECTORY */
    char path[PATH_MAX]; /* absolute, no symbolic links */
    struct index index;
    uint64_t head; /* LAYOUT_TAIL: bytes before those of the tile, in each file */
};

/*
 * Writes an archive of index->layout, format 2 or a sparse bundle, into path, which must
 * not exist or be an empty directory. After a crash there is a whole archive or
 * a directory that is taken again. 0 or -errno.
 */
MUST_CHECK int archive_create(const char *path, const struct index *index);

/*
 * The same, with a mark of that text, FORMAT_CONVERT_NAME, which is there before the index is:
 * other commands refuse the archive until it is gone. path may also hold what such a call has
 * left when it crashed.
 */
MUST_CHECK int archive_create_marked(const char *path, const struct index *index, const char *mark,
                                     size_t len);

/*
 * archive_open_dir() and archive_read(), for who only reads and takes no lock: all
 * may have changed by the time it is used. 0 or -errno; close with archive_close().
 */
MUST_CHECK int archive_open(const char *path, struct archive *archive);

/* The directory alone, whatever it holds: archive->index is not read. */
MUST_CHECK int archive_open_dir(const char *path, struct archive *archive);

/*
 * Reads the index, and what only the tiles tell; refuses an archive whose tiles a
 * reindex or a rollback has not finished putting back, or that a conversion has not finished. Holds
 * for as long as a lock that was taken before, see drive/drive.h. 0 or -errno.
 */
MUST_CHECK int archive_read(struct archive *archive);

/* The same, also of an archive whose rollback to a snapshot was interrupted: for that one. */
MUST_CHECK int archive_read_between(struct archive *archive);

/* The same, also of one that a conversion has not finished: for that one. */
MUST_CHECK int archive_read_unfinished(struct archive *archive);

/* Says so, and what to do, if a conversion has not finished the archive: -EBUSY; else 0. */
MUST_CHECK int archive_refuse_converted(const struct archive *archive);

/*
 * Whether a directory above path, which is absolute and without links, is an archive; then
 * around is that one. What lies in it belongs to it.
 */
bool archive_within(const char *path, char around[PATH_MAX]);

/*
 * Opens the archive's private directory; create: makes it where it is missing.
 * 0 or -errno, not logged.
 */
MUST_CHECK int archive_private(const struct archive *archive, bool create, int *fd);

/* All of it, and of its file system, is durable. 0 or -errno, logged. */
MUST_CHECK int archive_sync_all(const struct archive *archive);

void archive_close(struct archive *archive);

#endif
