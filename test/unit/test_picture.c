/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/picture.h"

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

#ifdef HAVE_LIBJPEG

#include <jpeglib.h>

#define WIDTH 75
#define HEIGHT 45

struct kind {
    const char *name;
    int components; /* 1 grey, 3 colour, 4 CMYK */
    bool progressive;
    unsigned restart; /* MCUs between restart markers, or 0 */
    bool many_scans;
};

static const struct kind baseline = {.name = "baseline", .components = 3};
static const struct kind progressive = {
    .name = "progressive", .components = 3, .progressive = true};
static const struct kind restarts = {.name = "restarts", .components = 3, .restart = 2};
static const struct kind many_scans = {.name = "many scans", .components = 3, .many_scans = true};
static const struct kind *const kinds[] = {
    &baseline,
    &progressive,
    &restarts,
    &(const struct kind){.name = "grey", .components = 1},
    &(const struct kind){.name = "CMYK", .components = 4},
    &(const struct kind){.name = "progressive grey", .components = 1, .progressive = true},
    &(const struct kind){
        .name = "progressive with restarts", .components = 3, .progressive = true, .restart = 3},
};

struct picture {
    unsigned char *bytes;
    unsigned long len;
};

/* Every coefficient of every component in a scan of its own: 1 + 3 * 63 of them. */
static void set_many_scans(struct jpeg_compress_struct *jpeg, jpeg_scan_info scans[190])
{
    int n = 0;

    scans[n++] = (jpeg_scan_info){.comps_in_scan = 3, .component_index = {0, 1, 2}};
    for (int c = 0; c < 3; c++)
        for (int k = 1; k < 64; k++)
            scans[n++] =
                (jpeg_scan_info){.comps_in_scan = 1, .component_index = {c}, .Ss = k, .Se = k};
    jpeg->scan_info = scans;
    jpeg->num_scans = n;
}

static struct picture make(const struct kind *kind)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct picture picture = {NULL, 0};
    jpeg_scan_info scans[190];
    unsigned char row[4 * WIDTH], *rows = row;

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &picture.bytes, &picture.len);
    jpeg.image_width = WIDTH;
    jpeg.image_height = HEIGHT;
    jpeg.input_components = kind->components;
    jpeg.in_color_space = kind->components == 1   ? JCS_GRAYSCALE
                          : kind->components == 3 ? JCS_RGB
                                                  : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg.restart_interval = kind->restart;
    if (kind->progressive)
        jpeg_simple_progression(&jpeg);
    if (kind->many_scans)
        set_many_scans(&jpeg, scans);
    jpeg_start_compress(&jpeg, TRUE);
    for (unsigned y = 0; y < HEIGHT; y++) {
        for (unsigned i = 0; i < sizeof(row); i++)
            row[i] = (unsigned char)(i * i / 7 + y * 11);
        jpeg_write_scanlines(&jpeg, &rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return picture;
}

/* Checks a copy of exactly len bytes. The reason, or NULL when it is whole. */
static const char *check(const unsigned char *bytes, size_t len)
{
    unsigned char *copy = malloc(len ? len : 1);
    const char *why;
    int rc;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    rc = picture_check(copy, len, &why);
    free(copy);
    if (rc ? rc != -EBADMSG || !why || !*why : why != NULL)
        fail_msg("%d with the reason '%s'", rc, why ? why : "(none)");
    return why;
}

static void assert_refused(const unsigned char *bytes, size_t len, const char *part)
{
    const char *why = check(bytes, len);

    if (!why || !strstr(why, part))
        fail_msg("'%s', not '%s'", why ? why : "(whole)", part);
}

static void whole_ones_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct picture picture = make(kinds[i]);
        const char *why = check(picture.bytes, picture.len);

        if (why)
            fail_msg("%s: %s", kinds[i]->name, why);
        free(picture.bytes);
    }
}

static void bytes_behind_are_not_looked_at(void **state)
{
    struct picture picture = make(&baseline);
    unsigned char *longer = malloc(picture.len + 5000);

    (void)state;
    assert_non_null(longer);
    memset(longer, 0xff, picture.len + 5000);
    memcpy(longer, picture.bytes, picture.len);
    assert_null(check(longer, picture.len + 5000));
    free(longer);
    free(picture.bytes);
}

static void every_cut_is_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct picture picture = make(kinds[i]);

        for (size_t len = 0; len < picture.len; len++)
            if (!check(picture.bytes, len))
                fail_msg("%s, cut to %zu bytes of %lu, is taken", kinds[i]->name, len, picture.len);
        assert_refused(picture.bytes, picture.len / 2, "missing");
        assert_refused(picture.bytes, picture.len - 1, "missing");
        free(picture.bytes);
    }
}

/* Where the first marker of that kind stands. */
static unsigned char *find(const struct picture *picture, unsigned char marker)
{
    for (unsigned long i = 0; i + 1 < picture->len; i++)
        if (picture->bytes[i] == 0xff && picture->bytes[i + 1] == marker)
            return picture->bytes + i;
    fail_msg("no marker %02x", marker);
    return NULL;
}

static void an_end_in_the_middle_is_noticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct picture picture = make(kinds[i]);

        memcpy(picture.bytes + picture.len * 3 / 4, "\xff\xd9", 2);
        assert_refused(picture.bytes, picture.len, "missing");
        free(picture.bytes);
    }
}

static void damage_in_the_middle_is_noticed(void **state)
{
    struct picture picture = make(&restarts);

    (void)state;
    find(&picture, 0xd3)[1] = 0xd5; /* a restart marker out of turn */
    assert_refused(picture.bytes, picture.len, "damaged");
    free(picture.bytes);

    picture = make(&baseline);
    memset(picture.bytes + picture.len / 2 + 100, 0xfe, picture.len / 4);
    assert_refused(picture.bytes, picture.len, "");
    free(picture.bytes);

    picture = make(&baseline);
    memset(find(&picture, 0xc4) + 5, 0xff, 16); /* a table of codes */
    assert_refused(picture.bytes, picture.len, "damaged");
    free(picture.bytes);
}

/* What libjpeg can show, but warns about. */
static void oddities_are_refused(void **state)
{
    struct picture picture = make(&baseline);
    unsigned char *longer = malloc(picture.len + 1), *table = find(&picture, 0xdb);
    size_t before = (size_t)(table - picture.bytes);

    (void)state;
    assert_non_null(longer);
    memcpy(longer, picture.bytes, before);
    longer[before] = 'x';
    memcpy(longer + before + 1, table, picture.len - before);
    assert_refused(longer, picture.len + 1, "save it again");
    free(longer);

    picture.bytes[11] = 7; /* version 7 of JFIF */
    assert_refused(picture.bytes, picture.len, "save it again");
    free(picture.bytes);
}

/* Longer than what libjpeg is given at a time. */
static void long_segments_are_skipped(void **state)
{
    struct picture picture = make(&baseline);
    size_t before = (size_t)(find(&picture, 0xdb) - picture.bytes), more = 2 + 1000;
    unsigned char *longer = malloc(picture.len + more);

    (void)state;
    assert_non_null(longer);
    memcpy(longer, picture.bytes, before);
    memcpy(longer + before, "\xff\xfe\x03\xe8", 4);
    memset(longer + before + 4, 'x', more - 4);
    memcpy(longer + before + more, picture.bytes + before, picture.len - before);
    assert_null(check(longer, picture.len + more));
    for (size_t len = before; len < before + more; len++)
        assert_refused(longer, len, "missing");
    free(longer);
    free(picture.bytes);
}

/* The faster decoder of libjpeg-turbo would overlook damage, where enough bytes follow. */
static void what_follows_does_not_matter(void **state)
{
    const size_t more = 10000;
    struct picture picture = make(&baseline);
    unsigned char *longer = calloc(1, picture.len + more);

    (void)state;
    assert_non_null(longer);
    memcpy(longer, picture.bytes, picture.len);
    for (size_t at = picture.len / 2; at < picture.len; at++) {
        for (unsigned by = 1; by < 256; by *= 4) {
            longer[at] ^= (unsigned char)by;
            if (!check(longer, picture.len) != !check(longer, picture.len + more))
                fail_msg("with byte %zu changed by %u", at, by);
            longer[at] ^= (unsigned char)by;
        }
    }
    free(longer);
    free(picture.bytes);
}

/* libjpeg swallows some of them, how many is a matter of what stands behind. */
static void bytes_left_over_are_refused(void **state)
{
    static const struct kind *const sequential[] = {&baseline, &restarts};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sequential); i++) {
        struct picture picture = make(sequential[i]);
        unsigned char *longer = malloc(picture.len + 9);
        size_t data = picture.len - 2;

        assert_non_null(longer);
        memcpy(longer, picture.bytes, data);
        for (size_t n = 1; n < 10; n++) {
            memset(longer + data, 0x55, n);
            memcpy(longer + data + n, "\xff\xd9", 2);
            assert_refused(longer, picture.len + n, "save it again");
            if (n < 2)
                continue;
            memcpy(longer + data + n - 2, "\xff\0", 2); /* that is one byte */
            assert_refused(longer, picture.len + n, "save it again");
        }
        free(longer);
        free(picture.bytes);
    }
}

static void put16(unsigned char *to, unsigned value)
{
    to[0] = (unsigned char)(value >> 8);
    to[1] = (unsigned char)value;
}

/* Told by the header alone, so nothing is decoded and no memory taken. */
static void absurd_sizes_are_refused(void **state)
{
    struct picture picture = make(&baseline);
    unsigned char *frame = find(&picture, 0xc0);

    (void)state;
    put16(frame + 5, 65500);
    put16(frame + 7, 65500);
    assert_refused(picture.bytes, picture.len, "too many pixels");
    put16(frame + 5, 65535);
    assert_refused(picture.bytes, picture.len, "cannot show");
    put16(frame + 5, 16384);
    put16(frame + 7, 16384);
    assert_refused(picture.bytes, picture.len, "missing"); /* it is not that large */
    put16(frame + 7, 16385);
    assert_refused(picture.bytes, picture.len, "too many pixels");
    free(picture.bytes);

    picture = make(&progressive);
    frame = find(&picture, 0xc2);
    put16(frame + 5, 16384);
    put16(frame + 7, 16384);
    assert_refused(picture.bytes, picture.len, "too many pixels");
    free(picture.bytes);
}

static void many_scans_are_refused(void **state)
{
    struct picture picture = make(&many_scans);

    (void)state;
    assert_refused(picture.bytes, picture.len, "too many scans");
    free(picture.bytes);
}

static void kinds_that_nobody_shows_are_refused(void **state)
{
    struct picture picture = make(&baseline);
    unsigned char *frame = find(&picture, 0xc0);

    (void)state;
    frame[1] = 0xc3; /* lossless */
    assert_refused(picture.bytes, picture.len, "cannot show");
    frame[1] = 0xc0;
    frame[4] = 11; /* bits of a colour */
    assert_refused(picture.bytes, picture.len, "cannot show");
    frame[4] = 8;
    put16(frame + 5, 0); /* lines told later */
    assert_refused(picture.bytes, picture.len, "cannot show");
    free(picture.bytes);
}

static void others_are_refused(void **state)
{
    (void)state;
    assert_refused((const unsigned char *)"", 0, "empty");
    assert_refused((const unsigned char *)"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16, "not a JPEG");
    assert_refused((const unsigned char *)"hello, world\n", 13, "not a JPEG");
    assert_refused((const unsigned char *)"\xff\xd8\xff\xd9", 4, "damaged");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_ones_are_taken),
        cmocka_unit_test(bytes_behind_are_not_looked_at),
        cmocka_unit_test(every_cut_is_noticed),
        cmocka_unit_test(an_end_in_the_middle_is_noticed),
        cmocka_unit_test(damage_in_the_middle_is_noticed),
        cmocka_unit_test(oddities_are_refused),
        cmocka_unit_test(long_segments_are_skipped),
        cmocka_unit_test(what_follows_does_not_matter),
        cmocka_unit_test(bytes_left_over_are_refused),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(many_scans_are_refused),
        cmocka_unit_test(kinds_that_nobody_shows_are_refused),
        cmocka_unit_test(others_are_refused),
    };

    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}

#else

static void everything_is_taken(void **state)
{
    const char *why;

    (void)state;
    assert_int_equal(picture_check("", 0, &why), 0);
    assert_int_equal(picture_check("hello", 5, &why), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_taken),
    };

    return cmocka_run_group_tests_name("picture", tests, NULL, NULL);
}

#endif
