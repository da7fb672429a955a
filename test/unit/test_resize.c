/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What tells the size of an image gets another one, and keeps all else: the indexes, a picture, the
 * journal of changed tiles.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../cover.h"
#include "../tempstore.h"
#include "archive/archive_index.h"
#include "format/bundle.h"
#include "format/jpeg.h"
#include "journal/changes.h"

#define TILE 4096
#define NTILES (2 * FORMAT_JOURNAL_CELLS + 1)
#define MORE (7 * FORMAT_JOURNAL_CELLS)
#define UUID "0b0f8b3c-6f52-4c3e-9f3a-8a4b8f1b2c3d"

static struct geometry geo_of(uint64_t size, uint64_t tile_size)
{
    struct geometry geo;

    assert_int_equal(geometry_init(&geo, size, tile_size), 0);
    return geo;
}

/* --- indexes ---------------------------------------------------------------------------------- */

static void originals_keep_their_blanks(void **state)
{
    static const struct {
        const char *before, *after; /* NULL: it cannot have that size */
        uint64_t size;
    } cases[] = {
        {"1 1024 4", "1 1024 9", 9 * 1024},
        {"1\t1024   4 \t\n", "1\t1024   1000 \t\n", 1000 * 1024},
        {"1 1024 1000\n", "1 1024 1\n", 1024},
        {"1 1024 4", NULL, 9 * 1024 + 512},
        {"1 512 4", NULL, 9 * 1024}, /* geo has tiles of another size */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct geometry geo = geo_of(cases[i].size, 1024);
        char out[FORMAT_INDEX_MAX];
        size_t len;
        int rc =
            index_resize(cases[i].before, strlen(cases[i].before), &geo, out, sizeof(out), &len);

        assert_int_equal(rc, cases[i].after ? 0 : -ERANGE);
        assert_int_equal(len, cases[i].after ? strlen(cases[i].after) : 0);
        assert_memory_equal(out, cases[i].after, len);
    }
}

/* A feature of a later version is none of our business. */
static void the_current_index_keeps_all_its_lines(void **state)
{
    static const char rest[] = "uuid " UUID "\nlayout plain\ncompat something new\n";
    struct geometry geo = geo_of(9 * 8192 - 512, 8192);
    char text[1024], out[FORMAT_INDEX_MAX], hex[HASH_HEX];
    struct index index;
    const char *why;
    size_t len;

    snprintf(text, sizeof(text), "2 8192 4\nsize 32768\n%s", rest);
    assert_int_equal(hash_sha256(text, strlen(text), hex), 0);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "sha256 %s\n", hex);
    assert_int_equal(index_resize(text, strlen(text), &geo, out, sizeof(out), &len), 0);
    assert_int_equal(index_parse(out, len, &index, &why), 0);
    assert_int_equal(index.geometry.size, geo.size);
    assert_int_equal(index.geometry.ntiles, 9);
    out[len] = '\0';
    assert_int_equal(strncmp(out, "2 8192 9\nsize 73216\n", 20), 0);
    assert_int_equal(strncmp(out + 20, rest, strlen(rest)), 0);
    /* A damaged one is not made good. */
    text[9] = 'S';
    assert_int_equal(index_resize(text, strlen(text), &geo, out, sizeof(out), &len), -EBADMSG);
    assert_int_equal(index_resize(out, 0, &geo, out, sizeof(out), &len), -EBADMSG);
}

#ifdef HAVE_LIBPLIST
static void a_bundle_keeps_its_keys(void **state)
{
    static const char before[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
        "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
        "<plist version=\"1.0\">\n<dict>\n"
        "\t<key>CFBundleInfoDictionaryVersion</key>\n\t<string>6.0</string>\n"
        "\t<key>band-size</key>\n\t<integer>1048576</integer>\n"
        "\t<key>bundle-backingstore-version</key>\n\t<integer>2</integer>\n"
        "\t<key>diskimage-bundle-type</key>\n\t<string>com.apple.diskimage.sparsebundle</string>\n"
        "\t<key>size</key>\n\t<integer>8388608</integer>\n"
        "\t<key>uuid</key>\n\t<string>a &amp; b</string>\n"
        "</dict>\n</plist>\n";
    struct geometry geo = geo_of(16777216, 1048576), other = geo_of(16777216, 2097152);
    char out[FORMAT_INDEX_MAX], again[FORMAT_INDEX_MAX];
    struct index index;
    const char *why;
    size_t len, len2;

    assert_int_equal(bundle_resize(before, strlen(before), &geo, out, sizeof(out), &len), 0);
    assert_int_equal(bundle_parse(out, len, &index, &why), 0);
    assert_int_equal(index.geometry.size, 16777216);
    /* And back: the same bytes. */
    geo = geo_of(8388608, 1048576);
    assert_int_equal(bundle_resize(out, len, &geo, again, sizeof(again), &len2), 0);
    assert_int_equal(len2, strlen(before));
    assert_memory_equal(again, before, len2);
    assert_int_equal(bundle_resize(before, strlen(before), &other, out, sizeof(out), &len),
                     -ERANGE);
    assert_int_equal(bundle_resize("<plist>", 7, &geo, out, sizeof(out), &len), -EBADMSG);
}
#endif

/* --- pictures --------------------------------------------------------------------------------- */

static void a_picture_tells_another_size(void **state)
{
    struct jpeg_tag tag = {.uuid = UUID, .tile = 3, .geometry = geo_of(8 * TILE, TILE)}, out;
    size_t cover_len = 9000;
    unsigned char *cover = calloc(1, cover_len), digest[HASH_CHECK];
    unsigned char *head = calloc(1, jpeg_head_size(cover_len));
    uint64_t off;

    assert_non_null(cover);
    assert_non_null(head);
    cover_fill(cover, cover_len);
    assert_int_equal(jpeg_put(&tag, cover, cover_len, head), 0);
    tag.geometry = geo_of(99 * TILE, TILE);
    assert_int_equal(jpeg_retag(&tag, head), 0);
    assert_int_equal(jpeg_find(head, tag.payload, &off), 0);
    assert_int_equal(jpeg_get(head + off, &out), 0);
    assert_int_equal(out.geometry.size, 99 * TILE);
    assert_int_equal(out.tile, 3);
    assert_string_equal(out.uuid, UUID);
    assert_int_equal(out.payload, tag.payload);
    assert_int_equal(jpeg_digest(&out, head, digest), 0);
    assert_memory_equal(digest, out.cover, HASH_CHECK);
    memset(head + off, 0, FORMAT_JPEG_SEGMENT);
    assert_int_equal(jpeg_retag(&tag, head), -EBADMSG);
    memset(head, 0, 4);
    assert_int_equal(jpeg_retag(&tag, head), -EBADMSG);
    free(cover);
    free(head);
}

/* --- the journal ------------------------------------------------------------------------------ */

struct fixture {
    struct tempstore temp;
    struct changes *changes;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct geometry geo = geo_of(NTILES * TILE, TILE);

    tempstore_make(&f->temp);
    tempstore_create(&f->temp, &geo);
    tempstore_must(archive_open(f->temp.path, &f->temp.archive) == 0, f->temp.path);
    tempstore_must(changes_open(&f->temp.archive, &f->changes) == 0, "journal");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    changes_close(f->changes);
    tempstore_remove(&f->temp);
    free(f);
    return 0;
}

static void note(struct fixture *f, uint32_t tile)
{
    assert_false(changes_noted(f->changes, tile));
    assert_int_equal(changes_note(f->changes, &tile, 1), 0);
    assert_true(changes_noted(f->changes, tile));
}

static void mark(struct fixture *f, struct journal_word *word)
{
    char text[JOURNAL_EPOCH];

    assert_int_equal(changes_mark(f->changes), 0);
    assert_int_equal(changes_mark_tell(f->changes, text), 0);
    assert_int_equal(journal_parse_epoch(text, word), 0);
}

/* As another process sees it: so many places, the word is known, and which tiles changed since. */
static void expect(struct fixture *f, uint32_t ntiles, const struct journal_word *word,
                   const uint32_t *tiles, size_t n)
{
    struct changes_list list;
    size_t found = 0;

    assert_int_equal(changes_read(&f->temp.archive, true, &list), 0);
    assert_null(list.unusable);
    assert_int_equal(list.damaged, 0);
    assert_int_equal(list.header.ntiles, ntiles);
    assert_true(changes_read_knows(&list, word));
    for (uint32_t tile = 0; tile < 2 * MORE; tile++) {
        if (changes_read_cell(&list, tile) < word->mark.epoch)
            continue;
        assert_true(found < n);
        assert_int_equal(tile, tiles[found++]);
    }
    assert_int_equal(found, n);
    changes_read_release(&list);
}

static void the_image_has(struct fixture *f, uint32_t ntiles)
{
    f->temp.archive.index.geometry = geo_of((uint64_t)ntiles * TILE, TILE);
}

static void reopen(struct fixture *f)
{
    changes_close(f->changes);
    f->changes = NULL;
    assert_int_equal(changes_open(&f->temp.archive, &f->changes), 0);
}

static void a_longer_journal_knows_all_that_the_shorter_one_did(void **state)
{
    static const uint32_t tiles[] = {5, NTILES - 1, NTILES, MORE - 1};
    struct fixture *f = *state;
    struct journal_word word, next;

    note(f, 7);
    mark(f, &word);
    note(f, 5);
    note(f, NTILES - 1);
    assert_int_equal(changes_grow(f->changes, MORE), 0);
    expect(f, MORE, &word, tiles, 2); /* with the old index, as a crash may leave it */
    the_image_has(f, MORE);
    assert_true(changes_noted(f->changes, 5));
    note(f, NTILES);
    note(f, MORE - 1);
    expect(f, MORE, &word, tiles, 4);
    mark(f, &next);
    expect(f, MORE, &next, NULL, 0);
    assert_int_equal(changes_grow(f->changes, 3), 0); /* it never gets shorter */
    reopen(f);
    expect(f, MORE, &word, tiles, 4);
    expect(f, MORE, &next, NULL, 0);
}

static void tiles_that_went_are_remembered(void **state)
{
    static const uint32_t tiles[] = {NTILES - 1, MORE - 1};
    struct fixture *f = *state;
    struct journal_word word;

    mark(f, &word);
    note(f, NTILES - 1);
    the_image_has(f, 10); /* it shrank */
    expect(f, NTILES, &word, tiles, 1);
    reopen(f);
    expect(f, NTILES, &word, tiles, 1);
    the_image_has(f, MORE); /* and grew, by another program's hand */
    reopen(f);
    expect(f, MORE, &word, tiles, 1);
    note(f, MORE - 1);
    expect(f, MORE, &word, tiles, 2);
}

/* A journal that is gone is not made longer, but anew. */
static void a_lost_journal_is_not_extended(void **state)
{
    struct fixture *f = *state;
    struct changes_list list;
    struct journal_word word;

    mark(f, &word);
    assert_int_equal(unlinkat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME, 0), 0);
    assert_int_equal(changes_grow(f->changes, MORE), 0);
    the_image_has(f, MORE);
    assert_int_equal(changes_read(&f->temp.archive, false, &list), 0);
    assert_null(list.unusable);
    assert_int_equal(list.header.ntiles, MORE);
    assert_false(changes_read_knows(&list, &word));
    changes_read_release(&list);
    note(f, MORE - 1);
}

/* What a layout cannot have is another's. */
static void a_table_for_too_many_tiles_is_refused(void **state)
{
    struct fixture *f = *state;
    struct layout few = layout_plain;
    struct changes_list list;

    few.tiles_max = NTILES - 1;
    f->temp.archive.index.layout = &few;
    assert_int_equal(changes_read(&f->temp.archive, false, &list), 0);
    assert_non_null(list.unusable);
    changes_read_release(&list);
    f->temp.archive.index.layout = &layout_plain;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(originals_keep_their_blanks),
        cmocka_unit_test(the_current_index_keeps_all_its_lines),
#ifdef HAVE_LIBPLIST
        cmocka_unit_test(a_bundle_keeps_its_keys),
#endif
        cmocka_unit_test(a_picture_tells_another_size),
        TEST(a_longer_journal_knows_all_that_the_shorter_one_did),
        TEST(tiles_that_went_are_remembered),
        TEST(a_lost_journal_is_not_extended),
        TEST(a_table_for_too_many_tiles_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
