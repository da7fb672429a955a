/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/jpeg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/compiler.h"

/* Pieces of pictures. Their lengths are right, what is in them means nothing. */
#define SOI "\xff\xd8"
#define EOI "\xff\xd9"
#define JFIF "\xff\xe0\0\x07JFIF\0"
#define EXIF         \
    "\xff\xe1\0\x08" \
    "Exif\0\0"
#define DQT          \
    "\xff\xdb\0\x05" \
    "qqq"
#define SOF0         \
    "\xff\xc0\0\x04" \
    "ff"
#define SOF2         \
    "\xff\xc2\0\x04" \
    "ff"
#define DHT "\xff\xc4\0\x03h"
#define SOS "\xff\xda\0\x03s"
#define SCAN "abc\xff\0def"
#define PICTURE DQT SOF0 DHT SOS SCAN

#define UUID "6f1e3c52-0a1b-4c2d-8e3f-0123456789ab"
#define AT_CHECK (FORMAT_JPEG_SEGMENT - HASH_CHECK)

/* Bytes of a literal without the NUL that C adds. */
#define BYTES(literal) literal, sizeof(literal) - 1

/* Measures a copy of exactly size bytes, so that a sanitizer sees a read past the end. */
static int measure(const void *bytes, size_t size, size_t *len, const char **why)
{
    void *copy = malloc(size ? size : 1);
    int rc;

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    *why = NULL;
    rc = jpeg_length(copy, size, len, why);
    free(copy);
    if (rc && (rc != -EBADMSG || !*why || !**why || *len))
        fail_msg("%d with reason '%s'", rc, *why ? *why : "(none)");
    return rc;
}

static const struct {
    const char *name;
    const char *bytes;
    size_t size;
} pictures[] = {
    {"JFIF", BYTES(SOI JFIF PICTURE EOI)},
    {"Exif", BYTES(SOI EXIF PICTURE EOI)},
    {"neither", BYTES(SOI PICTURE EOI)},
    {"both", BYTES(SOI JFIF EXIF PICTURE EOI)},
    {"progressive", BYTES(SOI JFIF SOF2 DHT SOS SCAN DHT SOS "x" SOS SCAN EOI)},
    {"restarts", BYTES(SOI SOF0 SOS "a\xff\xd0"
                                    "b\xff\xd7"
                                    "c" EOI)},
    {"fill before markers", BYTES(SOI "\xff\xff\xff" JFIF "\xff" PICTURE "\xff\xff" EOI)},
    {"fill in a scan", BYTES(SOI SOF0 SOS "a\xff\xff\xff\0b\xff\xff\xd0"
                                          "c\xff\xff" EOI)},
    {"lines told later", BYTES(SOI SOF0 SOS SCAN "\xff\xdc\0\x04\0\x10" EOI)},
    {"standalone markers", BYTES(SOI "\xff\x01\xff\xd3" PICTURE EOI)},
    {"an empty scan", BYTES(SOI SOF0 SOS EOI)},
    {"a thumbnail", BYTES(SOI "\xff\xe1\0\x25" SOI PICTURE EOI PICTURE EOI)},
    {"arithmetic coding", BYTES(SOI "\xff\xcc\0\x04zz\xff\xc9\0\x04zz" SOS SCAN EOI)},
};

static void whole_pictures_are_measured(void **state)
{
    char bytes[256];
    const char *why;
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pictures); i++) {
        size_t size = pictures[i].size;

        if (measure(pictures[i].bytes, size, &len, &why))
            fail_msg("%s: %s", pictures[i].name, why);
        assert_int_equal(len, size);
        memcpy(bytes, pictures[i].bytes, size);
        memcpy(bytes + size, BYTES(SOI PICTURE EOI));
        assert_int_equal(measure(bytes, size + sizeof(SOI PICTURE EOI) - 1, &len, &why), 0);
        assert_int_equal(len, size);
    }
}

static void every_cut_is_noticed(void **state)
{
    const char *why;
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pictures); i++) {
        for (size_t size = 0; size < pictures[i].size; size++) {
            if (measure(pictures[i].bytes, size, &len, &why) == 0)
                fail_msg("%s, cut to %zu bytes, is taken", pictures[i].name, size);
            assert_string_equal(why, size ? "it has been cut short" : "it is empty");
        }
    }
}

static const struct {
    const char *bytes;
    size_t size;
    const char *why; /* a part of it */
} refusals[] = {
    {BYTES(""), "empty"},
    {BYTES("\xff"), "cut short"},
    {BYTES("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "PNG"},
    {BYTES("GIF89a"), "GIF"},
    {BYTES("RIFF\x10\0\0\0WEBPVP8 "), "WebP"},
    {BYTES("\0\0\0\x18"
           "ftypheic\0\0\0\0"),
     "HEIC"},
    {BYTES("II*\0\x08\0\0\0"), "TIFF"},
    {BYTES("MM\0*\0\0\0\x08"), "TIFF"},
    {BYTES("BM6\0"), "BMP"},
    {BYTES("\0\0\0\x0cjP  \r\n\x87\n"), "JPEG 2000"},
    {BYTES("\xff\x4f\xff\x51\0\x29"), "not a JPEG"},
    {BYTES("\0\0\0\x0cJXL \r\n\x87\n"), "JPEG XL"},
    {BYTES("\xff\x0a\0\0"), "JPEG XL"},
    {BYTES("%PDF-1.4\n"), "PDF"},
    {BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "not a JPEG"},
    {BYTES("hello, world\n"), "not a JPEG"},
    {BYTES("\xd8\xff"), "not a JPEG"},
    {BYTES("\xff\xff\xd8"), "not a JPEG"},
    {BYTES(SOI "x"), "a marker is missing"},
    {BYTES(SOI SOI EOI), "a marker is wrong"},
    {BYTES(SOI "\xff\0" EOI), "a marker is wrong"},
    {BYTES(SOI "\xff\x02\0\x02" EOI), "a marker is wrong"},
    {BYTES(SOI "\xff\xbf\0\x02" EOI), "a marker is wrong"},
    {BYTES(SOI JFIF "x" PICTURE EOI), "a marker is missing"},
    {BYTES(SOI "\xff\xe0\0\0" PICTURE EOI), "a length is wrong"},
    {BYTES(SOI "\xff\xe0\0\x01" PICTURE EOI), "a length is wrong"},
    {BYTES(SOI SOF0 "\xff\xda\0\x01" SCAN EOI), "a length is wrong"},
    {BYTES(SOI "\xff\xfe\xff\xff" PICTURE EOI), "cut short"},
    {BYTES(SOI SOF0 SOS SCAN SOI EOI), "a marker is wrong"},
    {BYTES(SOI EOI), "without a picture"},
    {BYTES(SOI JFIF DQT DHT EOI), "without a picture"},
    {BYTES(SOI SOF0 EOI), "without a picture"},
    {BYTES(SOI SOS SCAN EOI), "without a picture"},
    {BYTES(SOI SOS SCAN SOF0 EOI), "without a picture"},
    {BYTES(SOI "\xff\xc4\0\x02\xff\xc8\0\x02\xff\xcc\0\x02" SOS SCAN EOI), "without a picture"},
};

static void others_are_refused(void **state)
{
    const char *why;
    size_t len;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (measure(refusals[i].bytes, refusals[i].size, &len, &why) == 0)
            fail_msg("%zu, '%s', is taken", i, refusals[i].why);
        if (!strstr(why, refusals[i].why))
            fail_msg("%zu: '%s', not '%s'", i, why, refusals[i].why);
    }
}

static void put_number(unsigned char *to, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * (bytes - 1 - i));
}

/* A segment by the specification, without the code under test. The check is made, the digest is
 * any. */
static void golden_segment(unsigned char out[FORMAT_JPEG_SEGMENT])
{
    static const unsigned char uuid[] = {0x6f, 0x1e, 0x3c, 0x52, 0x0a, 0x1b, 0x4c, 0x2d,
                                         0x8e, 0x3f, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};

    memcpy(out, "\xff\xe9\0\x48mosaicfs\0\x01", 14);
    memcpy(out + 14, uuid, sizeof(uuid));
    put_number(out + 30, 4, 12799);
    put_number(out + 34, 8, 8388608);
    put_number(out + 42, 8, 107374182400);
    put_number(out + 50, 8, 4096);
    memcpy(out + 58, "\1\2\3\4\5\6\7\x08", 8);
    assert_int_equal(hash_check(out, AT_CHECK, out + AT_CHECK), 0);
}

static struct jpeg_tag tag_of(uint32_t tile)
{
    struct jpeg_tag tag = {.uuid = UUID, .tile = tile};

    assert_int_equal(geometry_init(&tag.geometry, 107374182400, 8388608), 0);
    return tag;
}

/* Puts a head around a cover; the caller frees it. */
static unsigned char *put_head(struct jpeg_tag *tag, const void *cover, size_t len)
{
    unsigned char *head = malloc(jpeg_head_size(len));

    assert_non_null(head);
    memset(head, 0x5a, jpeg_head_size(len));
    assert_int_equal(jpeg_put(tag, cover, len, head), 0);
    assert_true(tag->payload <= jpeg_head_size(len));
    return head;
}

static void assert_reads_back(const struct jpeg_tag *in, const unsigned char *head)
{
    unsigned char digest[HASH_CHECK];
    struct jpeg_tag out;
    uint64_t off;

    assert_int_equal(jpeg_find(head, FORMAT_JPEG_PROBE, &off), 0);
    assert_int_equal(jpeg_get(head + off, &out), 0);
    assert_string_equal(out.uuid, in->uuid);
    assert_int_equal(out.tile, in->tile);
    assert_int_equal(out.geometry.size, in->geometry.size);
    assert_int_equal(out.geometry.tile_size, in->geometry.tile_size);
    assert_int_equal(out.geometry.ntiles, in->geometry.ntiles);
    assert_int_equal(out.payload, in->payload);
    assert_memory_equal(out.cover, in->cover, HASH_CHECK);
    assert_int_equal(jpeg_digest(&out, head, digest), 0);
    assert_memory_equal(digest, out.cover, HASH_CHECK);
}

static void heads_are_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pictures); i++) {
        struct jpeg_tag tag = tag_of((uint32_t)i);
        unsigned char *head = put_head(&tag, pictures[i].bytes, pictures[i].size);
        const char *why;
        size_t len;

        assert_int_equal(tag.payload, FORMAT_JPEG_ALIGN);
        assert_reads_back(&tag, head);
        assert_int_equal(jpeg_length(head, tag.payload, &len, &why), 0);
        assert_int_equal(len, pictures[i].size + FORMAT_JPEG_SEGMENT);
        for (size_t at = len; at < tag.payload; at++)
            assert_int_equal(head[at], 0);
        free(head);
    }
}

/* All bytes of one head, written down once from the manual; every later version must read it. */
static void a_head_is_the_golden_one(void **state)
{
    static const char cover[] = SOI JFIF PICTURE EOI;
    static const char golden[FORMAT_JPEG_ALIGN] =
        SOI JFIF "\xff\xe9\x00\x48mosaicfs\x00\x01"
                 "\x6f\x1e\x3c\x52\x0a\x1b\x4c\x2d\x8e\x3f\x01\x23\x45\x67\x89\xab"
                 "\x00\x00\x31\xff"                 /* tile 12799 */
                 "\x00\x00\x00\x00\x00\x80\x00\x00" /* of 8 MiB */
                 "\x00\x00\x00\x19\x00\x00\x00\x00" /* of 100 GiB */
                 "\x00\x00\x00\x00\x00\x00\x10\x00"
                 "\x86\xa6\x38\x2d\x0f\x65\xef\x0e"
                 "\xf2\x8b\x7f\xf8\xbf\xf0\x33\x4e" PICTURE EOI;
    struct jpeg_tag tag = tag_of(12799);
    unsigned char *head = put_head(&tag, BYTES(cover));

    (void)state;
    assert_int_equal(tag.payload, sizeof(golden));
    assert_memory_equal(head, golden, sizeof(golden));
    free(head);
    assert_reads_back(&tag, (const unsigned char *)golden);
}

/* A cover that a tile showed before: its segment goes, and heads do not grow. */
static void the_cover_of_a_tile_is_its_cover(void **state)
{
    static const size_t sizes[] = {100, FORMAT_JPEG_ALIGN - FORMAT_JPEG_SEGMENT,
                                   FORMAT_JPEG_ALIGN - FORMAT_JPEG_SEGMENT + 1,
                                   2 * FORMAT_JPEG_ALIGN};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t size = sizes[i];
        char *cover = malloc(size);
        struct jpeg_tag first = tag_of(1), second = tag_of(1);
        unsigned char *head, *again;

        assert_non_null(cover);
        memset(cover, 'x', size);
        memcpy(cover, BYTES(SOI EXIF SOF0 SOS));
        memcpy(cover + size - 2, BYTES(EOI));
        head = put_head(&first, cover, size);
        assert_int_equal(first.payload, jpeg_head_size(size));
        again = put_head(&second, head, size + FORMAT_JPEG_SEGMENT);
        assert_int_equal(second.payload, first.payload);
        assert_memory_equal(again, head, first.payload);
        free(again);
        free(head);
        free(cover);
    }
    assert_int_equal(jpeg_head_size(FORMAT_JPEG_ALIGN - FORMAT_JPEG_SEGMENT), FORMAT_JPEG_ALIGN);
    assert_int_equal(jpeg_head_size(FORMAT_JPEG_ALIGN - FORMAT_JPEG_SEGMENT + 1),
                     2 * FORMAT_JPEG_ALIGN);
}

static void wrong_covers_are_refused(void **state)
{
    static const char cover[] = SOI JFIF PICTURE EOI;
    char longer[sizeof(cover)];
    struct jpeg_tag tag = tag_of(0);
    unsigned char out[FORMAT_JPEG_ALIGN];

    (void)state;
    memcpy(longer, cover, sizeof(cover));
    assert_int_equal(jpeg_put(&tag, cover, 0, out), -EBADMSG);
    assert_int_equal(jpeg_put(&tag, cover, sizeof(cover) - 2, out), -EBADMSG);
    assert_int_equal(jpeg_put(&tag, longer, sizeof(longer), out), -EBADMSG);
    assert_int_equal(jpeg_put(&tag, BYTES("\x89PNG\r\n\x1a\n"), out), -EBADMSG);
}

static void the_longest_cover_fits(void **state)
{
    size_t size = FORMAT_COVER_LIMIT;
    struct jpeg_tag tag = tag_of(0);
    unsigned char *head;
    char *cover = malloc(size + 2 * FORMAT_JPEG_ALIGN);

    (void)state;
    assert_non_null(cover);
    memset(cover, 'x', size + 2 * FORMAT_JPEG_ALIGN);
    memcpy(cover, BYTES(SOI JFIF SOF0 SOS));
    memcpy(cover + size - 2, BYTES(EOI));
    head = put_head(&tag, cover, size);
    assert_int_equal(tag.payload, FORMAT_COVER_LIMIT + FORMAT_JPEG_ALIGN);
    assert_reads_back(&tag, head);
    memcpy(cover + size - 2, "xx", 2);
    size += FORMAT_JPEG_ALIGN;
    memcpy(cover + size - 2, BYTES(EOI));
    assert_int_equal(jpeg_put(&tag, cover, size, NULL), -EBADMSG);
    free(head);
    free(cover);
}

static const struct {
    const char *bytes;
    size_t size;
    int rc;
    uint64_t off;
} places[] = {
    {BYTES(SOI JFIF DQT), 0, 11},
    {BYTES(SOI EXIF DQT), 0, 12},
    {BYTES(SOI DQT), 0, 2},
    {BYTES(SOI "\xff\xe9\0\x48"), 0, 2},
    {BYTES(SOI "\xff\xff\xe0\0"), 0, 2},
    {BYTES(SOI "\xff\xe0\xff\xff"), 0, 65539},
    {BYTES(SOI "\xff\xe0\0\x02"), 0, 6},
    {BYTES(SOI "\xff\xe0\0\x01"), -EBADMSG, 0},
    {BYTES(SOI "\xff\xe1\0\0"), -EBADMSG, 0},
    {BYTES(SOI "\xff\xe0\0"), -EBADMSG, 0},
    {BYTES(SOI), -EBADMSG, 0},
    {BYTES(""), -EBADMSG, 0},
    {BYTES(SOI "x\xe0\0\x10"), -EBADMSG, 0},
    {BYTES("\x89PNG\r\n"), -EBADMSG, 0},
    {BYTES("\0\0\0\0\0\0"), -EBADMSG, 0},
};

static void the_place_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        uint64_t off = 0;

        if (jpeg_find(places[i].bytes, places[i].size, &off) != places[i].rc)
            fail_msg("%zu is not as told", i);
        if (!places[i].rc)
            assert_int_equal(off, places[i].off);
    }
}

static void the_golden_segment_is_read(void **state)
{
    unsigned char segment[FORMAT_JPEG_SEGMENT];
    struct jpeg_tag tag;

    (void)state;
    golden_segment(segment);
    assert_int_equal(jpeg_get(segment, &tag), 0);
    assert_string_equal(tag.uuid, UUID);
    assert_int_equal(tag.tile, 12799);
    assert_int_equal(tag.geometry.size, 107374182400);
    assert_int_equal(tag.geometry.tile_size, 8388608);
    assert_int_equal(tag.geometry.ntiles, 12800);
    assert_int_equal(tag.payload, 4096);
    assert_memory_equal(tag.cover, "\1\2\3\4\5\6\7\x08", HASH_CHECK);
}

/* One field other than in the golden segment, under a check that is right. */
static const struct {
    unsigned at;
    unsigned bytes;
    uint64_t value;
    int rc;
} fields[] = {
    {2, 2, 73, -EBADMSG},
    {2, 2, 0, -EBADMSG},
    {13, 1, 0, -EBADMSG},
    {13, 1, 2, -ENOTSUP},
    {13, 1, 255, -ENOTSUP},
    {30, 4, 0, 0},
    {30, 4, 12800, -EBADMSG},
    {30, 4, UINT32_MAX, -EBADMSG},
    {34, 8, 0, -EBADMSG},
    {34, 8, 8388608 + 1, -EBADMSG},
    {34, 8, 512, -EBADMSG},         /* too many tiles */
    {34, 8, 2 * 8388608, -EBADMSG}, /* the tile is past the end */
    {34, 8, 8388608 - 512, 0},
    {34, 8, UINT64_MAX - 511, -EBADMSG},
    {42, 8, 0, -EBADMSG},
    {42, 8, 107374182400 + 1, -EBADMSG},
    {42, 8, 107374182400 + 512, 0},
    {42, 8, UINT64_MAX - 511, -EBADMSG},
    {50, 8, 0, -EBADMSG},
    {50, 8, 4095, -EBADMSG},
    {50, 8, 8192, 0},
    {50, 8, FORMAT_COVER_LIMIT + FORMAT_JPEG_ALIGN, 0},
    {50, 8, FORMAT_COVER_LIMIT + 2 * FORMAT_JPEG_ALIGN, -EBADMSG},
    {50, 8, UINT64_MAX - 4095, -EBADMSG},
};

static void fields_are_checked(void **state)
{
    unsigned char segment[FORMAT_JPEG_SEGMENT];
    struct jpeg_tag tag;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        int rc;

        golden_segment(segment);
        put_number(segment + fields[i].at, fields[i].bytes, fields[i].value);
        assert_int_equal(hash_check(segment, AT_CHECK, segment + AT_CHECK), 0);
        rc = jpeg_get(segment, &tag);
        if (rc != fields[i].rc)
            fail_msg("%u = %ju: %d, not %d", fields[i].at, (uintmax_t)fields[i].value, rc,
                     fields[i].rc);
    }
}

/* In marker and name: not ours any more. Everywhere else: damaged. */
static void every_small_damage_is_noticed(void **state)
{
    unsigned char segment[FORMAT_JPEG_SEGMENT];
    struct jpeg_tag tag;

    (void)state;
    golden_segment(segment);
    for (unsigned at = 0; at < FORMAT_JPEG_SEGMENT; at++) {
        for (unsigned by = 1; by < 256; by++) {
            bool name = at < 2 || (at >= 4 && at < 13);

            segment[at] ^= (unsigned char)by;
            assert_int_equal(jpeg_get(segment, &tag), name ? -ENODATA : -EBADMSG);
            segment[at] ^= (unsigned char)by;
        }
    }
}

/* The digest sees every byte of a head but the segment's, which has its own. */
static void damage_of_the_head_is_noticed(void **state)
{
    struct jpeg_tag tag = tag_of(3);
    unsigned char *head = put_head(&tag, BYTES(SOI JFIF PICTURE EOI)), digest[HASH_CHECK];

    (void)state;
    for (size_t at = 0; at < tag.payload; at++) {
        bool in_segment = at >= 11 && at < 11 + FORMAT_JPEG_SEGMENT;
        int rc;

        head[at] ^= 1;
        rc = jpeg_digest(&tag, head, digest);
        if ((rc || memcmp(digest, tag.cover, HASH_CHECK) != 0) == in_segment)
            fail_msg("damage at %zu", at);
        head[at] ^= 1;
    }
    put_number(head + 4, 2, tag.payload - 4 - FORMAT_JPEG_SEGMENT + 1);
    assert_int_equal(jpeg_digest(&tag, head, digest), -EBADMSG);
    free(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_pictures_are_measured),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(others_are_refused),
        cmocka_unit_test(heads_are_read_back),
        cmocka_unit_test(a_head_is_the_golden_one),
        cmocka_unit_test(the_cover_of_a_tile_is_its_cover),
        cmocka_unit_test(wrong_covers_are_refused),
        cmocka_unit_test(the_longest_cover_fits),
        cmocka_unit_test(the_place_is_found),
        cmocka_unit_test(the_golden_segment_is_read),
        cmocka_unit_test(fields_are_checked),
        cmocka_unit_test(every_small_damage_is_noticed),
        cmocka_unit_test(damage_of_the_head_is_noticed),
    };

    return cmocka_run_group_tests_name("jpeg", tests, NULL, NULL);
}
