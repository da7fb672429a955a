/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * New pictures for the tiles of an archive of layout jpeg.
 */
#ifndef REINDEX_NEWCOVERS_H
#define REINDEX_NEWCOVERS_H

#include <stddef.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "cover/covers.h"

/*
 * Gives each tile a new picture, of covers. For who holds the archive.
 * tell hears how many are done; so many *done is. One that cannot get any keeps no
 * other from it. 0 or the first -errno, logged; each tile has its old picture or
 * its new one, and it can be done again.
 */
MUST_CHECK int newcovers_give(const struct archive *archive, struct covers *covers,
                              void (*tell)(size_t done, void *arg), void *arg, size_t *done);

#endif
