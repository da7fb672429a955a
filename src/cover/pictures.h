/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pictures that a user has chosen as covers: one file, or those in a directory.
 * A directory is listed once; its pictures are numbered from 0 on and read one
 * by one. Subdirectories, hidden files, symbolic links and names that do not end
 * in .jpg or .jpeg (in either case) do not count. Not for several threads at once.
 */
#ifndef COVER_PICTURES_H
#define COVER_PICTURES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "format/cover.h"

struct pictures {
    char path[PATH_MAX];
    uint64_t max; /* bytes of a picture, at most */
    int fd;       /* of the file or the directory, or -1 */
    bool single;  /* it is a file */
    uint32_t n;
    char *names;  /* one behind the other, each with its NUL */
    uint32_t *at; /* where in names that of each picture begins */
};

/*
 * Opens path, a file or a directory, and lists it, without the names in skip. 0 or -errno, not
 * logged; -EINVAL: it is neither; -ENODATA: a directory without a picture. Close in any case.
 */
MUST_CHECK int pictures_open(const char *path, uint64_t max, const char skip[COVER_SKIP],
                             struct pictures *pictures);

/* The reason behind an error of pictures_open(), for people. */
const char *pictures_why(int rc);

/* Also of a zeroed struct whose fd is -1. */
void pictures_close(struct pictures *pictures);

/* How messages name picture i: "%s%s%s" of the path, a slash or "", and this, which may be "". */
const char *pictures_name(const struct pictures *pictures, uint32_t i);
#define PICTURES_NAME(pictures, i) \
    (pictures)->path, (pictures)->single ? "" : "/", pictures_name(pictures, i)

/*
 * Reads picture i, up to where its JPEG ends: *len bytes into buf, which has
 * room for max. 0 or -errno, not logged, with *why for people, static; -EBADMSG:
 * it is no whole JPEG, or longer than max.
 */
MUST_CHECK int pictures_read(const struct pictures *pictures, uint32_t i, void *buf, size_t *len,
                             const char **why);

/* Picture i is none any more; another one has its number now. */
void pictures_drop(struct pictures *pictures, uint32_t i);

#endif
