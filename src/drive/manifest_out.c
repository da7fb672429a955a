/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "drive/manifest_out.h"

#include <errno.h>
#include <stdlib.h>

#include "base/io.h"
#include "format/format.h"

struct out {
    struct manifest *manifest;
    const struct manifest_row *rows;
    uint32_t n;
    uint64_t lists;
    int fd; /* mosaicfs.digests */
};

static int write_page(struct out *out, uint32_t page, unsigned char *index)
{
    unsigned char rows[FORMAT_DIGESTS_PER_PAGE * DIGESTS_ENTRY];
    uint32_t first = page * FORMAT_DIGESTS_PER_PAGE, n = 0;
    struct digests_page of = {out->rows[first].entry.tile, out->rows[first].first, {0}};
    int rc;

    for (; n < FORMAT_DIGESTS_PER_PAGE && first + n < out->n; n++)
        digests_put_entry(&out->rows[first + n].entry, rows + (size_t)n * DIGESTS_ENTRY);
    rc = hash_raw(rows, (size_t)n * DIGESTS_ENTRY, of.digest);
    digests_put_page(&of, index + (size_t)page * DIGESTS_PAGE);
    if (rc)
        return rc;
    return io_pwrite(out->fd, rows, (size_t)n * DIGESTS_ENTRY,
                     digests_pages_at(out->n) + (uint64_t)first * DIGESTS_ENTRY);
}

static int write_index(struct out *out, unsigned char *index)
{
    uint32_t pages = digests_pages(out->n);
    struct digests_header header = {.tiles = out->n, .lists = out->lists};
    unsigned char bytes[DIGESTS_HEADER];
    int rc = 0;

    for (uint32_t page = 0; !rc && page < pages; page++)
        rc = write_page(out, page, index);
    if (!rc)
        rc = hash_raw(index, (size_t)pages * DIGESTS_PAGE, header.index);
    if (!rc)
        rc = io_pwrite(out->fd, index, (size_t)pages * DIGESTS_PAGE, DIGESTS_HEADER);
    if (rc)
        return rc;
    digests_put_header(&header, bytes);
    rc = hash_raw(bytes, sizeof(bytes), out->manifest->digests);
    if (!rc)
        rc = io_pwrite(out->fd, bytes, sizeof(bytes), 0);
    return rc ? rc : io_fsync(out->fd);
}

int manifest_out_digests(struct manifest *manifest, const struct manifest_row *rows, uint32_t n,
                         uint64_t lists, int fd)
{
    struct out out = {manifest, rows, n, lists, fd};
    unsigned char *index = malloc((size_t)digests_pages(n) * DIGESTS_PAGE + 1);
    int rc = index ? write_index(&out, index) : -ENOMEM;

    free(index);
    return rc;
}

/* --- the text --------------------------------------------------------------------------------- */

/* Lines of tiles, many at a time. */
struct lines {
    struct hash *hash; /* of them; or NULL, and they are written */
    int fd;
    size_t len;
    char text[1 << 16];
};

static int flush_lines(struct lines *lines)
{
    size_t len = lines->len;

    lines->len = 0;
    if (!lines->hash)
        return io_write(lines->fd, lines->text, len);
    hash_add(lines->hash, lines->text, len);
    return 0;
}

static int each_line(const struct out *out, struct lines *lines)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < out->n; i++) {
        if (sizeof(lines->text) - lines->len < MANIFEST_LINE)
            rc = flush_lines(lines);
        lines->len += manifest_print_line(out->manifest->layout, out->rows[i].entry.tile,
                                          out->rows[i].file, lines->text + lines->len);
    }
    return rc ? rc : flush_lines(lines);
}

static int digest_lines(const struct out *out, struct lines *lines)
{
    int rc = hash_begin(&lines->hash);

    if (!rc)
        rc = each_line(out, lines);
    if (!rc)
        rc = hash_end(lines->hash, out->manifest->lines);
    hash_free(lines->hash);
    lines->hash = NULL;
    return rc;
}

static int write_text(const struct out *out, struct lines *lines)
{
    char text[MANIFEST_HEADER];
    size_t len;
    int rc = digest_lines(out, lines);

    if (!rc)
        rc = manifest_print(out->manifest, text, &len);
    if (!rc)
        rc = io_write(lines->fd, text, len);
    if (!rc)
        rc = each_line(out, lines);
    return rc ? rc : io_fsync(lines->fd);
}

int manifest_out_text(struct manifest *manifest, const struct manifest_row *rows, uint32_t n,
                      int fd)
{
    struct out out = {manifest, rows, n, 0, -1};
    struct lines *lines = calloc(1, sizeof(*lines));
    int rc = -ENOMEM;

    if (lines) {
        lines->fd = fd;
        rc = write_text(&out, lines);
    }
    free(lines);
    return rc;
}
