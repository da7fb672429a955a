/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The operations of a workload: each is recorded with its bounds, and what the
 * image should hold after it is remembered. One that fails ends the test: here
 * nothing fails but the power.
 */
#ifndef TEST_CRASH_OPS_H
#define TEST_CRASH_OPS_H

#include "work.h"

/* For operations that are made elsewhere: the new one, until it is ended. */
struct work_op *ops_begin(struct work *work, enum work_kind kind, uint64_t off, uint64_t len);
void ops_end(struct work *work, int rc);
/* Of one that is not the newest: others were within it. */
void ops_end_one(struct work *work, unsigned op, int rc);

/* A hash of each sector as it should be now. */
void ops_remember(const struct work *work, uint64_t *hashes);
uint64_t *ops_hashes(const struct work *work);

void ops_create(struct work *work);
/* A Mac leaves in the bundle what it knows of each band, all of it on disk. */
void ops_use_on_mac(struct work *work);
void ops_open(struct work *work);
void ops_close(struct work *work);
/* Also compares, sector by sector. */
void ops_read(struct work *work, uint64_t off, uint64_t len);
/* Bytes by chance, now and then zeros, or zeros at the end. */
void ops_write(struct work *work, uint64_t off, uint64_t len);
/* Likewise to one tile that is not yet noted, whose note cannot be synced. */
void ops_write_unnoted(struct work *work, uint64_t off, uint64_t len);
void ops_zero(struct work *work, uint64_t off, uint64_t len);
void ops_allocate(struct work *work, uint64_t off, uint64_t len);
/* All of the image; not a byte of it changes. */
void ops_compact(struct work *work);
/* Bytes behind the tile's end, in its file, if it is there: on disk when this returns. */
void ops_lengthen(struct work *work, uint32_t tile);
/* The image grows. */
void ops_resize(struct work *work, uint64_t size);
/* Whether operation op made it grow, as what is left of it says. */
bool ops_resized(const struct work *work, unsigned op, size_t q);
void ops_flush(struct work *work);
void ops_mark(struct work *work);
/* As 'mosaicfs changed --mark' does when nothing is mounted. */
void ops_mark_closed(struct work *work);
/* As 'mosaicfs manifest' does when nothing is mounted. */
void ops_manifest(struct work *work);
/* Likewise, of tiles that are not where they belong: what can be read then is what was marked. */
void ops_mark_shuffled(struct work *work);

/*
 * What the image holds is taken for what it should hold, after somebody pulled
 * the plug; afresh: and nothing else ever was.
 */
void ops_look(struct work *work, bool afresh);

/* The running operation leaves in the sector what now says. */
void ops_set_version(struct work_sector *sector, unsigned op);

#endif
