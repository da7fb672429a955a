/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive directory: create it, open it, read its index. Errors are logged
 * here, with the archive's name and what to do next.
 */
#ifndef STORE_ARCHIVE_H
#define STORE_ARCHIVE_H

#include <limits.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "format/index.h"

struct archive {
    int dirfd;           /* O_RDONLY | O_DIRECTORY */
    char path[PATH_MAX]; /* absolute, no symbolic links */
    struct index index;
};

/*
 * Writes a format 2 archive into path, which must not exist or be an empty
 * directory. After a crash there is a whole archive or an empty directory.
 * 0 or -errno.
 */
MUST_CHECK int archive_create(const char *path, const struct index *index);

/* 0 or -errno; close with archive_close(). */
MUST_CHECK int archive_open(const char *path, struct archive *archive);

/* The directory alone, whatever it holds: archive->index is not read. */
MUST_CHECK int archive_open_dir(const char *path, struct archive *archive);

/*
 * Reads the index, or a file that may be one. 0 or -errno, not logged; -EBADMSG
 * and -ENOTSUP as index_parse() says them, then with *why, else NULL.
 */
MUST_CHECK int archive_read_index(const struct archive *archive, const char *name,
                                  struct index *index, const char **why);

/*
 * Opens the archive's private directory; create: makes it where it is missing.
 * 0 or -errno, not logged.
 */
MUST_CHECK int archive_private(const struct archive *archive, bool create, int *fd);

void archive_close(struct archive *archive);

#endif
