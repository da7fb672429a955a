/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the text of mosaicfs.index; man/mosaicfs-format.5 is its specification.
 * Knows no file.
 *
 * The parser is strict: what it takes is what index_print() of some version
 * wrote, so that two readers can never see two archives in one index. The
 * checksum is tried before any line is believed: a damaged index is called
 * damaged and not, by accident, newer.
 */
#include "format/index.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "format/format.h"

#define BLANK " "
#define BLANKS " \t"
#define CHECKSUM_KEY "sha256 "
#define CHECKSUM_LEN (sizeof(CHECKSUM_KEY) - 1 + HASH_HEX - 1 + 1) /* key, digits, LF */

#define STRING(x) STRING2(x)
#define STRING2(x) #x

/* What is left to read. Every function below moves pos only over what it took. */
struct text {
    const char *pos;
    const char *end;
    const char *why; /* set by whoever finds something wrong */
};

static int damaged(struct text *t, const char *why)
{
    t->why = why;
    return -EBADMSG;
}

static int newer(struct text *t, const char *why)
{
    t->why = why;
    return -ENOTSUP;
}

static bool at_end(const struct text *t)
{
    return t->pos == t->end;
}

/* How many of the next bytes are one of set. */
static size_t span(const struct text *t, const char *set)
{
    const char *p = t->pos;

    while (p < t->end && *p && strchr(set, *p))
        p++;
    return (size_t)(p - t->pos);
}

static bool take_literal(struct text *t, const char *literal)
{
    size_t len = strlen(literal);

    if ((size_t)(t->end - t->pos) < len || memcmp(t->pos, literal, len) != 0)
        return false;
    t->pos += len;
    return true;
}

/* A run of bytes of set that fits into word with its NUL. */
static bool take_word(struct text *t, const char *set, char *word, size_t cap)
{
    size_t len = span(t, set);

    if (len == 0 || len >= cap)
        return false;
    memcpy(word, t->pos, len);
    word[len] = '\0';
    t->pos += len;
    return true;
}

/* Digits without leading zeros: 0, -EINVAL, or -ERANGE when no uint64_t holds them. */
static int take_number(struct text *t, uint64_t *out)
{
    char digits[24]; /* UINT64_MAX has 20 */
    size_t len = span(t, "0123456789");

    if (len == 0 || (len > 1 && *t->pos == '0'))
        return -EINVAL;
    t->pos += len;
    if (len >= sizeof(digits))
        return -ERANGE;
    memcpy(digits, t->pos - len, len);
    digits[len] = '\0';
    return parse_u64(digits, out);
}

/* The blanks between two numbers: format 1 was written by hand too, format 2 never. */
static bool take_gap(struct text *t, int format)
{
    size_t len = span(t, BLANKS);

    if (format != FORMAT_ORIGINAL)
        return take_literal(t, BLANK);
    t->pos += len;
    return len > 0;
}

static int take_counts(struct text *t, int format, uint64_t *tile_size, uint64_t *ntiles)
{
    int err = -EINVAL;

    if (take_gap(t, format))
        err = take_number(t, tile_size);
    if (err == -ERANGE)
        return damaged(t, "the tile size is above " STRING(FORMAT_SIZE_MAX));
    if (err || !take_gap(t, format))
        return damaged(t, "its first line does not read 'FORMAT TILE_SIZE NTILES'");
    err = take_number(t, ntiles);
    if (err == -EINVAL)
        return damaged(t, "its first line does not read 'FORMAT TILE_SIZE NTILES'");
    if (err || *ntiles > FORMAT_TILES_MAX)
        return damaged(t, "the number of tiles is above " STRING(FORMAT_TILES_MAX));
    if (*tile_size == 0 || *ntiles == 0)
        return damaged(t, "the tile size or the number of tiles is zero");
    return 0;
}

static int set_geometry(struct text *t, struct geometry *geo, uint64_t size, uint64_t tile_size)
{
    if (geometry_init(geo, size, tile_size))
        return damaged(t, "the size is zero or too large for tiles of its size");
    return 0;
}

static int parse_original(struct text *t, struct index *index)
{
    uint64_t tile_size, ntiles, size;
    int err = take_counts(t, FORMAT_ORIGINAL, &tile_size, &ntiles);

    if (err)
        return err;
    t->pos += span(t, BLANKS);
    (void)take_literal(t, "\n");
    if (!at_end(t))
        return damaged(t, "something stands behind its three numbers");
    if (__builtin_mul_overflow(tile_size, ntiles, &size) || size > FORMAT_SIZE_MAX)
        return damaged(t, "the size of the image is above " STRING(FORMAT_SIZE_MAX));
    index->layout = &layout_original;
    return set_geometry(t, &index->geometry, size, tile_size);
}

/* Cuts the checksum off the end of all and compares it with what stands before it. */
static int check_checksum(struct text *t, const char *start)
{
    size_t len = (size_t)(t->end - start);
    char hex[HASH_HEX];
    const char *line;

    if (len <= CHECKSUM_LEN)
        return damaged(t, "it ends without a checksum (cut off or edited by hand)");
    line = t->end - CHECKSUM_LEN;
    if (line[-1] != '\n' || memcmp(line, CHECKSUM_KEY, strlen(CHECKSUM_KEY)) != 0 ||
        t->end[-1] != '\n')
        return damaged(t, "it ends without a checksum (cut off or edited by hand)");
    if (hash_sha256(start, (size_t)(line - start), hex)) {
        t->why = "memory is short";
        return -ENOMEM;
    }
    if (memcmp(line + strlen(CHECKSUM_KEY), hex, HASH_HEX - 1) != 0)
        return damaged(t, "its checksum does not match (damaged or edited by hand)");
    t->end = line;
    return 0;
}

static int take_size(struct text *t, struct index *index, uint64_t tile_size, uint64_t ntiles)
{
    uint64_t size;
    int err;

    if (!take_literal(t, "size ") || take_number(t, &size) || !take_literal(t, "\n"))
        return damaged(t, "the line 'size' is missing or malformed");
    if (size % FORMAT_SECTOR || tile_size % FORMAT_SECTOR)
        return damaged(t, "a size is no multiple of " STRING(FORMAT_SECTOR));
    err = set_geometry(t, &index->geometry, size, tile_size);
    if (!err && index->geometry.ntiles != ntiles)
        err = damaged(t, "the number of tiles does not fit the size");
    return err;
}

static int take_uuid(struct text *t, struct index *index)
{
    if (!take_literal(t, "uuid ") || !take_word(t, "0123456789abcdef-", index->uuid, HASH_UUID) ||
        !hash_uuid_valid(index->uuid) || !take_literal(t, "\n"))
        return damaged(t, "the line 'uuid' is missing or malformed");
    return 0;
}

#define WORD_BYTES "abcdefghijklmnopqrstuvwxyz0123456789-"

static int take_layout(struct text *t, struct index *index)
{
    char name[FORMAT_FEATURE_MAX + 1];

    if (!take_literal(t, "layout ") || !take_word(t, WORD_BYTES, name, sizeof(name)) ||
        !take_literal(t, "\n"))
        return damaged(t, "the line 'layout' is missing or malformed");
    index->layout = layout_find(name);
    if (!index->layout)
        return newer(t, "its layout is one that this version does not know");
    return 0;
}

/* The optional value of a feature: anything printable up to the end of the line. */
static bool take_value(struct text *t)
{
    const char *start;

    if (!take_literal(t, BLANK))
        return true;
    start = t->pos;
    while (t->pos < t->end && (unsigned char)*t->pos >= ' ' && *t->pos != 0x7f)
        t->pos++;
    return t->pos > start;
}

static bool known_key(const char *key)
{
    return strcmp(key, "size") == 0 || strcmp(key, "uuid") == 0 || strcmp(key, "layout") == 0 ||
           strcmp(key, "sha256") == 0;
}

/*
 * A line "CLASS FEATURE [VALUE]". No feature exists yet, so every one is of a
 * newer version, and its class tells what we may still do.
 */
static int take_feature(struct text *t, struct index *index)
{
    char key[FORMAT_FEATURE_MAX + 1];
    char feature[FORMAT_FEATURE_MAX + 1];

    if (!take_word(t, WORD_BYTES, key, sizeof(key)) || !take_literal(t, BLANK))
        return damaged(t, "it has a malformed line");
    if (known_key(key))
        return damaged(t, "it says something twice");
    if (strcmp(key, "compat") != 0 && strcmp(key, "ro-compat") != 0 && strcmp(key, "incompat") != 0)
        return newer(t, "it has a key that this version does not know");
    if (!take_word(t, WORD_BYTES, feature, sizeof(feature)) || !take_value(t) ||
        !take_literal(t, "\n"))
        return damaged(t, "it has a malformed line");
    if (strcmp(key, "incompat") == 0)
        return newer(t, "it uses a feature that this version does not know");
    if (strcmp(key, "ro-compat") == 0)
        index->read_only = true;
    return 0;
}

/* t stands behind the format number, start at the beginning of all. */
static int parse_current(struct text *t, const char *start, struct index *index)
{
    uint64_t tile_size, ntiles;
    int err = check_checksum(t, start);

    if (!err)
        err = take_counts(t, FORMAT_CURRENT, &tile_size, &ntiles);
    if (!err && !take_literal(t, "\n"))
        err = damaged(t, "something stands behind its three numbers");
    if (!err)
        err = take_size(t, index, tile_size, ntiles);
    if (!err)
        err = take_uuid(t, index);
    if (!err)
        err = take_layout(t, index);
    while (!err && !at_end(t))
        err = take_feature(t, index);
    return err;
}

static int parse_any(struct text *t, struct index *index)
{
    const char *start = t->pos;
    uint64_t format = 0;
    int err;

    if (at_end(t))
        return damaged(t, "it is empty");
    if (t->end - t->pos > FORMAT_INDEX_MAX)
        return damaged(t, "it is longer than " STRING(FORMAT_INDEX_MAX) " bytes");
    if (memchr(t->pos, '\0', (size_t)(t->end - t->pos)))
        return damaged(t, "it holds zero bytes, as files do that a crash cut short");
    err = take_number(t, &format);
    if (err == -EINVAL || (!at_end(t) && !span(t, BLANKS "\n")) || (!err && format == 0))
        return damaged(t, "it does not begin with the number of a format");
    if (err || format > FORMAT_CURRENT)
        return newer(t, "its format is newer than this version");
    index->format = (int)format;
    return format == FORMAT_ORIGINAL ? parse_original(t, index) : parse_current(t, start, index);
}

int index_parse(const char *text, size_t len, struct index *index, const char **why)
{
    struct text t = {.pos = text, .end = text + len};
    int err;

    memset(index, 0, sizeof(*index));
    err = parse_any(&t, index);
    if (err)
        memset(index, 0, sizeof(*index));
    *why = t.why;
    return err;
}

/* Appends at *len; -ENOMEM when text is full. */
static int PRINTF(4, 5) append(char *text, size_t cap, size_t *len, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(text + *len, cap - *len, fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= cap - *len)
        return -ENOMEM;
    *len += (size_t)n;
    return 0;
}

int index_print(const struct index *index, char *text, size_t cap, size_t *len)
{
    const struct geometry *geo = &index->geometry;
    char hex[HASH_HEX];
    int err;

    *len = 0;
    err = append(
        text, cap, len, "%d %" PRIu64 " %" PRIu32 "\nsize %" PRIu64 "\nuuid %s\nlayout %s\n",
        FORMAT_CURRENT, geo->tile_size, geo->ntiles, geo->size, index->uuid, index->layout->name);
    if (!err)
        err = hash_sha256(text, *len, hex);
    if (!err)
        err = append(text, cap, len, CHECKSUM_KEY "%s\n", hex);
    return err;
}
