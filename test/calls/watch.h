/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is not yet on disk, as told by the calls alone: which files were written
 * since their last sync, which directories gained or lost an entry. A sync that
 * failed has lost what it should have brought to disk.
 *
 * .mosaicfs/ is looked at only for the journal's sake: a tile's cell must be on
 * disk before the tile changes. And what a Mac keeps beside bands is not.
 */
#ifndef TEST_CALLS_WATCH_H
#define TEST_CALLS_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "../sys/sys.h"
#include "format/layout.h"

/* A run with tiles of that layout. */
void watch_begin(const struct layout *layout);

/* Hooks. */
void watch_before(const struct sys_call *call);
void watch_after(const struct sys_call *call, long result, int err);

/* The index could not be replaced: it may be the old one after a crash, or the new one. */
void watch_either(void);

/* A file or directory that is not on disk, or NULL. */
const char *watch_unsynced(void);
/* Likewise, among those that .mosaicfs holds: one of whose path this is a part. */
const char *watch_unsynced_below(const char *part);
/* The image is no more in use: what was lost has been told. It is not on disk, still. */
void watch_told(void);
/* The journal as it stands, when one is begun or taken over; len 0: there is none. */
void watch_journal(const void *bytes, size_t len);
/* A tile that changed before it was noted, on disk, in the running epoch, or NULL. Once. */
const char *watch_hasty(void);

#endif
