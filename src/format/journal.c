/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the layout of a sector. All numbers are little-endian:
 *
 *   header   0 magic   16 version   20 id   24 epoch   28 ntiles
 *            32 tile size   40 uuid as text, or zeros   76 zeros   504 check
 *   others   0 124 numbers   496 id   500 number   504 check
 *
 * The numbers are cells, looks or marks, by the place of the sector.
 *
 * The check covers what stands before it. The number keeps a sector that was
 * written to the wrong place from being believed, the id one that was left
 * there by an earlier journal.
 */
#include "format/journal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/le.h"
#include "base/parse.h"

#define MAGIC "mosaicfs journal" /* 16 bytes */
#define VERSION 2                /* 1 had neither looks nor marks */
#define HEX_DIGITS 8
#define MARKS_PER_SECTOR (FORMAT_JOURNAL_CELLS / 2)

#define AT_VERSION 16
#define AT_ID 20
#define AT_EPOCH 24
#define AT_NTILES 28
#define AT_TILE_SIZE 32
#define AT_UUID 40
#define AT_ZEROS 76
#define AT_CHECK (FORMAT_JOURNAL_SECTOR - HASH_CHECK)

#define AT_SECTOR_ID 496
#define AT_SECTOR_NUMBER 500

static_assert(sizeof(MAGIC) - 1 == AT_VERSION, "magic fills its place");
static_assert(AT_UUID + HASH_UUID - 1 == AT_ZEROS, "the UUID fills its place");
static_assert(FORMAT_JOURNAL_CELLS * 4 == AT_SECTOR_ID, "cells fill their place");
static_assert(AT_SECTOR_NUMBER + 4 == AT_CHECK, "and so does the rest");
static_assert(FORMAT_JOURNAL_MARKS % MARKS_PER_SECTOR == 0, "marks fill their sectors");

static int seal(unsigned char sector[FORMAT_JOURNAL_SECTOR])
{
    return hash_check(sector, AT_CHECK, sector + AT_CHECK);
}

static int check_seal(const unsigned char sector[FORMAT_JOURNAL_SECTOR])
{
    unsigned char check[HASH_CHECK];
    int rc = hash_check(sector, AT_CHECK, check);

    if (!rc && memcmp(check, sector + AT_CHECK, HASH_CHECK) != 0)
        rc = -EBADMSG;
    return rc;
}

void journal_header_init(struct journal_header *header, const struct index *index, uint32_t ntiles,
                         uint32_t id)
{
    *header = (struct journal_header){
        .id = id,
        .epoch = 1,
        .ntiles = ntiles,
        .tile_size = index->geometry.tile_size,
    };
    memcpy(header->uuid, index->uuid, HASH_UUID);
}

uint32_t journal_cell_sectors(uint32_t ntiles)
{
    return journal_sector_of(ntiles - 1);
}

uint32_t journal_first_marks(uint32_t ntiles)
{
    return 1 + 2 * journal_cell_sectors(ntiles);
}

uint32_t journal_sectors(uint32_t ntiles)
{
    return journal_first_marks(ntiles) + FORMAT_JOURNAL_MARKS / MARKS_PER_SECTOR;
}

uint32_t journal_sector_of(uint32_t tile)
{
    return tile / FORMAT_JOURNAL_CELLS + 1;
}

int journal_put_header(const struct journal_header *header,
                       unsigned char out[FORMAT_JOURNAL_SECTOR])
{
    memset(out, 0, FORMAT_JOURNAL_SECTOR);
    memcpy(out, MAGIC, AT_VERSION);
    le_put32(out + AT_VERSION, VERSION);
    le_put32(out + AT_ID, header->id);
    le_put32(out + AT_EPOCH, header->epoch);
    le_put32(out + AT_NTILES, header->ntiles);
    le_put64(out + AT_TILE_SIZE, header->tile_size);
    memcpy(out + AT_UUID, header->uuid, strlen(header->uuid));
    return seal(out);
}

int journal_get_header(const unsigned char in[FORMAT_JOURNAL_SECTOR], struct journal_header *header)
{
    int rc = check_seal(in);

    if (!rc && memcmp(in, MAGIC, AT_VERSION) != 0)
        rc = -EBADMSG;
    if (!rc && le_get32(in + AT_VERSION) != VERSION)
        rc = le_get32(in + AT_VERSION) == 1 ? -EPROTO : -ENOTSUP;
    if (rc)
        return rc;
    *header = (struct journal_header){
        .id = le_get32(in + AT_ID),
        .epoch = le_get32(in + AT_EPOCH),
        .ntiles = le_get32(in + AT_NTILES),
        .tile_size = le_get64(in + AT_TILE_SIZE),
    };
    memcpy(header->uuid, in + AT_UUID, HASH_UUID - 1);
    if (header->epoch == 0 || header->epoch == UINT32_MAX ||
        (header->uuid[0] && !hash_uuid_valid(header->uuid)))
        return -EBADMSG;
    for (unsigned i = header->uuid[0] ? AT_ZEROS : AT_UUID; i < AT_CHECK; i++)
        if (in[i])
            return -EBADMSG;
    return 0;
}

int journal_put_sector(uint32_t id, uint32_t number, const uint32_t cells[FORMAT_JOURNAL_CELLS],
                       unsigned char out[FORMAT_JOURNAL_SECTOR])
{
    for (unsigned i = 0; i < FORMAT_JOURNAL_CELLS; i++)
        le_put32(out + 4 * i, cells[i]);
    le_put32(out + AT_SECTOR_ID, id);
    le_put32(out + AT_SECTOR_NUMBER, number);
    return seal(out);
}

int journal_get_sector(const unsigned char in[FORMAT_JOURNAL_SECTOR], uint32_t id, uint32_t number,
                       uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    int rc = check_seal(in);

    if (!rc && (le_get32(in + AT_SECTOR_ID) != id || le_get32(in + AT_SECTOR_NUMBER) != number))
        rc = -EBADMSG;
    for (unsigned i = 0; !rc && i < FORMAT_JOURNAL_CELLS; i++)
        cells[i] = le_get32(in + 4 * i);
    return rc;
}

void journal_put_marks(const struct journal_mark *marks, uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    for (unsigned i = 0; i < MARKS_PER_SECTOR; i++) {
        cells[2 * i] = marks[i].epoch;
        cells[2 * i + 1] = marks[i].nonce;
    }
}

void journal_get_marks(const uint32_t cells[FORMAT_JOURNAL_CELLS], struct journal_mark *marks)
{
    for (unsigned i = 0; i < MARKS_PER_SECTOR; i++)
        marks[i] = (struct journal_mark){cells[2 * i], cells[2 * i + 1]};
}

/* FNV-1a. */
static uint64_t add(uint64_t hash, uint64_t value)
{
    for (unsigned i = 0; i < 64; i += 8)
        hash = (hash ^ (value >> i & 0xff)) * 0x100000001b3;
    return hash;
}

uint32_t journal_look(const struct timespec *ctime, const struct timespec *mtime, uint64_t len)
{
    uint64_t hash = 0xcbf29ce484222325;
    uint32_t look;

    hash = add(hash, (uint64_t)ctime->tv_sec);
    hash = add(hash, (uint64_t)ctime->tv_nsec);
    hash = add(hash, (uint64_t)mtime->tv_sec);
    hash = add(hash, (uint64_t)mtime->tv_nsec);
    hash = add(hash, len);
    look = (uint32_t)(hash ^ hash >> 32);
    return look > JOURNAL_UNSURE ? look : look + 2;
}

void journal_print_epoch(const struct journal_word *word, char text[JOURNAL_EPOCH])
{
    snprintf(text, JOURNAL_EPOCH, "%08" PRIx32 "-%" PRIu32 "-%08" PRIx32, word->id,
             word->mark.epoch, word->mark.nonce);
}

/* Exactly that many digits, and what ends them. */
static int parse_hex(const char *text, char end, uint32_t *value)
{
    if (strspn(text, "0123456789abcdef") != HEX_DIGITS || text[HEX_DIGITS] != end)
        return -EINVAL;
    *value = (uint32_t)strtoul(text, NULL, 16);
    return 0;
}

int journal_parse_epoch(const char *text, struct journal_word *word)
{
    char number[JOURNAL_EPOCH];
    uint64_t epoch;
    size_t len;

    *word = (struct journal_word){0};
    if (parse_hex(text, '-', &word->id))
        return -EINVAL;
    text += HEX_DIGITS + 1;
    len = strcspn(text, "-");
    if (len >= sizeof(number))
        return -EINVAL;
    memcpy(number, text, len);
    number[len] = '\0';
    if (parse_u64(number, &epoch) || epoch == 0 || epoch > UINT32_MAX)
        return -EINVAL;
    word->mark.epoch = (uint32_t)epoch;
    word->old = text[len] == '\0';
    return word->old ? 0 : parse_hex(text + len + 1, '\0', &word->mark.nonce);
}
