/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rows of mosaicfs.digests, and which bytes of a tile each digest is of.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "format/digests.h"

#define MIB FORMAT_DIGESTS_BLOCK

static void rows_come_back(void **state)
{
    struct digests_header header = {.tiles = 0x01020304, .lists = 0x050607080910}, got;
    struct digests_page page = {0x11121314, 0x1516171819202122, {7}}, got_page;
    struct digests_entry entry = {0x212223, 0x24252627, 0x0829303132333435, {8}}, got_entry;
    unsigned char bytes[DIGESTS_HEADER];

    header.tiles = 0x010203;
    digests_put_header(&header, bytes);
    assert_memory_equal(bytes, "mosaicfs digests\1\0\0\0\3\2\1\0\x10\x09\x08\x07\x06\x05\0\0", 32);
    assert_int_equal(digests_get_header(bytes, &got), 0);
    assert_int_equal(got.tiles, header.tiles);
    assert_true(got.lists == header.lists);
    digests_put_page(&page, bytes);
    digests_get_page(bytes, &got_page);
    assert_int_equal(got_page.tile, page.tile);
    assert_true(got_page.first == page.first);
    assert_memory_equal(got_page.digest, page.digest, HASH_RAW);
    digests_put_entry(&entry, bytes);
    assert_int_equal(digests_get_entry(bytes, &got_entry), 0);
    assert_memory_equal(&got_entry, &entry, sizeof(entry));
}

static void nonsense_is_refused(void **state)
{
    struct digests_header header = {.tiles = 1, .lists = 1};
    struct digests_entry entry = {.payload = 5, .length = 4};
    unsigned char bytes[DIGESTS_HEADER];

    for (unsigned i = 0; i < 64; i++) {
        int rc;

        digests_put_header(&header, bytes);
        bytes[i] ^= 0x80;
        rc = digests_get_header(bytes, &header);
        if (i < 16 || i >= 32)
            assert_int_equal(rc, -EBADMSG);
        else if (i < 20)
            assert_int_equal(rc, -ENOTSUP);
        header = (struct digests_header){.tiles = 1, .lists = 1};
    }
    digests_put_entry(&entry, bytes);
    assert_int_equal(digests_get_entry(bytes, &entry), -EBADMSG);
    entry = (struct digests_entry){.length = UINT64_MAX};
    digests_put_entry(&entry, bytes);
    assert_int_equal(digests_get_entry(bytes, &entry), -EBADMSG);
}

/* The ranges of a list are the file, each byte once. */
static void ranges_are_the_file(void **state)
{
    static const struct digests_entry entries[] = {
        {0, 0, 0, {0}},
        {0, 0, 1, {0}},
        {0, 0, MIB, {0}},
        {0, 0, MIB + 1, {0}},
        {0, 4096, 4096, {0}},
        {0, 4096, 4096 + 3 * MIB, {0}},
        {0, 8192, 9000 + MIB, {0}},
    };
    static const uint64_t counts[] = {0, 1, 1, 2, 1, 4, 3};

    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        uint64_t next = 0, count = digests_count(&entries[i]);

        assert_true(count == counts[i]);
        for (uint64_t n = 0; n < count; n++) {
            uint64_t off, len;

            digests_range(&entries[i], n, &off, &len);
            assert_true(off == next && len > 0);
            next += len;
        }
        assert_true(next == entries[i].length);
    }
}

static void parts_follow_each_other(void **state)
{
    static const uint32_t tiles[] = {0, 1, 63, 64, 65, 100000};
    static const uint32_t pages[] = {0, 1, 1, 1, 2, 1563};

    for (size_t i = 0; i < ARRAY_LEN(tiles); i++) {
        assert_int_equal(digests_pages(tiles[i]), pages[i]);
        assert_true(digests_pages_at(tiles[i]) == 96 + 48 * (uint64_t)pages[i]);
        assert_true(digests_lists_at(tiles[i]) == 96 + 48 * ((uint64_t)pages[i] + tiles[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(ranges_are_the_file),
        cmocka_unit_test(parts_follow_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
