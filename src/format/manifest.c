/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the lines. Those with '#' read "# KEY VALUE", in any order between the first and that of the
 * root; keys that are not known are skipped, for a later version may add some.
 */
#include "format/manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "format/format.h"

#define MAGIC "# mosaicfs manifest "
#define FIRST MAGIC "1\n"
#define ROOT "# root "

/* --- print ------------------------------------------------------------------------------------ */

struct out {
    char *text;
    size_t len;
};

static void PRINTF(2, 3) put(struct out *out, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    out->len += (size_t)vsnprintf(out->text + out->len, MANIFEST_HEADER - out->len, fmt, args);
    va_end(args);
}

static void put_digest(struct out *out, const char *key, const unsigned char raw[HASH_RAW])
{
    char hex[HASH_HEX];

    hash_hex(raw, hex);
    put(out, "# %s %s\n", key, hex);
}

static void put_newest(struct out *out, const struct manifest *manifest)
{
    char path[LAYOUT_PATH];

    for (unsigned i = 0; i < manifest->nnewest; i++) {
        const struct manifest_newest *newest = &manifest->newest[i];

        manifest->layout->tile_path(newest->tile, path);
        if (newest->digest == MANIFEST_ABSENT)
            put(out, "# newest %s -\n", path);
        else
            put(out, "# newest %s %" PRIu32 "\n", path, newest->digest);
    }
}

int manifest_print(struct manifest *manifest, char text[MANIFEST_HEADER], size_t *len)
{
    struct out out = {.text = text};
    int rc;

    put(&out, FIRST "# layout %s\n", manifest->layout->name);
    if (manifest->uuid[0])
        put(&out, "# uuid %s\n", manifest->uuid);
    put(&out, "# size %" PRIu64 "\n# tile-size %" PRIu64 "\n", manifest->geometry.size,
        manifest->geometry.tile_size);
    put(&out, "# created %" PRId64 "\n", manifest->created);
    if (manifest->epoch[0])
        put(&out, "# epoch %s\n", manifest->epoch);
    put(&out, "# tiles %" PRIu32 "\n# bytes %" PRIu64 "\n", manifest->tiles, manifest->bytes);
    put_newest(&out, manifest);
    put_digest(&out, "lines", manifest->lines);
    put_digest(&out, "digests", manifest->digests);
    rc = hash_raw(text, out.len, manifest->root);
    put_digest(&out, "root", manifest->root);
    *len = out.len;
    return rc;
}

size_t manifest_print_line(const struct layout *layout, uint32_t tile,
                           const unsigned char raw[HASH_RAW], char line[MANIFEST_LINE])
{
    char path[LAYOUT_PATH];

    layout->tile_path(tile, path);
    hash_hex(raw, line);
    return HASH_HEX - 1 +
           (size_t)snprintf(line + HASH_HEX - 1, MANIFEST_LINE - HASH_HEX + 1, "  %s\n", path);
}

/* --- parse ------------------------------------------------------------------------------------ */

struct in {
    struct manifest *manifest;
    uint64_t size, tile_size;
    unsigned seen; /* a bit for each key */
};

static int take_number(const char *value, uint64_t max, uint64_t *out)
{
    return parse_u64(value, out) || *out > max ? -EBADMSG : 0;
}

static int take_layout(struct in *in, char *value)
{
    const struct layout *layout;

    for (unsigned n = 0; (layout = layout_nth(n)) != NULL; n++)
        if (strcmp(layout->name, value) == 0)
            in->manifest->layout = layout;
    return in->manifest->layout ? 0 : -EBADMSG;
}

static int take_uuid(struct in *in, char *value)
{
    if (!hash_uuid_valid(value))
        return -EBADMSG;
    memcpy(in->manifest->uuid, value, HASH_UUID);
    return 0;
}

static int take_size(struct in *in, char *value)
{
    return take_number(value, FORMAT_SIZE_MAX, &in->size);
}

static int take_tile_size(struct in *in, char *value)
{
    return take_number(value, FORMAT_SIZE_MAX, &in->tile_size);
}

static int take_created(struct in *in, char *value)
{
    uint64_t created;
    int rc = take_number(value, INT64_MAX, &created);

    in->manifest->created = (int64_t)created;
    return rc;
}

static int take_epoch(struct in *in, char *value)
{
    struct journal_word word;

    if (journal_parse_epoch(value, &word) || strlen(value) >= JOURNAL_EPOCH)
        return -EBADMSG;
    strcpy(in->manifest->epoch, value);
    return 0;
}

static int take_tiles(struct in *in, char *value)
{
    uint64_t tiles;
    int rc = take_number(value, FORMAT_BUNDLE_BANDS_MAX, &tiles);

    in->manifest->tiles = (uint32_t)tiles;
    return rc;
}

static int take_bytes(struct in *in, char *value)
{
    return take_number(value, FORMAT_SIZE_MAX, &in->manifest->bytes);
}

/* All that is left. */
static int take_raw(const char *value, unsigned char raw[HASH_RAW])
{
    return strlen(value) == HASH_HEX - 1 && !hash_parse(value, raw) ? 0 : -EBADMSG;
}

static int take_lines(struct in *in, char *value)
{
    return take_raw(value, in->manifest->lines);
}

static int take_digests(struct in *in, char *value)
{
    return take_raw(value, in->manifest->digests);
}

static int take_path(const struct layout *layout, char *path, uint32_t *tile)
{
    char *slash = strchr(path, '/');
    uint32_t folder;
    bool is_tile;

    if (!slash)
        return -EBADMSG;
    *slash = '\0';
    is_tile = layout->folder_number(path, &folder) && layout->tile_number(folder, slash + 1, tile);
    *slash = '/';
    return is_tile ? 0 : -EBADMSG;
}

/* The layout comes before it. */
static int take_newest(struct in *in, char *value)
{
    struct manifest *manifest = in->manifest;
    char *path = strsep(&value, " ");
    uint64_t digest = MANIFEST_ABSENT;
    struct manifest_newest *newest;

    if (!value || !manifest->layout || manifest->nnewest == MANIFEST_NEWEST)
        return -EBADMSG;
    newest = &manifest->newest[manifest->nnewest++];
    if (take_path(manifest->layout, path, &newest->tile))
        return -EBADMSG;
    if (strcmp(value, "-") != 0 && take_number(value, MANIFEST_ABSENT - 1, &digest))
        return -EBADMSG;
    newest->digest = (uint32_t)digest;
    return 0;
}

enum how { ONCE, PERHAPS, OFTEN };

static const struct key {
    const char *word;
    enum how how;
    int (*take)(struct in *in, char *value);
} keys[] = {
    {"layout", ONCE, take_layout},   {"uuid", PERHAPS, take_uuid},
    {"size", ONCE, take_size},       {"tile-size", ONCE, take_tile_size},
    {"created", ONCE, take_created}, {"epoch", PERHAPS, take_epoch},
    {"tiles", ONCE, take_tiles},     {"bytes", ONCE, take_bytes},
    {"newest", OFTEN, take_newest},  {"lines", ONCE, take_lines},
    {"digests", ONCE, take_digests},
};

/* key is the '#'. */
static int take_line(void *arg, const char *key, char *value)
{
    struct in *in = arg;
    char *word = strsep(&value, " ");

    if (strcmp(key, "#") != 0)
        return -EBADMSG;
    for (unsigned i = 0; value && i < ARRAY_LEN(keys); i++) {
        if (strcmp(keys[i].word, word) != 0)
            continue;
        if (keys[i].how != OFTEN && in->seen >> i & 1)
            return -EBADMSG;
        in->seen |= 1u << i;
        return keys[i].take(in, value);
    }
    return 0;
}

static int take_all(struct in *in, const char *text, size_t len)
{
    char copy[MANIFEST_HEADER + 1];
    struct manifest *manifest = in->manifest;
    int rc = parse_lines(text, len, copy, MANIFEST_HEADER, take_line, in);

    for (unsigned i = 0; !rc && i < ARRAY_LEN(keys); i++)
        if (keys[i].how == ONCE && !(in->seen >> i & 1))
            rc = -EBADMSG;
    if (rc)
        return -EBADMSG;
    return geometry_init_max(&manifest->geometry, in->size, in->tile_size,
                             manifest->layout->tiles_max) ||
                   manifest->tiles > manifest->geometry.ntiles
               ? -EBADMSG
               : 0;
}

/* Where the line of the root begins, or NULL. */
static const char *find_root(const char *text, size_t len)
{
    const char *at = memmem(text, len, "\n" ROOT, strlen("\n" ROOT));
    const size_t line = strlen(ROOT) + HASH_HEX; /* with its newline */

    if (!at || len - (size_t)(at + 1 - text) < line || at[line] != '\n')
        return NULL;
    return at + 1;
}

int manifest_parse(const char *text, size_t len, struct manifest *manifest, size_t *header,
                   const char **why)
{
    struct in in = {.manifest = manifest};
    unsigned char raw[HASH_RAW];
    const char *root;

    *manifest = (struct manifest){0};
    *why = "is damaged, or was edited by hand";
    if (len < strlen(FIRST) || memcmp(text, FIRST, strlen(FIRST)) != 0) {
        if (len < strlen(MAGIC) || memcmp(text, MAGIC, strlen(MAGIC)) != 0)
            return -EBADMSG;
        *why = "is of a newer version";
        return -ENOTSUP;
    }
    root = find_root(text, len < MANIFEST_HEADER ? len : MANIFEST_HEADER);
    if (!root || hash_parse(root + strlen(ROOT), manifest->root))
        return -EBADMSG;
    if (hash_raw(text, (size_t)(root - text), raw))
        return -ENOMEM;
    *header = (size_t)(root - text) + strlen(ROOT) + HASH_HEX;
    if (memcmp(raw, manifest->root, HASH_RAW) != 0)
        return -EBADMSG;
    return take_all(&in, text + strlen(FIRST), (size_t)(root - text) - strlen(FIRST));
}

bool manifest_is_of(const struct manifest *manifest, const struct index *index)
{
    return strcmp(manifest->uuid, index->uuid) == 0 && manifest->layout == index->layout &&
           manifest->geometry.tile_size == index->geometry.tile_size;
}

int manifest_parse_line(const struct layout *layout, const char *line, uint32_t *tile,
                        unsigned char raw[HASH_RAW])
{
    const char *name = line + HASH_HEX + 1; /* behind two blanks */
    char path[LAYOUT_PATH];
    size_t len = strlen(line);

    if (len < HASH_HEX + 2 || len - (HASH_HEX + 1) >= sizeof(path) || hash_parse(line, raw) ||
        line[HASH_HEX - 1] != ' ' || line[HASH_HEX] != ' ')
        return -EBADMSG;
    strcpy(path, name);
    return take_path(layout, path, tile);
}
