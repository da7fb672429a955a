/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of a manifest: lines with '#', to which the root digest is added, so that mutations
 * reach what is behind it, and, from the first other line on, lines of tiles. What is taken prints
 * back to text that is taken for the same.
 */
#include "format/manifest.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fuzz_silence();
    return 0;
}

static void try_line(const struct layout *layout, const char *line)
{
    unsigned char raw[HASH_RAW];
    char again[MANIFEST_LINE];
    uint32_t tile;
    size_t len;

    if (manifest_parse_line(layout, line, &tile, raw))
        return;
    must(tile < layout->tiles_max);
    len = manifest_print_line(layout, tile, raw, again);
    must(again[len - 1] == '\n');
    again[len - 1] = '\0';
    must(strcmp(line, again) == 0);
}

static void try_header(const char *text, size_t len)
{
    struct manifest manifest, got;
    char again[MANIFEST_HEADER];
    size_t header, again_len;
    const char *why = NULL;

    if (manifest_parse(text, len, &manifest, &header, &why)) {
        must(why);
        return;
    }
    must(header <= len);
    must(manifest_print(&manifest, again, &again_len) == 0);
    must(manifest_parse(again, again_len, &got, &header, &why) == 0);
    must(got.layout == manifest.layout && got.tiles == manifest.tiles &&
         got.nnewest == manifest.nnewest && got.geometry.size == manifest.geometry.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_copy(data, size), *sealed, hex[HASH_HEX], *line, *rest;
    size_t len = size;
    struct manifest manifest;
    size_t header;
    const char *why;

    (void)!manifest_parse(text, size, &manifest, &header, &why);
    rest = memmem(text, size, "\n%", 2);
    if (rest)
        len = (size_t)(rest + 1 - text);
    if (len < MANIFEST_HEADER) {
        must(hash_sha256(text, len, hex) == 0);
        sealed = malloc(len + HASH_HEX + 10);
        must(sealed);
        memcpy(sealed, text, len);
        len += (size_t)sprintf(sealed + len, "# root %s\n", hex);
        line = fuzz_copy(sealed, len);
        try_header(line, len);
        free(line);
        free(sealed);
    }
    if (rest) {
        rest = strndup(rest + 2, size - (size_t)(rest + 2 - text));
        must(rest);
        for (unsigned n = 0; layout_nth(n); n++)
            try_line(layout_nth(n), rest);
        free(rest);
    }
    free(text);
    return 0;
}
