/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/hash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The examples of FIPS 180-2, appendix B, and of the empty message. */
static const struct {
    const char *text;
    const char *hex;
} known[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void sha256_of_known_texts(void **state)
{
    char hex[HASH_HEX];

    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        assert_int_equal(hash_sha256(known[i].text, strlen(known[i].text), hex), 0);
        assert_string_equal(hex, known[i].hex);
    }
}

static void sha256_piece_by_piece(void **state)
{
    struct hash *hash;
    unsigned char raw[HASH_RAW], back[HASH_RAW];
    char hex[HASH_HEX];

    (void)state;
    assert_int_equal(hash_begin(&hash), 0);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        for (const char *c = known[i].text; *c; c++)
            hash_add(hash, c, 1);
        assert_int_equal(hash_end(hash, raw), 0);
        hash_hex(raw, hex);
        assert_string_equal(hex, known[i].hex);
        assert_int_equal(hash_parse(known[i].hex, back), 0);
        assert_memory_equal(raw, back, HASH_RAW);
    }
    hash_free(hash);
    assert_int_equal(hash_parse("E3b0", back), -EINVAL);
    assert_int_equal(hash_parse("e3b", back), -EINVAL);
    assert_int_equal(hash_parse("", back), -EINVAL);
}

static void sha256_of_a_million(void **state)
{
    const size_t len = 1000000;
    char *buf = malloc(len);
    char hex[HASH_HEX];

    (void)state;
    assert_non_null(buf);
    memset(buf, 'a', len);
    assert_int_equal(hash_sha256(buf, len, hex), 0);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(buf);
}

/* However a text is cut in two. */
static void check_of_a_pair_is_that_of_the_whole(void **state)
{
    const char *text = known[2].text;
    unsigned char whole[HASH_CHECK], pair[HASH_CHECK];

    (void)state;
    assert_int_equal(hash_check(text, strlen(text), whole), 0);
    for (size_t at = 0; at <= strlen(text); at++) {
        assert_int_equal(hash_check_pair(text, at, text + at, strlen(text) - at, pair), 0);
        assert_memory_equal(pair, whole, HASH_CHECK);
    }
}

static void uuids_are_valid_and_differ(void **state)
{
    char seen[64][HASH_UUID];

    (void)state;
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(hash_uuid(seen[i]), 0);
        assert_int_equal(strlen(seen[i]), HASH_UUID - 1);
        assert_true(hash_uuid_valid(seen[i]));
        assert_int_equal(seen[i][14], '4');
        assert_non_null(strchr("89ab", seen[i][19]));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(seen[i], seen[j]);
    }
}

/* Every digit takes part: none of the 122 random bits is stuck in 64 tries. */
static void uuids_use_all_their_bits(void **state)
{
    char first[HASH_UUID], other[HASH_UUID];
    bool varies[HASH_UUID] = {false};

    (void)state;
    assert_int_equal(hash_uuid(first), 0);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(hash_uuid(other), 0);
        for (unsigned j = 0; j < HASH_UUID - 1; j++)
            varies[j] |= first[j] != other[j];
    }
    for (unsigned j = 0; j < HASH_UUID - 1; j++) {
        bool fixed = j == 8 || j == 13 || j == 14 || j == 18 || j == 23;

        assert_int_equal(varies[j], !fixed);
    }
}

static const struct {
    const char *text;
    bool valid;
} uuids[] = {
    {"6f1e3c52-0a1b-4c2d-8e3f-0123456789ab", true},
    {"00000000-0000-0000-0000-000000000000", true},
    {"", false},
    {"6f1e3c52-0a1b-4c2d-8e3f-0123456789a", false},
    {"6f1e3c52-0a1b-4c2d-8e3f-0123456789abc", false},
    {"6f1e3c52-0a1b-4c2d-8e3f-0123456789ab ", false},
    {"6F1e3c52-0a1b-4c2d-8e3f-0123456789ab", false},
    {"6g1e3c52-0a1b-4c2d-8e3f-0123456789ab", false},
    {"6f1e3c5-20a1b-4c2d-8e3f-0123456789ab", false},
    {"6f1e3c5200a1b-4c2d-8e3f-0123456789ab", false},
    {"6f1e3c52-0a1b-4c2d-8e3f-01234567-9ab", false},
    {"{6f1e3c52-0a1b-4c2d-8e3f-0123456789a", false},
};

static void uuid_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(uuids) / sizeof(uuids[0]); i++) {
        if (hash_uuid_valid(uuids[i].text) != uuids[i].valid)
            fail_msg("'%s' must be %s", uuids[i].text, uuids[i].valid ? "valid" : "invalid");
    }
}

/* RFC 8439 section 2.5.2. */
static void keyed_is_poly1305(void **state)
{
    static const unsigned char key[HASH_KEY] = {0x85, 0xd6, 0xbe, 0x78, 0x57, 0x55, 0x6d, 0x33,
                                                0x7f, 0x44, 0x52, 0xfe, 0x42, 0xd5, 0x06, 0xa8,
                                                0x01, 0x03, 0x80, 0x8a, 0xfb, 0x0d, 0xb2, 0xfd,
                                                0x4a, 0xbf, 0xf6, 0xaf, 0x41, 0x49, 0xf5, 0x1b};
    static const unsigned char want[HASH_KEYED] = {0xa8, 0x06, 0x1d, 0xc1, 0x30, 0x51, 0x36, 0xc6,
                                                   0xc2, 0x2b, 0x8b, 0xaf, 0x0c, 0x01, 0x27, 0xa9};
    static const char text[] = "Cryptographic Forum Research Group";
    unsigned char got[HASH_KEYED];

    assert_int_equal(hash_keyed(key, text, strlen(text), got), 0);
    assert_memory_equal(got, want, sizeof(want));
    assert_int_equal(hash_keyed(key, text, strlen(text) - 1, got), 0);
    assert_memory_not_equal(got, want, sizeof(want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyed_is_poly1305),
        cmocka_unit_test(sha256_of_known_texts),
        cmocka_unit_test(sha256_piece_by_piece),
        cmocka_unit_test(sha256_of_a_million),
        cmocka_unit_test(check_of_a_pair_is_that_of_the_whole),
        cmocka_unit_test(uuids_are_valid_and_differ),
        cmocka_unit_test(uuids_use_all_their_bits),
        cmocka_unit_test(uuid_shapes),
    };

    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
