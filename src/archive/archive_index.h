/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index of an archive: the file that says what the archive is, of whatever kind.
 */
#ifndef ARCHIVE_ARCHIVE_INDEX_H
#define ARCHIVE_ARCHIVE_INDEX_H

#include <stdbool.h>

#include "archive/archive.h"
#include "base/compiler.h"

/*
 * Reads a file that may be an index, of whatever kind: its bytes tell. 0 or
 * -errno, not logged; -EBADMSG and -ENOTSUP as index_parse() and bundle_parse()
 * say them, then with *why, else NULL.
 */
MUST_CHECK int archive_index_read(const struct archive *archive, const char *name,
                                  struct index *index, const char **why);

/* The same for the place of an index: one of another kind is -EBADMSG there. */
MUST_CHECK int archive_index_read_named(const struct archive *archive, const char *name,
                                        struct index *index, const char **why);

/*
 * Reads the archive's index, or the copy of it that some kinds have. *name is the file that
 * it came from, or that is to blame. Results as archive_index_read(), and when
 * 0 came from the copy, *why tells what is wrong with the first; else NULL.
 */
MUST_CHECK int archive_index_find(const struct archive *archive, struct index *index,
                                  const char **name, const char **why);

/* Whether the directory has the index of any kind of archive, or its copy, good or bad. */
bool archive_index_exists(int dirfd);

/* Writes archive->index where there is none. 0 or -errno, logged. */
MUST_CHECK int archive_index_write(const struct archive *archive);

/*
 * Replaces the index on disk by the same one for an image of geo, which has the same tile size;
 * archive->index stays as it was. 0; -ERANGE, logged, when that kind of index cannot tell that
 * size; else -errno, logged: after -EIO it may be either.
 */
MUST_CHECK int archive_index_resize(const struct archive *archive, const struct geometry *geo);

/*
 * Reads archive->index, from the copy if need be, and says what is wrong and what to
 * do next. 0 or -errno, logged.
 */
MUST_CHECK int archive_index_load(struct archive *archive);

/* Says what it means when rc is an error of the disk, or of what serves the file system. */
void archive_index_note_gone(int rc);

#endif
