/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sectors of the journal and the words of epochs. The first byte chooses: 'h'
 * header, 's' sector, both sealed with their check so that mutations get past
 * it; 'H' and 'S' raw; 'e' an epoch. An accepted sector encodes to the same
 * bytes, and a changed bit makes it damaged.
 */
#include <errno.h>

#include "format/journal.h"
#include "fuzz.h"

#define BODY (FORMAT_JOURNAL_SECTOR - HASH_CHECK)
#define BITS (8 * FORMAT_JOURNAL_SECTOR)

/* Where a sector says which one of which journal it is. */
#define AT_ID 496
#define AT_NUMBER 500

static uint32_t get32(const unsigned char *from)
{
    return from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

static void test_header(unsigned char *sector, unsigned bit)
{
    unsigned char again[FORMAT_JOURNAL_SECTOR];
    struct journal_header header;
    int rc = journal_get_header(sector, &header);

    must(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP || rc == -EPROTO);
    if (rc)
        return;
    must(header.epoch > 0 && header.epoch < UINT32_MAX);
    must(!header.uuid[0] || hash_uuid_valid(header.uuid));
    must(journal_put_header(&header, again) == 0);
    must(memcmp(sector, again, sizeof(again)) == 0);
    sector[bit / 8] ^= (unsigned char)(1 << bit % 8);
    must(journal_get_header(sector, &header) == -EBADMSG);
}

static void test_sector(unsigned char *sector, unsigned bit)
{
    uint32_t id = get32(sector + AT_ID), number = get32(sector + AT_NUMBER);
    unsigned char again[FORMAT_JOURNAL_SECTOR];
    uint32_t cells[FORMAT_JOURNAL_CELLS];
    int rc = journal_get_sector(sector, id, number, cells);

    must(rc == 0 || rc == -EBADMSG);
    if (rc)
        return;
    must(journal_put_sector(id, number, cells, again) == 0);
    must(memcmp(sector, again, sizeof(again)) == 0);
    must(journal_get_sector(sector, id + 1, number, cells) == -EBADMSG);
    must(journal_get_sector(sector, id, number + 1, cells) == -EBADMSG);
    sector[bit / 8] ^= (unsigned char)(1 << bit % 8);
    must(journal_get_sector(sector, id, number, cells) == -EBADMSG);
}

static void test_epoch(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), printed[JOURNAL_EPOCH];
    struct journal_word word, again;
    int rc = journal_parse_epoch(text, &word);

    must(rc == 0 || rc == -EINVAL);
    if (!rc) {
        must(word.mark.epoch > 0);
        journal_print_epoch(&word, printed);
        must(journal_parse_epoch(printed, &again) == 0);
        must(again.id == word.id && again.mark.epoch == word.mark.epoch);
        must(again.mark.nonce == word.mark.nonce && !again.old);
    }
    free(text);
}

/* What the input is too short for is zeros. Sectors live on the heap, to the byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *sector;
    unsigned bit;
    char what;

    if (size < 3)
        return 0;
    what = (char)data[0];
    bit = (data[1] | (unsigned)data[2] << 8) % BITS;
    if (what == 'e') {
        test_epoch(data + 1, size - 1);
        return 0;
    }
    sector = calloc(1, FORMAT_JOURNAL_SECTOR);
    if (!sector)
        abort();
    memcpy(sector, data + 3, size - 3 < FORMAT_JOURNAL_SECTOR ? size - 3 : FORMAT_JOURNAL_SECTOR);
    if ((what == 'h' || what == 's') && hash_check(sector, BODY, sector + BODY))
        abort();
    if (what == 'h' || what == 'H')
        test_header(sector, bit);
    else
        test_sector(sector, bit);
    free(sector);
    return 0;
}
