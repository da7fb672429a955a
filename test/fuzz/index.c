/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * index_parse(). The first byte chooses: 's' seals the rest with its checksum,
 * so that mutations get past it; 'r' gives it raw; 'f' and two bytes of a
 * position seal it and then change one bit, which nobody may take.
 */
#include <errno.h>

#include "format/format.h"
#include "format/index.h"
#include "fuzz.h"

#define SEAL 80

/* The body with the checksum line that belongs to it. */
static char *seal(const uint8_t *body, size_t size, size_t *len)
{
    char *text = malloc(size + SEAL), hex[HASH_HEX];

    if (!text || hash_sha256(body, size, hex))
        abort();
    memcpy(text, body, size);
    *len = size + (size_t)snprintf(text + size, SEAL, "sha256 %s\n", hex);
    return text;
}

static int parse(const char *text, size_t len, struct index *index)
{
    char *copy = fuzz_copy(text, len);
    const char *why = NULL;
    int rc = index_parse(copy, len, index, &why);

    free(copy);
    must(rc == 0 || rc == -EBADMSG || rc == -ENOTSUP);
    must(rc == 0 || (why && *why));
    return rc;
}

static void must_be_sane(const struct index *index)
{
    const struct geometry *geo = &index->geometry;

    must(index->format == FORMAT_ORIGINAL || index->format == FORMAT_CURRENT);
    must(geo->ntiles >= 1 && geo->ntiles <= FORMAT_TILES_MAX);
    must(geo->size >= 1 && geo->size <= FORMAT_SIZE_MAX);
    must(geo->tile_size >= 1 && (geo->size - 1) / geo->tile_size == geo->ntiles - 1);
    must(index->layout == (index->format == FORMAT_ORIGINAL ? &layout_original : &layout_plain));
    must(index->format == FORMAT_ORIGINAL ? !index->uuid[0] : hash_uuid_valid(index->uuid));
}

/* The text that index_print() would have written, but for features after it. */
static void must_print_back(const struct index *index, const char *text, size_t len)
{
    char *printed = malloc(FORMAT_INDEX_MAX);
    struct index again;
    size_t n, body;

    if (!printed)
        abort();
    must(index_print(index, printed, FORMAT_INDEX_MAX, &n) == 0);
    must(parse(printed, n, &again) == 0);
    must(memcmp(&again.geometry, &index->geometry, sizeof(again.geometry)) == 0);
    must(strcmp(again.uuid, index->uuid) == 0 && again.layout == index->layout);
    body = n - (strlen("sha256 \n") + HASH_HEX - 1);
    must(len >= n && memcmp(printed, text, body) == 0);
    must(len > n || memcmp(printed, text, n) == 0);
    must(again.read_only == false && (!index->read_only || len > n));
    free(printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct index index;
    size_t len, at = 0;
    char *text;

    if (size < 1 || (data[0] == 'f' && size < 3))
        return 0;
    if (data[0] == 'f') {
        at = data[1] | (size_t)data[2] << 8;
        text = seal(data + 3, size - 3, &len);
        text[at / 8 % len] ^= (char)(1 << at % 8);
    } else if (data[0] == 's') {
        text = seal(data + 1, size - 1, &len);
    } else {
        len = size - 1;
        text = fuzz_copy(data + 1, len);
    }
    if (parse(text, len, &index) == 0) {
        must_be_sane(&index);
        must(index.format == FORMAT_ORIGINAL || data[0] != 'f');
        if (index.format == FORMAT_CURRENT) {
            must_print_back(&index, text, len);
            must(parse(text, len - 1, &index) == -EBADMSG);
        }
    }
    free(text);
    return 0;
}
