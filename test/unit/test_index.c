/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/index.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "format/format.h"

#define UUID "6f1e3c52-0a1b-4c2d-8e3f-0123456789ab"
#define FIRST "2 8388608 12800\n"
#define SIZE "size 107374182400\n"
#define REST "uuid " UUID "\nlayout plain\n"
#define BODY FIRST SIZE REST

/* Written down once from the specification; the parser of every later version must read it. */
static const char golden[] =
    BODY "sha256 bdffd0f6a09a4822fd39ab5726bbd2ca8a9a6065170ff3496db8cb779230e781\n";

/* Parses a copy of exactly len bytes, so that a sanitizer sees a read past the end. */
static int parse(const char *text, size_t len, struct index *index, const char **why)
{
    char *copy = malloc(len ? len : 1);
    int err;

    assert_non_null(copy);
    memcpy(copy, text, len);
    *why = NULL;
    err = index_parse(copy, len, index, why);
    free(copy);
    if (err && (!*why || !**why))
        fail_msg("%d without a reason", err);
    return err;
}

/* The body with the checksum line that belongs to it; the caller frees. */
static char *seal(const char *body)
{
    size_t cap = strlen(body) + 80;
    char *text = malloc(cap);
    char hex[HASH_HEX];

    assert_non_null(text);
    assert_int_equal(hash_sha256(body, strlen(body), hex), 0);
    snprintf(text, cap, "%ssha256 %s\n", body, hex);
    return text;
}

struct refusal {
    const char *text;
    int err;
    const char *why; /* a part of it */
};

static void assert_refused(const char *text, size_t len, const struct refusal *want)
{
    struct index index;
    const char *why;
    int err = parse(text, len, &index, &why);

    if (err != want->err || !strstr(why, want->why))
        fail_msg("'%s': %d (%s), not %d (%s)", want->text, err, why ? why : "", want->err,
                 want->why);
}

static void current_is_read(void **state)
{
    struct index index;
    const char *why;

    (void)state;
    assert_int_equal(parse(golden, strlen(golden), &index, &why), 0);
    assert_int_equal(index.format, FORMAT_CURRENT);
    assert_int_equal(index.geometry.size, 107374182400);
    assert_int_equal(index.geometry.tile_size, 8388608);
    assert_int_equal(index.geometry.ntiles, 12800);
    assert_ptr_equal(index.layout, &layout_plain);
    assert_string_equal(index.uuid, UUID);
    assert_false(index.read_only);
}

static void printed_is_the_golden_text(void **state)
{
    struct index index = {.format = FORMAT_CURRENT, .layout = &layout_plain, .uuid = UUID};
    char text[FORMAT_INDEX_MAX];
    size_t len;

    (void)state;
    assert_int_equal(geometry_init(&index.geometry, 107374182400, 8388608), 0);
    assert_int_equal(index_print(&index, text, sizeof(text), &len), 0);
    assert_int_equal(len, strlen(golden));
    assert_memory_equal(text, golden, len);
    assert_int_equal(index_print(&index, text, len + 1, &len), 0);
    for (size_t cap = 0; cap <= len; cap++) {
        size_t unused;

        assert_int_equal(index_print(&index, text, cap, &unused), -ENOMEM);
    }
}

static const struct {
    uint64_t size;
    uint64_t tile_size;
} trips[] = {
    {512, 512},
    {512, 8388608},
    {8388608 + 512, 8388608},
    {UINT64_C(1) << 47, UINT64_C(1) << 27},
    {UINT64_C(0x7ffffffffffffe00), UINT64_C(1) << 43},
    {UINT64_C(0x7ffffffffffffe00), UINT64_C(0x7ffffffffffffe00)},
};

static void printed_is_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(trips); i++) {
        struct index in = {.format = FORMAT_CURRENT, .layout = &layout_plain}, out;
        char text[FORMAT_INDEX_MAX];
        const char *why;
        size_t len;

        assert_int_equal(geometry_init(&in.geometry, trips[i].size, trips[i].tile_size), 0);
        assert_int_equal(hash_uuid(in.uuid), 0);
        assert_int_equal(index_print(&in, text, sizeof(text), &len), 0);
        assert_int_equal(parse(text, len, &out, &why), 0);
        assert_int_equal(out.geometry.size, in.geometry.size);
        assert_int_equal(out.geometry.tile_size, in.geometry.tile_size);
        assert_int_equal(out.geometry.ntiles, in.geometry.ntiles);
        assert_string_equal(out.uuid, in.uuid);
    }
}

static const struct {
    const char *text;
    uint64_t tile_size;
    uint32_t ntiles;
} originals[] = {
    {"1 134217728 800", 134217728, 800},
    {"1 134217728 800\n", 134217728, 800},
    {"1 134217728 800 \t \n", 134217728, 800},
    {"1\t134217728 \t 800", 134217728, 800},
    {"1 1 1", 1, 1},
    {"1 1000 7", 1000, 7},
    {"1 1 1048576", 1, 1048576},
    {"1 8796093022207 1048576", 8796093022207, 1048576},
    {"1 9223372036854775807 1", INT64_MAX, 1},
};

static void original_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(originals); i++) {
        struct index index;
        const char *why;
        int err = parse(originals[i].text, strlen(originals[i].text), &index, &why);

        if (err)
            fail_msg("'%s': %d (%s)", originals[i].text, err, why);
        assert_int_equal(index.format, FORMAT_ORIGINAL);
        assert_int_equal(index.geometry.tile_size, originals[i].tile_size);
        assert_int_equal(index.geometry.ntiles, originals[i].ntiles);
        assert_int_equal(index.geometry.size, originals[i].tile_size * originals[i].ntiles);
        assert_ptr_equal(index.layout, &layout_original);
        assert_string_equal(index.uuid, "");
        assert_false(index.read_only);
    }
}

/* What is refused as it stands: format 1, and what no checksum can save. */
static const struct refusal plain_refusals[] = {
    {"", -EBADMSG, "empty"},
    {"\n", -EBADMSG, "number of a format"},
    {" 1 8 8", -EBADMSG, "number of a format"},
    {"0 8 8\n", -EBADMSG, "number of a format"},
    {"01 8 8\n", -EBADMSG, "number of a format"},
    {"-1 8 8\n", -EBADMSG, "number of a format"},
    {"+1 8 8\n", -EBADMSG, "number of a format"},
    {"1.0 8 8\n", -EBADMSG, "number of a format"},
    {"1K 8 8\n", -EBADMSG, "number of a format"},
    {"hello", -EBADMSG, "number of a format"},
    {"\xef\xbb\xbf"
     "1 8 8\n",
     -EBADMSG, "number of a format"},
    {"3", -ENOTSUP, "newer"},
    {"3 8388608 12800\n", -ENOTSUP, "newer"},
    {"3\nanything", -ENOTSUP, "newer"},
    {"10 8388608 12800\n", -ENOTSUP, "newer"},
    {"99999999999999999999999999999 1 1\n", -ENOTSUP, "newer"},
    {"1", -EBADMSG, "first line"},
    {"1 ", -EBADMSG, "first line"},
    {"1\n8\n8\n", -EBADMSG, "first line"},
    {"1 8", -EBADMSG, "first line"},
    {"1 8 ", -EBADMSG, "first line"},
    {"1 8\n8", -EBADMSG, "first line"},
    {"1 8 x", -EBADMSG, "first line"},
    {"1 -8 8", -EBADMSG, "first line"},
    {"1 8 -8", -EBADMSG, "first line"},
    {"1 8 +8", -EBADMSG, "first line"},
    {"1 08 8", -EBADMSG, "first line"},
    {"1 8 08", -EBADMSG, "first line"},
    {"1 0x8 8", -EBADMSG, "first line"},
    {"1 8 8 8", -EBADMSG, "behind"},
    {"1 8 8K", -EBADMSG, "behind"},
    {"1 8 8\n\n", -EBADMSG, "behind"},
    {"1 8 8\n ", -EBADMSG, "behind"},
    {"1 8 8\r\n", -EBADMSG, "behind"},
    {"1 8 8\nuuid " UUID "\n", -EBADMSG, "behind"},
    {"1 0 8", -EBADMSG, "zero"},
    {"1 8 0", -EBADMSG, "zero"},
    {"1 8 1048577", -EBADMSG, "number of tiles is above 1048576"},
    {"1 8388608 9223372036854775808\n", -EBADMSG, "number of tiles is above 1048576"},
    {"1 8388608 18446744073709551617\n", -EBADMSG, "number of tiles is above 1048576"},
    {"1 18446744073709551616 1", -EBADMSG, "tile size is above"},
    {"1 9223372036854775808 1", -EBADMSG, "size of the image is above"},
    {"1 9223372036854775807 2", -EBADMSG, "size of the image is above"},
    {"1 8796093022208 1048576", -EBADMSG, "size of the image is above"},
    {"1 17592186044416 1048576", -EBADMSG, "size of the image is above"}, /* 2^64: 0 */
    {"2", -EBADMSG, "without a checksum"},
    {"2 8388608 12800\n", -EBADMSG, "without a checksum"},
    {BODY, -EBADMSG, "without a checksum"},
};

static void refused_as_it_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plain_refusals); i++)
        assert_refused(plain_refusals[i].text, strlen(plain_refusals[i].text), &plain_refusals[i]);
}

/* Bodies that get a valid checksum and are refused for what they say. */
static const struct refusal sealed_refusals[] = {
    {"2  8388608 12800\n" SIZE REST, -EBADMSG, "first line"},
    {"2\t8388608 12800\n" SIZE REST, -EBADMSG, "first line"},
    {"2 8388608\t12800\n" SIZE REST, -EBADMSG, "first line"},
    {"2 8388608\n12800\n" SIZE REST, -EBADMSG, "first line"},
    {"2 08388608 12800\n" SIZE REST, -EBADMSG, "first line"},
    {"2 8388608 12800 \n" SIZE REST, -EBADMSG, "behind"},
    {"2 8388608 12800\r\n" SIZE REST, -EBADMSG, "behind"},
    {"2 8388608 9223372036854775808\n" SIZE REST, -EBADMSG, "number of tiles is above 1048576"},
    {"2 8388608 0\n" SIZE REST, -EBADMSG, "zero"},
    {"2 0 12800\n" SIZE REST, -EBADMSG, "zero"},
    {"2 8388608 12799\n" SIZE REST, -EBADMSG, "does not fit"},
    {"2 8388608 12801\n" SIZE REST, -EBADMSG, "does not fit"},
    {"2 8388607 12801\n" SIZE REST, -EBADMSG, "multiple of 512"},
    {FIRST "size 107374182401\n" REST, -EBADMSG, "multiple of 512"},
    {FIRST "size 0\n" REST, -EBADMSG, "zero or too large"},
    {FIRST "size 9223372036854775808\n" REST, -EBADMSG, "zero or too large"},
    {FIRST "size 18446744073709551616\n" REST, -EBADMSG, "'size'"},
    {FIRST "size 0107374182400\n" REST, -EBADMSG, "'size'"},
    {FIRST "size  107374182400\n" REST, -EBADMSG, "'size'"},
    {FIRST "size 107374182400 \n" REST, -EBADMSG, "'size'"},
    {FIRST "Size 107374182400\n" REST, -EBADMSG, "'size'"},
    {FIRST "size\n" REST, -EBADMSG, "'size'"},
    {FIRST REST, -EBADMSG, "'size'"},
    {FIRST "\n" SIZE REST, -EBADMSG, "'size'"},
    {FIRST "uuid " UUID "\n" SIZE "layout plain\n", -EBADMSG, "'size'"},
    {FIRST SIZE "layout plain\n", -EBADMSG, "'uuid'"},
    {FIRST SIZE "layout plain\nuuid " UUID "\n", -EBADMSG, "'uuid'"},
    {FIRST SIZE "uuid 6F1e3c52-0a1b-4c2d-8e3f-0123456789ab\nlayout plain\n", -EBADMSG, "'uuid'"},
    {FIRST SIZE "uuid " UUID "0\nlayout plain\n", -EBADMSG, "'uuid'"},
    {FIRST SIZE "uuid " UUID " \nlayout plain\n", -EBADMSG, "'uuid'"},
    {FIRST SIZE "uuid \nlayout plain\n", -EBADMSG, "'uuid'"},
    {FIRST SIZE "uuid " UUID "\n", -EBADMSG, "'layout'"},
    {FIRST SIZE "uuid " UUID "\nlayout \n", -EBADMSG, "'layout'"},
    {FIRST SIZE "uuid " UUID "\nlayout plain \n", -EBADMSG, "'layout'"},
    {FIRST SIZE "uuid " UUID "\nlayout Plain\n", -EBADMSG, "'layout'"},
    {FIRST SIZE "uuid " UUID "\nlayout original\n", -ENOTSUP, "layout"},
    {FIRST SIZE "uuid " UUID "\nlayout original-jpeg\n", -ENOTSUP, "layout"},
    {FIRST SIZE "uuid " UUID "\nlayout sparsebundle\n", -ENOTSUP, "layout"},
    {BODY "incompat compression\n", -ENOTSUP, "feature"},
    {BODY "incompat compression zstd 19\n", -ENOTSUP, "feature"},
    {BODY "compat a\nincompat b\n", -ENOTSUP, "feature"},
    {BODY "colour blue\n", -ENOTSUP, "key"},
    {BODY "compatible a\n", -ENOTSUP, "key"},
    {BODY SIZE, -EBADMSG, "twice"},
    {BODY REST, -EBADMSG, "twice"},
    {BODY "layout plain\n", -EBADMSG, "twice"},
    {BODY "sha256 00\n", -EBADMSG, "twice"},
    {BODY "\n", -EBADMSG, "malformed"},
    {BODY "colour\n", -EBADMSG, "malformed"},
    {BODY "Colour blue\n", -EBADMSG, "malformed"},
    {BODY " compat a\n", -EBADMSG, "malformed"},
    {BODY "compat\n", -EBADMSG, "malformed"},
    {BODY "compat \n", -EBADMSG, "malformed"},
    {BODY "compat  a\n", -EBADMSG, "malformed"},
    {BODY "compat A\n", -EBADMSG, "malformed"},
    {BODY "compat a_b\n", -EBADMSG, "malformed"},
    {BODY "compat a \n", -EBADMSG, "malformed"},
    {BODY "compat a\tb\n", -EBADMSG, "malformed"},
    {BODY "compat a b\tc\n", -EBADMSG, "malformed"},
    {BODY "compat a b\r\n", -EBADMSG, "malformed"},
    {BODY "incompat A\n", -EBADMSG, "malformed"},
    {BODY "compat aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", -EBADMSG,
     "malformed"},
};

static void refused_in_spite_of_its_checksum(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sealed_refusals); i++) {
        char *text = seal(sealed_refusals[i].text);

        assert_refused(text, strlen(text), &sealed_refusals[i]);
        free(text);
    }
}

static const struct {
    const char *text;
    bool read_only;
} features[] = {
    {BODY "compat a\n", false},
    {BODY "compat a-1 with a value, \xc3\xa4\n", false},
    {BODY "compat aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", false},
    {BODY "ro-compat a\n", true},
    {BODY "ro-compat a 1\ncompat b\n", true},
    {BODY "compat b\nro-compat a\n", true},
};

static void features_of_newer_versions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(features); i++) {
        char *text = seal(features[i].text);
        struct index index;
        const char *why;

        assert_int_equal(parse(text, strlen(text), &index, &why), 0);
        assert_int_equal(index.read_only, features[i].read_only);
        assert_string_equal(index.uuid, UUID);
        free(text);
    }
}

static void checksum_comes_before_the_rest(void **state)
{
    static const struct refusal edited = {"edited", -EBADMSG, "checksum does not match"};
    struct {
        const char *from;
        const char *to;
    } edits[] = {{"12800", "12801"}, {"plain", "blain"}, {"uuid", "guid"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        char text[sizeof(golden)];

        memcpy(text, golden, sizeof(golden));
        memcpy(strstr(text, edits[i].from), edits[i].to, strlen(edits[i].to));
        assert_refused(text, strlen(text), &edited);
    }
}

static void zero_bytes_are_refused(void **state)
{
    static const struct refusal zeros = {"zeros", -EBADMSG, "zero bytes"};
    char text[sizeof(golden)];

    (void)state;
    assert_refused("1 8 8\0", 6, &zeros);
    assert_refused("\0", 1, &zeros);
    assert_refused(golden, sizeof(golden), &zeros); /* with its NUL */
    memset(text, 0, sizeof(text));
    assert_refused(text, sizeof(text), &zeros);
    memcpy(text, golden, sizeof(golden));
    memset(text + 60, 0, sizeof(text) - 60);
    assert_refused(text, sizeof(text), &zeros);
}

static void length_is_bounded(void **state)
{
    static const struct refusal longer = {"too long", -EBADMSG, "longer than 65536"};
    const size_t line = strlen("compat a\n");
    const size_t tail = strlen("sha256 \n") + HASH_HEX - 1;
    size_t len = strlen(BODY);
    char *body = malloc(FORMAT_INDEX_MAX + 100);
    char *text;
    struct index index;
    const char *why;

    (void)state;
    assert_non_null(body);
    strcpy(body, BODY);
    for (; len + line + tail <= FORMAT_INDEX_MAX; len += line)
        strcpy(body + len, "compat a\n");
    text = seal(body);
    assert_int_equal(parse(text, strlen(text), &index, &why), 0);
    free(text);
    strcpy(body + len, "compat a\n");
    text = seal(body);
    assert_refused(text, strlen(text), &longer);
    free(text);
    free(body);
}

/* Damage of a single byte, whatever it becomes, and every cut is noticed. */
static void every_small_damage_is_refused(void **state)
{
    char text[sizeof(golden)];
    struct index index;
    const char *why;

    (void)state;
    for (size_t at = 0; at < strlen(golden); at++) {
        if (parse(golden, at, &index, &why) == 0)
            fail_msg("cut to %zu bytes it is taken", at);
        for (int c = 0; c < 256; c++) {
            memcpy(text, golden, sizeof(golden));
            text[at] = (char)c;
            if (parse(text, strlen(golden), &index, &why) == 0 && text[at] != golden[at])
                fail_msg("with byte %d at %zu it is taken", c, at);
        }
    }
}

/* Format 1 has no checksum: such damage may pass, but what passes is within all bounds. */
static void damaged_originals_stay_in_bounds(void **state)
{
    static const char whole[] = "1 134217728 800\n";
    char text[sizeof(whole)];
    struct index index;
    const char *why;

    (void)state;
    for (size_t at = 0; at < strlen(whole); at++) {
        (void)!parse(whole, at, &index, &why);
        for (int c = 0; c < 256; c++) {
            memcpy(text, whole, sizeof(whole));
            text[at] = (char)c;
            if (parse(text, strlen(whole), &index, &why))
                continue;
            assert_int_equal(index.format, FORMAT_ORIGINAL);
            assert_in_range(index.geometry.ntiles, 1, FORMAT_TILES_MAX);
            assert_in_range(index.geometry.size, 1, FORMAT_SIZE_MAX);
        }
    }
}

/* Bytes of the alphabet of an index in any order, under a checksum that is right. */
static void noise_is_survived(void **state)
{
    static const char *const words[] = {
        "2 ",    "512",     " ",         "\n",      "size ",
        "uuid ", UUID,      "layout ",   "plain",   "0",
        "1",     "compat ", "incompat ", "sha256 ", "18446744073709551615",
        "\t",    "\xff",    "-"};
    unsigned seed = 1;
    struct index index;
    const char *why;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        char body[2048] = "2 ";
        char *text;

        for (unsigned n = 0; n < round % 24; n++) {
            seed = seed * 1103515245 + 12345;
            strcat(body, words[(seed >> 16) % ARRAY_LEN(words)]);
        }
        text = seal(body);
        assert_int_not_equal(parse(text, strlen(text), &index, &why), 0);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(current_is_read),
        cmocka_unit_test(printed_is_the_golden_text),
        cmocka_unit_test(printed_is_read_back),
        cmocka_unit_test(original_is_read),
        cmocka_unit_test(refused_as_it_stands),
        cmocka_unit_test(refused_in_spite_of_its_checksum),
        cmocka_unit_test(features_of_newer_versions),
        cmocka_unit_test(checksum_comes_before_the_rest),
        cmocka_unit_test(zero_bytes_are_refused),
        cmocka_unit_test(length_is_bounded),
        cmocka_unit_test(every_small_damage_is_refused),
        cmocka_unit_test(damaged_originals_stay_in_bounds),
        cmocka_unit_test(noise_is_survived),
    };

    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
