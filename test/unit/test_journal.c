/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sectors of the journal of changed tiles, as bytes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "format/journal.h"

#define SECTOR FORMAT_JOURNAL_SECTOR
#define CHECK_AT (SECTOR - HASH_CHECK)
#define UUID "0f0e0d0c-0b0a-4908-8706-050403020100"

static const struct journal_header sample = {
    .id = 0x89abcdef, .epoch = 12, .ntiles = 1030, .tile_size = 1 << 20, .uuid = UUID};

static void seal(unsigned char sector[SECTOR])
{
    assert_int_equal(hash_check(sector, CHECK_AT, sector + CHECK_AT), 0);
}

static void headers_come_back(void **state)
{
    static const struct journal_header headers[] = {
        {.id = 0, .epoch = 1, .ntiles = 1, .tile_size = 1, .uuid = ""},
        {.id = UINT32_MAX,
         .epoch = UINT32_MAX - 1,
         .ntiles = FORMAT_TILES_MAX,
         .tile_size = FORMAT_SIZE_MAX,
         .uuid = UUID},
        {.id = 0x01020304,
         .epoch = 0x05060708,
         .ntiles = 77,
         .tile_size = 0x0102030405060708,
         .uuid = UUID},
    };

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        unsigned char sector[SECTOR];
        struct journal_header got;

        assert_int_equal(journal_put_header(&headers[i], sector), 0);
        assert_int_equal(journal_get_header(sector, &got), 0);
        assert_int_equal(got.id, headers[i].id);
        assert_int_equal(got.epoch, headers[i].epoch);
        assert_int_equal(got.ntiles, headers[i].ntiles);
        assert_true(got.tile_size == headers[i].tile_size);
        assert_string_equal(got.uuid, headers[i].uuid);
    }
}

/* The order of the bytes is part of the format. */
static void headers_are_little_endian(void **state)
{
    static const unsigned char start[] = "mosaicfs journal"
                                         "\x02\0\0\0"
                                         "\xef\xcd\xab\x89"
                                         "\x0c\0\0\0"
                                         "\x06\x04\0\0"
                                         "\0\0\x10\0\0\0\0\0" UUID;
    unsigned char sector[SECTOR];

    assert_int_equal(journal_put_header(&sample, sector), 0);
    assert_memory_equal(sector, start, sizeof(start) - 1);
}

static void a_flipped_bit_of_a_header_is_seen(void **state)
{
    unsigned char sector[SECTOR];
    struct journal_header got;

    assert_int_equal(journal_put_header(&sample, sector), 0);
    for (unsigned bit = 0; bit < SECTOR * 8; bit++) {
        sector[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(journal_get_header(sector, &got), -EBADMSG);
        sector[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_int_equal(journal_get_header(sector, &got), 0);
}

/* Their check is right, and yet nobody wrote them. */
static void headers_that_are_none_are_refused(void **state)
{
    static const struct {
        unsigned at;
        const char *bytes;
        unsigned len;
        int rc;
    } changes[] = {
        {0, "M", 1, -EBADMSG},                 /* magic */
        {15, "\0", 1, -EBADMSG},               /* its end */
        {16, "\x03", 1, -ENOTSUP},             /* version */
        {16, "\x01", 1, -EPROTO},              /* version, the one before */
        {16, "\0", 1, -ENOTSUP},               /* version */
        {19, "\x01", 1, -ENOTSUP},             /* version, high byte */
        {24, "\0\0\0\0", 4, -EBADMSG},         /* epoch 0 */
        {24, "\xff\xff\xff\xff", 4, -EBADMSG}, /* epoch that stands for damage */
        {40, "0F", 2, -EBADMSG},               /* uuid in capitals */
        {40 + 8, "_", 1, -EBADMSG},            /* uuid without a hyphen */
        {40 + 35, "\0", 1, -EBADMSG},          /* uuid cut short */
        {40, "\0", 1, -EBADMSG},               /* none, and bytes in its place */
        {76, "\x01", 1, -EBADMSG},             /* reserved */
        {CHECK_AT - 1, "\x80", 1, -EBADMSG},   /* reserved */
    };

    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        unsigned char sector[SECTOR];
        struct journal_header got;

        assert_int_equal(journal_put_header(&sample, sector), 0);
        memcpy(sector + changes[i].at, changes[i].bytes, changes[i].len);
        seal(sector);
        if (journal_get_header(sector, &got) != changes[i].rc)
            fail_msg("change %zu, at byte %u", i, changes[i].at);
    }
}

static void fill(uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    for (uint32_t i = 0; i < FORMAT_JOURNAL_CELLS; i++)
        cells[i] = i * 0x01010101;
}

static void sectors_come_back(void **state)
{
    uint32_t cells[FORMAT_JOURNAL_CELLS], got[FORMAT_JOURNAL_CELLS];
    unsigned char sector[SECTOR];

    fill(cells);
    assert_int_equal(journal_put_sector(5, 9, cells, sector), 0);
    assert_int_equal(journal_get_sector(sector, 5, 9, got), 0);
    assert_memory_equal(got, cells, sizeof(cells));
}

static void a_sector_of_elsewhere_is_refused(void **state)
{
    uint32_t cells[FORMAT_JOURNAL_CELLS] = {0};
    unsigned char sector[SECTOR];

    assert_int_equal(journal_put_sector(5, 9, cells, sector), 0);
    assert_int_equal(journal_get_sector(sector, 6, 9, cells), -EBADMSG);
    assert_int_equal(journal_get_sector(sector, 5, 8, cells), -EBADMSG);
}

static void a_flipped_bit_of_a_sector_is_seen(void **state)
{
    uint32_t cells[FORMAT_JOURNAL_CELLS], got[FORMAT_JOURNAL_CELLS];
    unsigned char sector[SECTOR];

    fill(cells);
    assert_int_equal(journal_put_sector(5, 9, cells, sector), 0);
    for (unsigned bit = 0; bit < SECTOR * 8; bit++) {
        sector[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(journal_get_sector(sector, 5, 9, got), -EBADMSG);
        sector[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

static void a_file_of_zeros_is_no_journal(void **state)
{
    uint32_t cells[FORMAT_JOURNAL_CELLS];
    unsigned char sector[SECTOR] = {0};
    struct journal_header header;

    assert_int_equal(journal_get_header(sector, &header), -EBADMSG);
    assert_int_equal(journal_get_sector(sector, 0, 0, cells), -EBADMSG);
}

static void tiles_have_their_sectors(void **state)
{
    static const struct {
        uint32_t ntiles, sectors;
    } rows[] = {{1, 19},
                {FORMAT_JOURNAL_CELLS, 19},
                {FORMAT_JOURNAL_CELLS + 1, 21},
                {2 * FORMAT_JOURNAL_CELLS, 21},
                {FORMAT_TILES_MAX, 16931}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(journal_sectors(rows[i].ntiles), rows[i].sectors);
    assert_int_equal(journal_sector_of(0), 1);
    assert_int_equal(journal_sector_of(FORMAT_JOURNAL_CELLS - 1), 1);
    assert_int_equal(journal_sector_of(FORMAT_JOURNAL_CELLS), 2);
    assert_int_equal(journal_cell_sectors(FORMAT_JOURNAL_CELLS + 1), 2);
    assert_int_equal(journal_first_marks(FORMAT_JOURNAL_CELLS + 1), 5);
}

static void words_come_back(void **state)
{
    static const struct {
        struct journal_word word;
        const char *text;
    } rows[] = {
        {{0, {1, 0}, false}, "00000000-1-00000000"},
        {{0x5f3a9c1e, {12, 0x0b61d2c4}, false}, "5f3a9c1e-12-0b61d2c4"},
        {{UINT32_MAX, {UINT32_MAX - 1, UINT32_MAX}, false}, "ffffffff-4294967294-ffffffff"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[JOURNAL_EPOCH];
        struct journal_word word;

        journal_print_epoch(&rows[i].word, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(journal_parse_epoch(text, &word), 0);
        assert_int_equal(word.id, rows[i].word.id);
        assert_int_equal(word.mark.epoch, rows[i].word.mark.epoch);
        assert_int_equal(word.mark.nonce, rows[i].word.mark.nonce);
        assert_false(word.old);
    }
}

/* Scripts have kept them. */
static void words_of_version_1_are_known_as_such(void **state)
{
    struct journal_word word;

    assert_int_equal(journal_parse_epoch("5f3a9c1e-12", &word), 0);
    assert_true(word.old);
    assert_int_equal(word.id, 0x5f3a9c1e);
    assert_int_equal(word.mark.epoch, 12);
}

static void marks_come_back(void **state)
{
    struct journal_mark marks[FORMAT_JOURNAL_CELLS / 2], got[FORMAT_JOURNAL_CELLS / 2];
    uint32_t cells[FORMAT_JOURNAL_CELLS];

    for (uint32_t i = 0; i < ARRAY_LEN(marks); i++)
        marks[i] = (struct journal_mark){i, ~i};
    journal_put_marks(marks, cells);
    assert_int_equal(cells[2], 1);
    assert_int_equal(cells[3], UINT32_MAX - 1);
    journal_get_marks(cells, got);
    assert_memory_equal(got, marks, sizeof(marks));
}

/* The numbers are part of the format. */
static void looks_are_told_apart(void **state)
{
    const struct timespec a = {1700000000, 123456789}, b = {1700000000, 123456790}, zero = {0};

    assert_int_equal(journal_look(&a, &b, 65536), 0xf9aa26f1);
    assert_int_equal(journal_look(&zero, &zero, 0), 0xb020c249);
    assert_int_not_equal(journal_look(&a, &b, 65536), journal_look(&b, &a, 65536));
    assert_int_not_equal(journal_look(&a, &a, 65536), journal_look(&a, &b, 65536));
    assert_int_not_equal(journal_look(&a, &a, 65536), journal_look(&b, &a, 65536));
    assert_int_not_equal(journal_look(&a, &a, 65536), journal_look(&a, &a, 65537));
}

static void other_words_are_refused(void **state)
{
    static const char *const words[] = {"",
                                        "-",
                                        "5f3a9c1e",
                                        "5f3a9c1e-",
                                        "5f3a9c1e-0",
                                        "5f3a9c1-12",
                                        "5f3a9c1e0-",
                                        "5F3A9C1E-12",
                                        "5f3a9c1e 1",
                                        "5f3a9c1e--1",
                                        "5f3a9c1e-4294967296",
                                        "5f3a9c1e-1x",
                                        " 5f3a9c1e-1",
                                        "5f3a9c1g-1",
                                        "5f3a9c1e-18446744073709551617",
                                        "5f3a9c1e-12-",
                                        "5f3a9c1e-12-0b61d2c",
                                        "5f3a9c1e-12-0b61d2c44",
                                        "5f3a9c1e-12-0B61D2C4",
                                        "5f3a9c1e-12-0b61d2c4-",
                                        "5f3a9c1e--0b61d2c4",
                                        "5f3a9c1e-0-0b61d2c4",
                                        "5f3a9c1e-00000000000000000000000000000000000012-0b61d2c4"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct journal_word word;

        if (journal_parse_epoch(words[i], &word) != -EINVAL)
            fail_msg("'%s' is taken for an epoch", words[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_come_back),
        cmocka_unit_test(headers_are_little_endian),
        cmocka_unit_test(a_flipped_bit_of_a_header_is_seen),
        cmocka_unit_test(headers_that_are_none_are_refused),
        cmocka_unit_test(sectors_come_back),
        cmocka_unit_test(a_sector_of_elsewhere_is_refused),
        cmocka_unit_test(a_flipped_bit_of_a_sector_is_seen),
        cmocka_unit_test(a_file_of_zeros_is_no_journal),
        cmocka_unit_test(tiles_have_their_sectors),
        cmocka_unit_test(words_come_back),
        cmocka_unit_test(words_of_version_1_are_known_as_such),
        cmocka_unit_test(marks_come_back),
        cmocka_unit_test(looks_are_told_apart),
        cmocka_unit_test(other_words_are_refused),
    };

    return cmocka_run_group_tests_name("journal", tests, NULL, NULL) ? 1 : 0;
}
