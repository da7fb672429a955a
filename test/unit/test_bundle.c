/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format/bundle.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "format/format.h"

/* As a Mac writes it, from the written format; blanks included. */
#define HEAD                                                  \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"            \
    "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" " \
    "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"   \
    "<plist version=\"1.0\">\n<dict>\n"
#define INFO "\t<key>CFBundleInfoDictionaryVersion</key>\n\t<string>6.0</string>\n"
#define INTEGER(name, value) "\t<key>" name "</key>\n\t<integer>" value "</integer>\n"
#define BAND INTEGER("band-size", "8388608")
#define VERSION INTEGER("bundle-backingstore-version", "1")
#define TYPE                               \
    "\t<key>diskimage-bundle-type</key>\n" \
    "\t<string>com.apple.diskimage.sparsebundle</string>\n"
#define SIZE INTEGER("size", "107374182400")
#define TAIL "</dict>\n</plist>\n"
#define GOLDEN HEAD INFO BAND VERSION TYPE SIZE TAIL

/* All but size, which the test puts before TAIL. */
#define OPEN HEAD INFO BAND VERSION TYPE

/* Parses a copy of exactly len bytes, so that a sanitizer sees a read past the end. */
static int parse(const char *text, size_t len, struct index *index, const char **why)
{
    char *copy = malloc(len ? len : 1);
    int err;

    assert_non_null(copy);
    memcpy(copy, text, len);
    *why = NULL;
    err = bundle_parse(copy, len, index, why);
    free(copy);
    if (err && (!*why || !**why))
        fail_msg("%d without a reason", err);
    return err;
}

static void assert_taken(const char *text, uint64_t size, uint64_t band_size)
{
    struct index index;
    const char *why;
    int err = parse(text, strlen(text), &index, &why);

    if (err)
        fail_msg("%d (%s): %s", err, why, text);
    assert_int_equal(index.format, FORMAT_FOREIGN);
    assert_ptr_equal(index.layout, &layout_bundle);
    assert_string_equal(index.uuid, "");
    assert_false(index.read_only);
    assert_int_equal(index.geometry.size, size);
    assert_int_equal(index.geometry.tile_size, band_size);
}

static void assert_refused(const char *text, size_t len, int want, const char *part)
{
    struct index index;
    const char *why;
    int err = parse(text, len, &index, &why);

    if (err != want || !strstr(why, part))
        fail_msg("'%.300s': %d (%s), not %d (%s)", text, err, why ? why : "", want, part);
    assert_null(index.layout);
}

static void what_a_mac_writes_is_read(void **state)
{
    (void)state;
    assert_taken(GOLDEN, 107374182400, 8388608);
    assert_taken(OPEN
                 "<key>uuid</key><string>0E1F3A52-0A1B-4C2D-8E3F-0123456789AB</string>" SIZE TAIL,
                 107374182400, 8388608);
    assert_taken(HEAD INFO BAND INTEGER("bundle-backingstore-version", "2") TYPE SIZE TAIL,
                 107374182400, 8388608);
}

static void other_spellings_are_read(void **state)
{
    (void)state;
    assert_taken("\xef\xbb\xbf" GOLDEN, 107374182400, 8388608);
    assert_taken("<plist><dict>" VERSION TYPE SIZE BAND "</dict></plist>", 107374182400, 8388608);
    assert_taken("\r\n<!-- by hand --><plist version=\"1.0\"><dict>" SIZE BAND VERSION TYPE
                 "<key>more</key><dict><key>a</key><array><true/><real>1.5</real></array></dict>"
                 "</dict></plist>\r\n \t",
                 107374182400, 8388608);
    assert_taken(OPEN "<key>size</key><integer> 512 </integer>" TAIL, 512, 8388608);
}

static void extremes_are_read(void **state)
{
    (void)state;
    assert_taken(HEAD VERSION TYPE INTEGER("size", "512") INTEGER("band-size", "512") TAIL, 512,
                 512);
    assert_taken(HEAD VERSION TYPE INTEGER("size", "8796093022208") BAND TAIL, 8796093022208,
                 8388608);
    assert_taken(HEAD VERSION TYPE INTEGER("size", "9223372036854775296")
                     INTEGER("band-size", "9223372036854775296") TAIL,
                 9223372036854775296, 9223372036854775296);
}

#define NUMBER(value) OPEN INTEGER("size", value) TAIL
#define PLAIN "'size' is not written as a plain decimal number"
#define RANGE "'size' is negative, zero, or above 9223372036854775807"

static const struct {
    const char *text;
    int err;
    const char *why;
} refusals[] = {
    {"", -EBADMSG, "it is empty"},
    {" ", -EBADMSG, "cut off"},
    {"bplist00", -EBADMSG, "binary property list"},
    {"<", -EBADMSG, "cut off"},
    {"</dict></plist>", -EBADMSG, "no property list"},
    {"nothing</dict></plist>", -EBADMSG, "no property list"},
    {"<plist><array><dict></dict></plist>", -EBADMSG, "no property list"},
    {"<plist><dict></dict></plist>", -EBADMSG, "it does not tell 'diskimage-bundle-type'"},
    {HEAD INFO BAND VERSION TYPE TAIL, -EBADMSG, "it does not tell 'size'"},
    {HEAD INFO VERSION TYPE SIZE TAIL, -EBADMSG, "it does not tell 'band-size'"},
    {HEAD INFO BAND TYPE SIZE TAIL, -EBADMSG, "it does not tell 'bundle-backingstore-version'"},
    {HEAD INFO BAND VERSION SIZE TAIL, -EBADMSG, "it does not tell 'diskimage-bundle-type'"},
    {OPEN "<key>x</key><dict>" SIZE "</dict>" TAIL, -EBADMSG, "it does not tell 'size'"},
    /* types */
    {OPEN "<key>size</key><string>512</string>" TAIL, -EBADMSG, "'size' is not of the type"},
    {OPEN "<key>size</key><real>512</real>" TAIL, -EBADMSG, "'size' is not of the type"},
    {OPEN "<key>size</key><true/>" TAIL, -EBADMSG, "'size' is not of the type"},
    {OPEN "<key>size</key><dict/>" TAIL, -EBADMSG, "'size' is not of the type"},
    {HEAD BAND VERSION SIZE "<key>diskimage-bundle-type</key><integer>1</integer>" TAIL, -EBADMSG,
     "'diskimage-bundle-type' is not of the type"},
    {HEAD BAND VERSION SIZE "<key>diskimage-bundle-type</key><string/>" TAIL, -EBADMSG,
     "is not 'com.apple.diskimage.sparsebundle'"},
    {HEAD BAND VERSION SIZE
     "<key>diskimage-bundle-type</key><string>com.apple.diskimage.other</string>" TAIL,
     -ENOTSUP, "it is of another kind of bundle"},
    {HEAD INFO BAND VERSION SIZE
     "<key>diskimage-bundle-type</key><string>com.bpple.diskimage.sparsebundle</string>" TAIL,
     -EBADMSG, "is not 'com.apple.diskimage.sparsebundle'"},
    /* numbers */
    {NUMBER("-1"), -EBADMSG, RANGE},
    {NUMBER("-512"), -EBADMSG, RANGE},
    {NUMBER("-9223372036854775808"), -EBADMSG, RANGE},
    {NUMBER("0"), -EBADMSG, RANGE},
    {NUMBER(""), -EBADMSG, RANGE},
    {NUMBER("all"), -EBADMSG, RANGE},
    {NUMBER("9223372036854775808"), -EBADMSG, RANGE},
    {NUMBER("18446744073709551615"), -EBADMSG, RANGE},
    {NUMBER("18446744073709552128"), -EBADMSG, RANGE},
    {NUMBER("99999999999999999999999999999999"), -EBADMSG, RANGE},
    {NUMBER("0x200"), -EBADMSG, PLAIN},
    {NUMBER("01000"), -EBADMSG, PLAIN},
    {NUMBER("+512"), -EBADMSG, PLAIN},
    {NUMBER("512.5"), -EBADMSG, PLAIN},
    {NUMBER("512abc"), -EBADMSG, PLAIN},
    {NUMBER("512 1"), -EBADMSG, PLAIN},
    {NUMBER("512<!-- -->"), -EBADMSG, PLAIN},
    {NUMBER("5&#49;2"), -EBADMSG, ""},
    {NUMBER("513"), -EBADMSG, "'size' is no multiple of 512"},
    {HEAD TYPE VERSION SIZE INTEGER("band-size", "1000") TAIL, -EBADMSG,
     "'band-size' is no multiple of 512"},
    {HEAD TYPE VERSION SIZE INTEGER("band-size", "0") TAIL, -EBADMSG,
     "'band-size' is negative, zero"},
    {HEAD TYPE VERSION SIZE INTEGER("band-size", "-8388608") TAIL, -EBADMSG,
     "'band-size' is negative"},
    {HEAD TYPE BAND INTEGER("size", "140737488355840") VERSION TAIL, -ENOTSUP,
     "more than 16777216 bands"},
    {HEAD TYPE INTEGER("size", "9223372036854775296") INTEGER("band-size", "512") VERSION TAIL,
     -ENOTSUP, "more than 16777216 bands"},
    {HEAD TYPE BAND SIZE INTEGER("bundle-backingstore-version", "3") TAIL, -ENOTSUP,
     "'bundle-backingstore-version' is one that this version does not know"},
    {HEAD TYPE BAND SIZE INTEGER("bundle-backingstore-version", "0") TAIL, -EBADMSG,
     "negative, zero"},
    /* two values */
    {OPEN SIZE SIZE TAIL, -EBADMSG, "it tells 'size' twice"},
    {OPEN SIZE INTEGER("size", "512") TAIL, -EBADMSG, "it tells 'size' twice"},
    {OPEN SIZE TYPE TAIL, -EBADMSG, "it tells 'diskimage-bundle-type' twice"},
    {OPEN SIZE "<key>x</key><dict>" SIZE "</dict>" TAIL, -EBADMSG, "it tells 'size' twice"},
    {OPEN SIZE INTEGER("si&#122;e", "512") TAIL, -EBADMSG, PLAIN},
    {OPEN INTEGER("si&#122;e", "512") TAIL, -EBADMSG, "not in plain text"},
    {OPEN "<!-- " SIZE " -->" INTEGER("size", "512") TAIL, -EBADMSG, "it tells 'size' twice"},
    /* the frame */
    {HEAD BAND VERSION TYPE SIZE "</dict>\n", -EBADMSG, "cut off, or added to"},
    {HEAD BAND VERSION TYPE SIZE, -EBADMSG, "cut off, or added to"},
    {GOLDEN "<plist></plist>", -EBADMSG, "cut off, or added to"},
    {GOLDEN "x", -EBADMSG, "cut off, or added to"},
    {GOLDEN GOLDEN, -EBADMSG, "twice"},
    {"<plist><array>" VERSION "</array></plist>", -EBADMSG, "cut off, or added to"},
    /* what it declares itself */
    {"<!DOCTYPE plist [<!ENTITY s \"512\">]><plist><dict>" BAND VERSION TYPE INTEGER("size", "&s;")
         TAIL,
     -EBADMSG, "declares entities or types"},
    {"<!DOCTYPE plist [<!ENTITY s SYSTEM \"file:///etc/passwd\">]><plist><dict>" BAND VERSION TYPE
         SIZE TAIL,
     -EBADMSG, "declares entities or types"},
    {"<!DOCTYPE plist SYSTEM \"http://example.invalid/x.dtd\" [ %x; ]><plist><dict>" BAND VERSION
         TYPE SIZE TAIL,
     -EBADMSG, "declares entities or types"},
    {"<!ENTITY s \"512\"><plist><dict>" BAND VERSION TYPE SIZE TAIL, -EBADMSG, "declares"},
    {"<!ELEMENT dict ANY><plist><dict>" BAND VERSION TYPE SIZE TAIL, -EBADMSG, "declares"},
    {OPEN "<key>size</key><integer><![CDATA[512]]></integer>" TAIL, -EBADMSG, "declares"},
    {NUMBER("&s;"), -EBADMSG, RANGE},
    {NUMBER("&lol9;"), -EBADMSG, RANGE},
};

static void others_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        assert_refused(refusals[i].text, strlen(refusals[i].text), refusals[i].err,
                       refusals[i].why);
}

static void bytes_are_refused(void **state)
{
    static const char zeros[] = GOLDEN "\0";
    char *text = malloc(FORMAT_INDEX_MAX + 1);

    (void)state;
    assert_non_null(text);
    assert_refused(zeros, sizeof(zeros), -EBADMSG, "it holds zero bytes");
    memset(text, ' ', FORMAT_INDEX_MAX + 1);
    memcpy(text + FORMAT_INDEX_MAX + 1 - strlen(GOLDEN), GOLDEN, strlen(GOLDEN));
    assert_refused(text, FORMAT_INDEX_MAX + 1, -EBADMSG, "longer than 65536 bytes");
    free(text);
}

/* Every beginning of it, and each single byte of it changed: refused, or the same numbers. */
static void damage_is_refused(void **state)
{
    size_t len = strlen(GOLDEN);
    char copy[sizeof(GOLDEN)];

    (void)state;
    for (size_t cut = 0; cut < len - 1; cut++) { /* the last byte is a newline */
        struct index index;
        const char *why;

        assert_int_equal(parse(GOLDEN, cut, &index, &why), -EBADMSG);
    }
    for (size_t at = 0; at < len; at++) {
        struct index index;
        const char *why;

        memcpy(copy, GOLDEN, sizeof(copy));
        copy[at] = 'x';
        if (parse(copy, len, &index, &why) == 0) {
            assert_int_equal(index.geometry.size, 107374182400);
            assert_int_equal(index.geometry.tile_size, 8388608);
        }
    }
}

static double seconds(const char *text, size_t len)
{
    struct timespec a, b;
    struct index index;
    const char *why;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    assert_int_not_equal(parse(text, len, &index, &why), 0);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

/* As much of one thing as fits, in a frame that is well-formed. */
static void fill(char *text, const char *open, const char *more, const char *close,
                 const char *tail)
{
    size_t room = FORMAT_INDEX_MAX - strlen("<plist><dict><key>x</key>") - strlen(tail);
    size_t n = room / (strlen(more) + strlen(close)) - 4;
    char *at = stpcpy(text, open);

    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, more);
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, close);
    strcpy(at, tail);
    assert_true(strlen(text) <= FORMAT_INDEX_MAX);
}

static void hostile_files_cost_little(void **state)
{
    char *text = malloc(2 * FORMAT_INDEX_MAX);

    (void)state;
    assert_non_null(text);
    fill(text, "<plist><dict><key>x</key>", "<array>", "</array>", "</dict></plist>");
    assert_true(seconds(text, strlen(text)) < 2);
    fill(text, "<plist><dict><key>x</key>", "<dict><key>size</key>", "</dict>", "</dict></plist>");
    assert_true(seconds(text, strlen(text)) < 2);
    fill(text, "<plist><dict>", "<key>a</key><true/>", "", "</dict></plist>");
    assert_true(seconds(text, strlen(text)) < 2);
    fill(text, "<plist><dict><key>x</key><string>", "&amp;", "", "</string></dict></plist>");
    assert_true(seconds(text, strlen(text)) < 2);
    fill(text, "<plist><dict>", "<!--", "-->", "</dict></plist>");
    assert_true(seconds(text, strlen(text)) < 2);
    fill(text, "<!DOCTYPE ", "<", "", "</dict></plist>");
    assert_true(seconds(text, strlen(text)) < 2);
    free(text);
}

static void printed_is_the_golden_text(void **state)
{
    struct index index = {.format = FORMAT_FOREIGN, .layout = &layout_bundle};
    char text[FORMAT_INDEX_MAX];
    size_t len;

    (void)state;
    assert_int_equal(geometry_init(&index.geometry, 107374182400, 8388608), 0);
    assert_int_equal(bundle_print(&index, text, sizeof(text), &len), 0);
    if (len != strlen(GOLDEN) || memcmp(text, GOLDEN, len) != 0)
        fail_msg("%.*s", (int)len, text);
    assert_true(len <= 1024); /* a Mac reads no more */
    assert_int_equal(bundle_print(&index, text, len, &len), 0);
    for (size_t cap = 0; cap < strlen(GOLDEN); cap += 7) {
        size_t unused;

        assert_int_equal(bundle_print(&index, text, cap, &unused), -ENOMEM);
    }
}

static void printed_is_read_back(void **state)
{
    static const struct {
        uint64_t size;
        uint64_t band_size;
    } trips[] = {{512, 512},
                 {8388608 + 512, 8388608},
                 {UINT64_C(0x7ffffffffffffe00), UINT64_C(1) << 43},
                 {UINT64_C(0x7ffffffffffffe00), UINT64_C(0x7ffffffffffffe00)}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(trips); i++) {
        struct index in = {.layout = &layout_bundle}, out;
        char text[FORMAT_INDEX_MAX];
        const char *why;
        size_t len;

        assert_int_equal(geometry_init(&in.geometry, trips[i].size, trips[i].band_size), 0);
        assert_int_equal(bundle_print(&in, text, sizeof(text), &len), 0);
        assert_int_equal(parse(text, len, &out, &why), 0);
        assert_int_equal(out.geometry.size, trips[i].size);
        assert_int_equal(out.geometry.tile_size, trips[i].band_size);
    }
}

static void its_bytes_tell_what_it_is(void **state)
{
    static const char *const ours[] = {"", " ", "2 8388608 1\n", "1 1 1", "x", "bplis"};
    static const char *const foreign[] = {GOLDEN, "<", " \r\n\t<plist>", "\xef\xbb\xbf",
                                          "bplist00"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        assert_false(bundle_likely(ours[i], strlen(ours[i])));
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        assert_true(bundle_likely(foreign[i], strlen(foreign[i])));
}

/* Without libplist there is one answer. */
static void it_says_what_is_missing(void **state)
{
    struct index index = {.layout = &layout_bundle};
    char text[1024];
    size_t len;

    (void)state;
    assert_refused(GOLDEN, strlen(GOLDEN), -ENOTSUP, "without libplist");
    assert_int_equal(bundle_print(&index, text, sizeof(text), &len), -ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_mac_writes_is_read), cmocka_unit_test(other_spellings_are_read),
        cmocka_unit_test(extremes_are_read),         cmocka_unit_test(others_are_refused),
        cmocka_unit_test(bytes_are_refused),         cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(hostile_files_cost_little), cmocka_unit_test(printed_is_the_golden_text),
        cmocka_unit_test(printed_is_read_back),      cmocka_unit_test(its_bytes_tell_what_it_is),
    };
    const struct CMUnitTest without[] = {
        cmocka_unit_test(it_says_what_is_missing),
        cmocka_unit_test(its_bytes_tell_what_it_is),
    };
#ifdef HAVE_LIBPLIST
    (void)without;
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    (void)tests;
    return cmocka_run_group_tests(without, NULL, NULL);
#endif
}
