/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive directory: create it, open it, read its index. Errors are logged
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
 * archive_open_dir() and archive_read(), for who only reads and takes no lock: all
 * may have changed by the time it is used. 0 or -errno; close with archive_close().
 */
MUST_CHECK int archive_open(const char *path, struct archive *archive);

/* The directory alone, whatever it holds: archive->index is not read. */
MUST_CHECK int archive_open_dir(const char *path, struct archive *archive);

/*
 * Reads the index, and what only the tiles tell; refuses an archive whose tiles a
 * reindex has not finished putting back. Holds for as long as a lock that was
 * taken before, see drive/drive.h. 0 or -errno.
 */
MUST_CHECK int archive_read(struct archive *archive);

/*
 * Reads a file that may be an index, of whatever kind: its bytes tell. 0 or
 * -errno, not logged; -EBADMSG and -ENOTSUP as index_parse() and bundle_parse()
 * say them, then with *why, else NULL.
 */
MUST_CHECK int archive_read_index(const struct archive *archive, const char *name,
                                  struct index *index, const char **why);

/* The same for the place of an index: one of another kind is -EBADMSG there. */
MUST_CHECK int archive_read_named(const struct archive *archive, const char *name,
                                  struct index *index, const char **why);

/*
 * Reads the archive's index, or the copy of it that some kinds have. *name is the file that
 * it came from, or that is to blame. Results as archive_read_index(), and when
 * 0 came from the copy, *why tells what is wrong with the first; else NULL.
 */
MUST_CHECK int archive_find_index(const struct archive *archive, struct index *index,
                                  const char **name, const char **why);

/*
 * Whether a directory above path, which is absolute and without links, is an archive; then
 * around is that one. What lies in it belongs to it.
 */
bool archive_within(const char *path, char around[PATH_MAX]);

/* Whether the directory has the index of any kind of archive, or its copy, good or bad. */
bool archive_has_index(int dirfd);

/*
 * Opens the archive's private directory; create: makes it where it is missing.
 * 0 or -errno, not logged.
 */
MUST_CHECK int archive_private(const struct archive *archive, bool create, int *fd);

/* Writes archive->index where there is none. 0 or -errno, logged. */
MUST_CHECK int archive_write_index(const struct archive *archive);

/* All of it, and of its file system, is durable. 0 or -errno, logged. */
MUST_CHECK int archive_sync_all(const struct archive *archive);

void archive_close(struct archive *archive);

#endif
