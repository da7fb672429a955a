/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * New pictures for the tiles of an archive of layout jpeg.
 */
#ifndef STORE_NEWCOVERS_H
#define STORE_NEWCOVERS_H

#include <stddef.h>

#include "base/compiler.h"
#include "store/archive.h"

/*
 * Gives each tile a new picture, of archive->covers. For who holds the archive.
 * tell hears how many are done; so many *done is. One that cannot get any keeps no
 * other from it. 0 or the first -errno, logged; each tile has its old picture or
 * its new one, and it can be done again.
 */
MUST_CHECK int newcovers_give(const struct archive *archive, void (*tell)(size_t done, void *arg),
                              void *arg, size_t *done);

#endif
