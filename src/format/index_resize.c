/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of an index with another size, and all else as it was: a feature that this version does
 * not know stays, and so does the way in which format 1 was written by hand. What comes out is read
 * again before it counts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/format.h"
#include "format/index.h"

#define DIGITS "0123456789"
#define CHECKSUM_KEY "sha256 "
#define CHECKSUM_LEN (sizeof(CHECKSUM_KEY) - 1 + HASH_HEX - 1 + 1) /* key, digits, LF */

/* What is being written. */
struct made {
    char *text;
    size_t cap, len;
};

static int add(struct made *made, const char *bytes, size_t len)
{
    if (len > made->cap - made->len)
        return -ENOMEM;
    memcpy(made->text + made->len, bytes, len);
    made->len += len;
    return 0;
}

/* Whole tiles alone, and their number is the last thing in the text but blanks. */
static int resize_original(const char *text, size_t len, const struct geometry *geo,
                           struct made *made)
{
    size_t end = len, from;
    char number[16];
    int rc;

    if (geo->size % geo->tile_size)
        return -ERANGE;
    while (end > 0 && !memchr(DIGITS, text[end - 1], strlen(DIGITS)))
        end--;
    from = end;
    while (from > 0 && memchr(DIGITS, text[from - 1], strlen(DIGITS)))
        from--;
    snprintf(number, sizeof(number), "%" PRIu32, geo->ntiles);
    rc = add(made, text, from);
    if (!rc)
        rc = add(made, number, strlen(number));
    return rc ? rc : add(made, text + end, len - end);
}

/* The first two lines are numbers, the last one is the checksum. */
static int resize_current(const char *text, size_t len, const struct geometry *geo,
                          struct made *made)
{
    const char *rest = memchr(text, '\n', len);
    const char *end = text + len - CHECKSUM_LEN;
    char lines[128], hex[HASH_HEX];
    int rc;

    rest = memchr(rest + 1, '\n', (size_t)(end - rest) - 1);
    snprintf(lines, sizeof(lines), "%d %" PRIu64 " %" PRIu32 "\nsize %" PRIu64, FORMAT_CURRENT,
             geo->tile_size, geo->ntiles, geo->size);
    rc = add(made, lines, strlen(lines));
    if (!rc)
        rc = add(made, rest, (size_t)(end - rest));
    if (!rc)
        rc = hash_sha256(made->text, made->len, hex);
    if (!rc)
        rc = add(made, CHECKSUM_KEY, strlen(CHECKSUM_KEY));
    if (!rc)
        rc = add(made, hex, HASH_HEX - 1);
    return rc ? rc : add(made, "\n", 1);
}

int index_resize(const char *text, size_t len, const struct geometry *geo, char *out, size_t cap,
                 size_t *out_len)
{
    struct made made = {out, cap, 0};
    struct index before, after;
    const char *why;
    int rc = index_parse(text, len, &before, &why);

    *out_len = 0;
    if (!rc && (before.geometry.tile_size != geo->tile_size ||
                (before.format == FORMAT_CURRENT && geo->size % FORMAT_SECTOR)))
        rc = -ERANGE;
    if (!rc)
        rc = before.format == FORMAT_ORIGINAL ? resize_original(text, len, geo, &made)
                                              : resize_current(text, len, geo, &made);
    if (!rc)
        rc = index_parse(out, made.len, &after, &why);
    if (!rc && after.geometry.size != geo->size)
        rc = -ERANGE;
    *out_len = rc ? 0 : made.len;
    return rc;
}
