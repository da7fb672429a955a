/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of the journal of changed tiles: a table of sectors, each with its
 * own check, so that a sector is valid or is not, whatever happened to the
 * others. Pure; what the table means and when it is written stands in
 * store/changes.c, and the specification in mosaicfs-format(5).
 */
#ifndef FORMAT_JOURNAL_H
#define FORMAT_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "format/format.h"
#include "format/index.h"

#define JOURNAL_EPOCH 20 /* 8 hexadecimal digits, a hyphen, up to 10 digits, a NUL */

/* The first sector. */
struct journal_header {
    uint32_t id;    /* of this journal, random */
    uint32_t epoch; /* the running one, 1 to UINT32_MAX - 1 */
    uint32_t ntiles;
    uint64_t tile_size;
    char uuid[HASH_UUID]; /* of the archive; "" in format 1 */
};

/* The header of a new journal of that archive. */
void journal_header_init(struct journal_header *header, const struct index *index, uint32_t id);

/* How many sectors a journal for so many tiles has, the header included. */
uint32_t journal_sectors(uint32_t ntiles);

/* The sector that holds a tile's cell, from 1. */
uint32_t journal_sector_of(uint32_t tile);

/* 0 or -ENOMEM. */
MUST_CHECK int journal_put_header(const struct journal_header *header,
                                  unsigned char out[FORMAT_JOURNAL_SECTOR]);

/*
 * From hostile bytes. 0; -EBADMSG when damaged; -ENOTSUP when a newer version
 * wrote it; -ENOMEM.
 */
MUST_CHECK int journal_get_header(const unsigned char in[FORMAT_JOURNAL_SECTOR],
                                  struct journal_header *header);

/*
 * Sector number >= 1 of journal id; cells[i] is the last epoch in which tile
 * (number - 1) * FORMAT_JOURNAL_CELLS + i changed, 0 for never. 0 or -ENOMEM.
 */
MUST_CHECK int journal_put_sector(uint32_t id, uint32_t number,
                                  const uint32_t cells[FORMAT_JOURNAL_CELLS],
                                  unsigned char out[FORMAT_JOURNAL_SECTOR]);

/* From hostile bytes. 0; -EBADMSG when damaged, or of another place or journal; -ENOMEM. */
MUST_CHECK int journal_get_sector(const unsigned char in[FORMAT_JOURNAL_SECTOR], uint32_t id,
                                  uint32_t number, uint32_t cells[FORMAT_JOURNAL_CELLS]);

/* An epoch as people see it: "5f3a9c1e-12". */
void journal_print_epoch(uint32_t id, uint32_t epoch, char text[JOURNAL_EPOCH]);

/* 0, or -EINVAL when text is no such word. */
MUST_CHECK int journal_parse_epoch(const char *text, uint32_t *id, uint32_t *epoch);

#endif
