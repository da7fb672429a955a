/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of the journal of changed tiles: a table of sectors, each with its
 * own check, so that a sector is valid or is not, whatever happened to the
 * others. Pure; what the table means and when it is written stands in
 * journal/changes.c, and the specification in mosaicfs-format(5).
 */
#ifndef FORMAT_JOURNAL_H
#define FORMAT_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"
#include "base/hash.h"
#include "format/format.h"
#include "format/index.h"

/* 8 hexadecimal digits, a hyphen, up to 10 digits, a hyphen, 8 hexadecimal digits, a NUL */
#define JOURNAL_EPOCH 29

/* What a tile's file looked like; any other number is what journal_look() made of it. */
#define JOURNAL_ABSENT 0
#define JOURNAL_UNSURE 1 /* equal to nothing, not even to itself */

/* The first sector. */
struct journal_header {
    uint32_t id;     /* of this journal, random */
    uint32_t epoch;  /* the running one, 1 to UINT32_MAX - 1 */
    uint32_t ntiles; /* that it has a place for: those of the image, and perhaps more */
    uint64_t tile_size;
    char uuid[HASH_UUID]; /* of the archive; "" in format 1 */
};

/* An epoch that somebody has been told of. */
struct journal_mark {
    uint32_t epoch; /* 0: no mark */
    uint32_t nonce;
};

/* The same as people see it. */
struct journal_word {
    uint32_t id;
    struct journal_mark mark;
    bool old; /* without a nonce, as version 1 told it */
};

/* The header of a new journal of that archive, with a place for each of ntiles tiles. */
void journal_header_init(struct journal_header *header, const struct index *index, uint32_t ntiles,
                         uint32_t id);

/*
 * The sectors of a journal for so many tiles: the header, those of the cells, as many of
 * the looks, those of the marks.
 */
uint32_t journal_sectors(uint32_t ntiles);

/* How many sectors the cells of so many tiles take; the looks take as many. */
uint32_t journal_cell_sectors(uint32_t ntiles);

/* The sector that holds a tile's cell, from 1. */
uint32_t journal_sector_of(uint32_t tile);

/* The first sector of the marks. */
uint32_t journal_first_marks(uint32_t ntiles);

/* 0 or -ENOMEM. */
MUST_CHECK int journal_put_header(const struct journal_header *header,
                                  unsigned char out[FORMAT_JOURNAL_SECTOR]);

/*
 * From hostile bytes. 0; -EBADMSG when damaged; -ENOTSUP when a newer version
 * wrote it, -EPROTO when an older one did; -ENOMEM.
 */
MUST_CHECK int journal_get_header(const unsigned char in[FORMAT_JOURNAL_SECTOR],
                                  struct journal_header *header);

/*
 * Sector number >= 1 of journal id. Its numbers are cells, the last epoch in which
 * each tile changed, 0 for never; or looks; or marks. 0 or -ENOMEM.
 */
MUST_CHECK int journal_put_sector(uint32_t id, uint32_t number,
                                  const uint32_t cells[FORMAT_JOURNAL_CELLS],
                                  unsigned char out[FORMAT_JOURNAL_SECTOR]);

/* From hostile bytes. 0; -EBADMSG when damaged, or of another place or journal; -ENOMEM. */
MUST_CHECK int journal_get_sector(const unsigned char in[FORMAT_JOURNAL_SECTOR], uint32_t id,
                                  uint32_t number, uint32_t cells[FORMAT_JOURNAL_CELLS]);

/* The marks of a sector, FORMAT_JOURNAL_CELLS / 2 of them, as its numbers, and back. */
void journal_put_marks(const struct journal_mark *marks, uint32_t cells[FORMAT_JOURNAL_CELLS]);
void journal_get_marks(const uint32_t cells[FORMAT_JOURNAL_CELLS], struct journal_mark *marks);

/* A number for what a file looks like from outside; two that differ have different ones. */
uint32_t journal_look(const struct timespec *ctime, const struct timespec *mtime, uint64_t len);

/* An epoch as people see it: "5f3a9c1e-12-0b61d2c4". */
void journal_print_epoch(const struct journal_word *word, char text[JOURNAL_EPOCH]);

/* 0, or -EINVAL when text is no such word, nor one of version 1: "5f3a9c1e-12". */
MUST_CHECK int journal_parse_epoch(const char *text, struct journal_word *word);

#endif
