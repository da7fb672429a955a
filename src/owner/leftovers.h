/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a writer that ended without closing has left behind it.
 */
#ifndef OWNER_LEFTOVERS_H
#define OWNER_LEFTOVERS_H

#include <stdbool.h>

#include "archive/archive.h"
#include "base/compiler.h"

/*
 * Brings it to disk, unless read_only, and makes sure that what is read from
 * now on is what the disk holds. Nobody writes to the archive. The archive's
 * index may be missing. 0 or -errno, logged.
 */
MUST_CHECK int leftovers_adopt(const struct archive *archive, bool read_only);

#endif
