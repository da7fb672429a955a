/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the layout of the rows. All numbers are little-endian:
 *
 *   header   0 magic   16 version   20 tiles   24 lists   32 zeros   64 digest
 *   index    0 tile     4 zeros      8 first   16 digest
 *   page     0 tile     4 payload    8 length  16 digest
 */
#include "format/digests.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/le.h"

#define MAGIC "mosaicfs digests" /* 16 bytes */
#define VERSION 1

#define AT_VERSION 16
#define AT_TILES 20
#define AT_LISTS 24
#define AT_ZEROS 32
#define AT_INDEX 64

#define AT_DIGEST 16

static_assert(sizeof(MAGIC) - 1 == AT_VERSION, "magic fills its place");
static_assert(AT_INDEX + HASH_RAW == DIGESTS_HEADER, "the digest fills its place");
static_assert(AT_DIGEST + HASH_RAW == DIGESTS_PAGE, "likewise");
static_assert(AT_DIGEST + HASH_RAW == DIGESTS_ENTRY, "likewise");

void digests_put_header(const struct digests_header *header, unsigned char out[DIGESTS_HEADER])
{
    memset(out, 0, DIGESTS_HEADER);
    memcpy(out, MAGIC, AT_VERSION);
    le_put32(out + AT_VERSION, VERSION);
    le_put32(out + AT_TILES, header->tiles);
    le_put64(out + AT_LISTS, header->lists);
    memcpy(out + AT_INDEX, header->index, HASH_RAW);
}

int digests_get_header(const unsigned char in[DIGESTS_HEADER], struct digests_header *header)
{
    static const unsigned char zeros[AT_INDEX - AT_ZEROS];

    if (memcmp(in, MAGIC, AT_VERSION) != 0)
        return -EBADMSG;
    if (le_get32(in + AT_VERSION) != VERSION)
        return -ENOTSUP;
    header->tiles = le_get32(in + AT_TILES);
    header->lists = le_get64(in + AT_LISTS);
    memcpy(header->index, in + AT_INDEX, HASH_RAW);
    if (header->tiles > FORMAT_BUNDLE_BANDS_MAX || header->lists > DIGESTS_LISTS_MAX ||
        memcmp(in + AT_ZEROS, zeros, sizeof(zeros)) != 0)
        return -EBADMSG;
    return 0;
}

void digests_put_page(const struct digests_page *page, unsigned char out[DIGESTS_PAGE])
{
    le_put32(out, page->tile);
    le_put32(out + 4, 0);
    le_put64(out + 8, page->first);
    memcpy(out + AT_DIGEST, page->digest, HASH_RAW);
}

void digests_get_page(const unsigned char in[DIGESTS_PAGE], struct digests_page *page)
{
    page->tile = le_get32(in);
    page->first = le_get64(in + 8);
    memcpy(page->digest, in + AT_DIGEST, HASH_RAW);
}

void digests_put_entry(const struct digests_entry *entry, unsigned char out[DIGESTS_ENTRY])
{
    le_put32(out, entry->tile);
    le_put32(out + 4, entry->payload);
    le_put64(out + 8, entry->length);
    memcpy(out + AT_DIGEST, entry->digest, HASH_RAW);
}

int digests_get_entry(const unsigned char in[DIGESTS_ENTRY], struct digests_entry *entry)
{
    entry->tile = le_get32(in);
    entry->payload = le_get32(in + 4);
    entry->length = le_get64(in + 8);
    memcpy(entry->digest, in + AT_DIGEST, HASH_RAW);
    if (entry->length > FORMAT_SIZE_MAX || entry->payload > entry->length)
        return -EBADMSG;
    return digests_count(entry) <= DIGESTS_LISTS_MAX ? 0 : -EBADMSG;
}

uint64_t digests_count(const struct digests_entry *entry)
{
    uint64_t bytes = entry->length - entry->payload;

    return (entry->payload > 0) + bytes / FORMAT_DIGESTS_BLOCK + (bytes % FORMAT_DIGESTS_BLOCK > 0);
}

void digests_range(const struct digests_entry *entry, uint64_t n, uint64_t *off, uint64_t *len)
{
    if (entry->payload && n == 0) {
        *off = 0;
        *len = entry->payload;
        return;
    }
    *off = entry->payload + (n - (entry->payload > 0)) * FORMAT_DIGESTS_BLOCK;
    *len = entry->length - *off;
    if (*len > FORMAT_DIGESTS_BLOCK)
        *len = FORMAT_DIGESTS_BLOCK;
}

uint32_t digests_pages(uint32_t tiles)
{
    return tiles / FORMAT_DIGESTS_PER_PAGE + (tiles % FORMAT_DIGESTS_PER_PAGE > 0);
}

uint64_t digests_pages_at(uint32_t tiles)
{
    return DIGESTS_HEADER + (uint64_t)digests_pages(tiles) * DIGESTS_PAGE;
}

uint64_t digests_lists_at(uint32_t tiles)
{
    return digests_pages_at(tiles) + (uint64_t)tiles * DIGESTS_ENTRY;
}
