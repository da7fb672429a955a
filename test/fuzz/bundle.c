/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bundle_parse(). The first byte chooses: 'd' puts the rest into a dictionary, so
 * that mutations get past the frame; anything else gives it raw. A second
 * decoder, which knows no XML, must find the same numbers.
 */
#include <errno.h>

#include "format/bundle.h"
#include "format/format.h"
#include "fuzz.h"

#define OPEN "<plist version=\"1.0\"><dict>"
#define CLOSE "</dict></plist>"

static int parse(const char *text, size_t len, struct index *index)
{
    char *copy = fuzz_copy(text, len);
    const char *why = NULL;
    int rc = bundle_parse(copy, len, index, &why);

    (void)bundle_likely(copy, len);
    free(copy);
    must(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
    must(rc == 0 || (why && *why));
    return rc;
}

/* The number behind a key, all blanks taken out before. */
static uint64_t number_of(const char *flat, const char *name)
{
    char element[80], *end;
    const char *at;
    uint64_t n;

    snprintf(element, sizeof(element), "<key>%s</key><integer>", name);
    at = strstr(flat, element);
    must(at && at[strlen(element)] >= '1' && at[strlen(element)] <= '9');
    n = strtoull(at + strlen(element), &end, 10);
    must(strncmp(end, "</integer>", strlen("</integer>")) == 0);
    must(!strstr(at + 1, element));
    return n;
}

static void must_agree(const struct index *index, const char *text, size_t len)
{
    char *flat = malloc(len + 1);
    uint64_t version;
    size_t n = 0;

    if (!flat)
        abort();
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", text[i]))
            flat[n++] = text[i];
    flat[n] = '\0';
    must(number_of(flat, "size") == index->geometry.size);
    must(number_of(flat, "band-size") == index->geometry.tile_size);
    version = number_of(flat, "bundle-backingstore-version");
    must(version == 1 || version == 2);
    must(!strstr(flat, "<!ENTITY") && !strstr(flat, "<!ELEMENT"));
    free(flat);
}

static void must_be_sane(const struct index *index)
{
    const struct geometry *geo = &index->geometry;

    must(index->format == FORMAT_FOREIGN && index->layout == &layout_bundle);
    must(!index->uuid[0] && !index->read_only);
    must(geo->ntiles >= 1 && geo->ntiles <= FORMAT_BUNDLE_BANDS_MAX);
    must(geo->size >= FORMAT_SECTOR && geo->size <= FORMAT_SIZE_MAX);
    must(geo->size % FORMAT_SECTOR == 0 && geo->tile_size % FORMAT_SECTOR == 0);
    must(geo->tile_size >= 1 && (geo->size - 1) / geo->tile_size == geo->ntiles - 1);
}

static void must_print_back(const struct index *index)
{
    char *printed = malloc(FORMAT_INDEX_MAX);
    struct index again;
    size_t n;

    if (!printed)
        abort();
    must(bundle_print(index, printed, FORMAT_INDEX_MAX, &n) == 0);
    must(n <= 1024 && bundle_likely(printed, n));
    must(parse(printed, n, &again) == 0);
    must(memcmp(&again.geometry, &index->geometry, sizeof(again.geometry)) == 0);
    free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct index index;
    size_t len;
    char *text;

    if (size < 1)
        return 0;
    if (data[0] == 'd') {
        len = size - 1 + strlen(OPEN CLOSE);
        text = malloc(len + 1);
        if (!text)
            abort();
        memcpy(stpcpy(text, OPEN), data + 1, size - 1);
        memcpy(text + len - strlen(CLOSE), CLOSE, strlen(CLOSE));
    } else {
        len = size;
        text = fuzz_copy(data, len);
    }
    if (parse(text, len, &index) == 0) {
        must_be_sane(&index);
        must_agree(&index, text, len);
        must_print_back(&index);
        must(parse(text, len - strlen(">"), &index) != 0 || strchr(" \t\r\n", text[len - 1]));
    }
    free(text);
    return 0;
}
