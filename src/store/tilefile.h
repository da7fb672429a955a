/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done to one tile file, apart from reading and writing it. Nothing is
 * logged here.
 */
#ifndef STORE_TILEFILE_H
#define STORE_TILEFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* Makes the empty file name in the folder. 0, -EEXIST when it is there, else -errno. */
MUST_CHECK int tilefile_create(int folder, const char *name, int *fd);

/*
 * Makes the file name, which has its full length, all zeros, from the moment
 * its name exists; the length is durable then. As above.
 */
MUST_CHECK int tilefile_create_full(int folder, const char *name, uint64_t len, int *fd);

/* The file's bytes [off, end) become zeros, without changing its size. 0 or -errno. */
MUST_CHECK int tilefile_punch(int fd, uint64_t off, uint64_t end);

/* No data from off on, and no space reserved for some. */
bool tilefile_is_empty(int fd, uint64_t off);

#endif
