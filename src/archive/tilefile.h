/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done to one tile file, apart from reading and writing it. Nothing is
 * logged here.
 */
#ifndef ARCHIVE_TILEFILE_H
#define ARCHIVE_TILEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Makes the empty file name in the folder. 0, -EEXIST when it is there, else -errno. */
MUST_CHECK int tilefile_create(int folder, const char *name, int *fd);

/*
 * Makes the file name, which has its whole length from the moment its name
 * exists: first head, of head_len bytes, then zeros up to len. Both are durable
 * then. As above.
 */
MUST_CHECK int tilefile_create_whole(int folder, const char *name, const void *head,
                                     size_t head_len, uint64_t len, int *fd);

/*
 * Puts a new file in the place of name, or where there is none: head, of
 * head_len bytes, then all that the file fd holds from off on, holes left out.
 * After a crash there is the old one or the whole new one, but the entry is not
 * durable yet. The owner is that of like and so are the permissions to read and
 * write, as far as we may; with keep_time the time is that of fd's file. 0 or -errno.
 */
struct stat;
MUST_CHECK int tilefile_replace(int folder, const char *name, const void *head, size_t head_len,
                                int fd, uint64_t off, const struct stat *like, bool keep_time);

/* The bytes [off, end) of a file of that size become zeros; it keeps its size. 0 or -errno. */
MUST_CHECK int tilefile_punch(int fd, uint64_t off, uint64_t end, uint64_t size);

/*
 * The bytes [off, end), which the file has, become zeros; what they occupy stays
 * theirs, and what is a hole stays one. 0 or -errno.
 */
MUST_CHECK int tilefile_blank(int fd, uint64_t off, uint64_t end);

/*
 * No data from off on, where those of a tile begin, and no space reserved for some.
 * Nobody writes meanwhile. What is told of holes is believed where it is known to be
 * true, else every byte is read.
 */
bool tilefile_is_empty(int fd, uint64_t off);

#endif
