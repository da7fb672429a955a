/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Puts the tiles of an archive of layout jpeg back where they belong, and makes
 * its index again, from what each file says of itself. Nothing is deleted.
 */
#ifndef REINDEX_REINDEX_H
#define REINDEX_REINDEX_H

#include <stddef.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "check/repair.h"
#include "reindex/strays.h"

/*
 * The index that the strays tell of, when the archive has none. uuid, unless
 * NULL, says which of several archives is meant. 0; -ENODATA: no file says
 * anything, or none of that uuid; -EEXIST: they are of several archives; both
 * logged.
 */
MUST_CHECK int reindex_guess(const struct strays *strays, const char *uuid, struct index *index);

/*
 * Does what strays_decide() has decided, for who holds the archive; archive->index
 * is set. Files outside of the archive are copied, with their time. What makes
 * room goes to repair. Each tile is noted in the journal before. tell hears each
 * stray that was put. From its first change on until reindex_done(), which makes
 * all of it durable, nobody can mount the archive. -errno, logged:
 * -EEXIST, all is done but for some that no folder can be made for; any other, it is to be
 * done again.
 */
MUST_CHECK int reindex_put(struct strays *strays, const struct archive *archive,
                           struct repair *repair, void (*tell)(const struct stray *, void *arg),
                           void *arg);

/* All that was done is durable, and the archive can be mounted again. 0 or -errno, logged. */
MUST_CHECK int reindex_done(const struct archive *archive);

/* Writes archive->index, and keeps what stands there. 0 or -errno, logged. */
MUST_CHECK int reindex_write(const struct archive *archive, struct repair *repair);

#endif
