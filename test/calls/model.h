/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What each sector of the image may hold. A write that returned 0 leaves one
 * legal value; one that failed adds its own to those that were legal before.
 * What has been read is from then on the only one.
 *
 * A value is a stamp, a small number; 0 is a sector of zeros. Together with its
 * place it fills the sector, so that one in the wrong place is noticed.
 */
#ifndef TEST_CALLS_MODEL_H
#define TEST_CALLS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_SECTOR 512
#define MODEL_TILE UINT64_C(16384)
#define MODEL_TILES 1030 /* two folders */
#define MODEL_MORE 1300  /* of which nobody writes any, once the image has grown */

/* All zeros, no tile ever changed. */
void model_init(void);

/* The bytes that a write of this stamp writes. off and len are multiples of a sector. */
void model_fill(void *buf, uint64_t off, size_t len, unsigned stamp);

/* The range was written, or that was tried. epoch: the running one. */
void model_write(uint64_t off, uint64_t len, unsigned stamp, bool done, uint32_t epoch);

/* NULL when the bytes read are legal, else what is wrong; good until the next call. */
const char *model_read(uint64_t off, size_t len, const void *buf);

/* No byte of the range may be anything but zeros. */
bool model_is_zero(uint64_t off, uint64_t len);

/* The last epoch in which the tile is known to have changed; 0: never. */
uint32_t model_changed(uint32_t tile);

/* What each sector holds, which has been read, is kept under a number from 1 to MODEL_KEPT. */
#define MODEL_KEPT 3
void model_keep(unsigned number);
/* As model_read(), of the bytes of what was kept. */
const char *model_kept(uint64_t off, size_t len, const void *buf, unsigned number);
/* How many tiles are known to hold something else, and not zeros alone. */
unsigned model_differs(unsigned number);
/* It holds that from now on. */
void model_go_back(unsigned number, uint32_t epoch);

/* Epochs begin anew: under another name, or from 1. */
void model_forget_changes(void);

#endif
