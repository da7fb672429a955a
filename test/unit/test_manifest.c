/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of a manifest: what is printed is read back, and anything else is refused.
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

#include "base/compiler.h"
#include "format/manifest.h"

#define UUID "0f0e0d0c-0b0a-4908-8706-050403020100"

static struct manifest sample(const struct layout *layout)
{
    struct manifest manifest = {
        .layout = layout,
        .created = 1795941080,
        .tiles = 2,
        .bytes = 3000,
        .newest = {{0, 0}, {7, 3}, {9, MANIFEST_ABSENT}},
        .nnewest = 3,
    };

    assert_int_equal(geometry_init(&manifest.geometry, 100000, 4096), 0);
    memset(manifest.lines, 0x5a, HASH_RAW);
    memset(manifest.digests, 0xa5, HASH_RAW);
    return manifest;
}

static void what_is_printed_is_read_back(void **state)
{
    const struct layout *layout;

    for (unsigned n = 0; (layout = layout_nth(n)) != NULL; n++) {
        struct manifest manifest = sample(layout), got;
        char text[MANIFEST_HEADER], again[MANIFEST_HEADER];
        size_t len, header, again_len;
        const char *why;

        if (n % 2) {
            strcpy(manifest.uuid, UUID);
            strcpy(manifest.epoch, "5f3a9c1e-12-0b61d2c4");
        }
        assert_int_equal(manifest_print(&manifest, text, &len), 0);
        assert_int_equal(manifest_parse(text, len, &got, &header, &why), 0);
        assert_int_equal(header, len);
        assert_ptr_equal(got.layout, layout);
        assert_string_equal(got.uuid, manifest.uuid);
        assert_string_equal(got.epoch, manifest.epoch);
        assert_int_equal(got.nnewest, 3);
        assert_int_equal(got.newest[2].digest, MANIFEST_ABSENT);
        assert_memory_equal(got.root, manifest.root, HASH_RAW);
        assert_int_equal(manifest_print(&got, again, &again_len), 0);
        assert_int_equal(again_len, len);
        assert_memory_equal(again, text, len);
    }
}

/* All of it is covered by the root digest. */
static void no_byte_can_be_changed(void **state)
{
    struct manifest manifest = sample(&layout_plain), got;
    char text[MANIFEST_HEADER];
    size_t len, header;
    const char *why;

    assert_int_equal(manifest_print(&manifest, text, &len), 0);
    for (size_t i = 0; i < len; i++) {
        int rc;

        text[i] ^= 1;
        rc = manifest_parse(text, len, &got, &header, &why);
        assert_true(rc == -EBADMSG || rc == -ENOTSUP);
        text[i] ^= 1;
        assert_int_not_equal(manifest_parse(text, i, &got, &header, &why), 0);
    }
}

/* text, with its root. */
static int parse_sealed(const char *text)
{
    char all[MANIFEST_HEADER], hex[HASH_HEX];
    struct manifest got;
    size_t header;
    const char *why;
    int len;

    assert_int_equal(hash_sha256(text, strlen(text), hex), 0);
    len = snprintf(all, sizeof(all), "%s# root %s\n", text, hex);
    return manifest_parse(all, (size_t)len, &got, &header, &why);
}

#define D "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"
#define FIRST "# mosaicfs manifest 1\n"
#define REST "# created 1\n# tiles 0\n# bytes 0\n# lines " D "\n# digests " D "\n"
#define SIZES "# size 8192\n# tile-size 4096\n"

/* A right root digest makes no nonsense right. */
static void nonsense_is_refused(void **state)
{
    static const char *const good[] = {
        FIRST "# layout plain\n" SIZES REST,
        FIRST "# layout plain\n" SIZES REST "# later word\n",
        FIRST "# layout sparsebundle\n" SIZES REST "# newest bands/1 -\n",
    };
    static const char *const bad[] = {
        FIRST SIZES REST,
        FIRST "# layout plane\n" SIZES REST,
        FIRST "# layout plain\n# layout plain\n" SIZES REST,
        FIRST "# layout plain\n# size 8192\n" REST,
        FIRST "# layout plain\n# size 0\n# tile-size 4096\n" REST,
        FIRST "# layout plain\n# size 8192\n# tile-size 0\n" REST,
        FIRST "# layout plain\n# size 9223372036854775807\n# tile-size 1\n" REST,
        FIRST "# layout plain\n# size -1\n# tile-size 4096\n" REST,
        FIRST "# layout plain\n" SIZES REST "# uuid nobody\n",
        FIRST "# layout plain\n" SIZES REST "# epoch x\n",
        FIRST "# layout plain\n" SIZES REST "# newest 00/0000\n",
        FIRST "# layout plain\n" SIZES REST "# newest 0000 1\n",
        FIRST "# layout plain\n" SIZES REST "# newest ../../x 1\n",
        FIRST "# layout plain\n" SIZES REST "# newest 00/0000 4294967295\n",
        FIRST "# newest 00/0000 1\n# layout plain\n" SIZES REST,
        FIRST "# layout plain\n" SIZES REST "what is this\n",
        FIRST "# layout plain\n" SIZES "# created 1\n# tiles 3\n# bytes 0\n# lines " D
              "\n# digests " D "\n",
        FIRST "# layout plain\n" SIZES "# created 1\n# tiles 0\n# bytes 0\n# lines 5A\n# digests " D
              "\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(parse_sealed(good[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (parse_sealed(bad[i]) != -EBADMSG)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(parse_sealed("# mosaicfs manifest 2\n# layout plain\n"), -ENOTSUP);
}

static void lines_come_back(void **state)
{
    static const char *const bad[] = {
        "",
        D,
        D " 00/0000",
        D "  ",
        D "  00/000",
        D "  /0000",
        D "  00/0000/",
        D "  01/0000",
        D "  00/00000000000000000000000000000000",
        "x" D "  00/0000",
        "5A5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a  00/0000",
        D " *00/0000",
    };
    const struct layout *layout;
    unsigned char raw[HASH_RAW], got[HASH_RAW];
    char line[MANIFEST_LINE];
    uint32_t tile;

    memset(raw, 0x1e, sizeof(raw));
    for (unsigned n = 0; (layout = layout_nth(n)) != NULL; n++) {
        size_t len = manifest_print_line(layout, layout->tiles_max - 1, raw, line);

        assert_int_equal(line[len - 1], '\n');
        line[len - 1] = '\0';
        assert_int_equal(manifest_parse_line(layout, line, &tile, got), 0);
        assert_int_equal(tile, layout->tiles_max - 1);
        assert_memory_equal(got, raw, HASH_RAW);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (manifest_parse_line(&layout_plain, bad[i], &tile, got) != -EBADMSG)
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(no_byte_can_be_changed),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(lines_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
