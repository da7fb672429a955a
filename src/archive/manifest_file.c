/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive/manifest_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "format/format.h"

#define LINES (64u << 10) /* bytes of them that are read at a time */

static const char damaged[] = "is damaged, or was edited by hand";
static const char torn[] = "and its file '" FORMAT_DIGESTS_NAME "' do not belong together: one of "
                           "them is missing, older or newer";

/* --- open ------------------------------------------------------------------------------------- */

static int read_text(struct manifest_file *file, const char **why)
{
    char text[MANIFEST_HEADER];
    size_t len;
    int rc = io_pread(file->text, text, sizeof(text), 0, &len);

    *why = "cannot be read";
    return rc ? rc : manifest_parse(text, len, &file->manifest, &file->header, why);
}

/* Whether it has all its bytes. */
static bool is_whole(const struct manifest_file *file)
{
    struct stat st;
    uint64_t want = digests_lists_at(file->head.tiles) + file->head.lists * HASH_RAW;

    return fstat(file->digests, &st) == 0 && (uint64_t)st.st_size == want;
}

static int read_head(struct manifest_file *file, const char **why)
{
    unsigned char bytes[DIGESTS_HEADER], raw[HASH_RAW];
    size_t len;
    int rc = io_pread(file->digests, bytes, sizeof(bytes), 0, &len);

    *why = "cannot be read";
    if (!rc)
        rc = hash_raw(bytes, len, raw);
    if (rc)
        return rc;
    *why = torn;
    if (len < sizeof(bytes) || memcmp(raw, file->manifest.digests, HASH_RAW) != 0)
        return -EBADMSG;
    rc = digests_get_header(bytes, &file->head);
    if (!rc && (file->head.tiles != file->manifest.tiles || !is_whole(file)))
        rc = -EBADMSG;
    return rc;
}

int manifest_file_open(int dirfd, struct manifest_file *file, const char **why)
{
    int rc;

    *file = (struct manifest_file){.text = -1, .digests = -1};
    *why = "cannot be opened";
    rc = io_open_file(dirfd, FORMAT_MANIFEST_NAME, O_RDONLY, &file->text);
    if (!rc)
        rc = read_text(file, why);
    if (rc)
        return rc;
    rc = io_open_file(dirfd, FORMAT_DIGESTS_NAME, O_RDONLY, &file->digests);
    *why = rc == -ENOENT ? torn : "cannot be opened";
    if (rc)
        return rc == -ENOENT ? -EBADMSG : rc;
    return read_head(file, why);
}

void manifest_file_release(struct manifest_file *file)
{
    if (file->text >= 0)
        close(file->text);
    if (file->digests >= 0)
        close(file->digests);
    free(file->tiles);
    free(file->index);
    *file = (struct manifest_file){.text = -1, .digests = -1};
}

/* --- which tiles ------------------------------------------------------------------------------ */

/* Reads len bytes at off, of which raw is the digest. */
static int read_digested(int fd, uint64_t off, void *buf, size_t len,
                         const unsigned char want[HASH_RAW])
{
    unsigned char raw[HASH_RAW];
    size_t done;
    int rc = io_pread(fd, buf, len, off, &done);

    if (!rc)
        rc = done == len ? hash_raw(buf, len, raw) : -EBADMSG;
    if (!rc && memcmp(raw, want, HASH_RAW) != 0)
        rc = -EBADMSG;
    return rc;
}

static uint32_t tiles_in_page(const struct manifest_file *file, uint32_t n)
{
    uint32_t left = file->head.tiles - n * FORMAT_DIGESTS_PER_PAGE;

    return left < FORMAT_DIGESTS_PER_PAGE ? left : FORMAT_DIGESTS_PER_PAGE;
}

/* Reads the tiles of a page, which the index has been read for. */
static int read_page(const struct manifest_file *file, uint32_t n, struct manifest_tile *tiles)
{
    unsigned char rows[FORMAT_DIGESTS_PER_PAGE * DIGESTS_ENTRY];
    uint32_t count = tiles_in_page(file, n);
    uint64_t at =
        digests_pages_at(file->head.tiles) + (uint64_t)n * FORMAT_DIGESTS_PER_PAGE * DIGESTS_ENTRY;
    struct digests_page page;
    uint64_t next;
    int rc;

    digests_get_page(file->index + (size_t)n * DIGESTS_PAGE, &page);
    next = page.first;
    if (next > file->head.lists)
        return -EBADMSG;
    rc = read_digested(file->digests, at, rows, (size_t)count * DIGESTS_ENTRY, page.digest);
    for (uint32_t i = 0; !rc && i < count; i++) {
        rc = digests_get_entry(rows + (size_t)i * DIGESTS_ENTRY, &tiles[i].entry);
        tiles[i].first = next;
        next += rc ? 0 : digests_count(&tiles[i].entry);
        if (!rc &&
            (tiles[i].entry.tile >= file->manifest.geometry.ntiles || next > file->head.lists ||
             (i > 0 && tiles[i].entry.tile <= tiles[i - 1].entry.tile)))
            rc = -EBADMSG;
    }
    return !rc && tiles[0].entry.tile != page.tile ? -EBADMSG : rc;
}

static int read_index(struct manifest_file *file)
{
    size_t len = (size_t)digests_pages(file->head.tiles) * DIGESTS_PAGE;

    if (file->index)
        return 0;
    file->index = malloc(len + 1);
    return file->index
               ? read_digested(file->digests, DIGESTS_HEADER, file->index, len, file->head.index)
               : -ENOMEM;
}

static int load(struct manifest_file *file)
{
    uint32_t pages = digests_pages(file->head.tiles);
    int rc = read_index(file);

    for (uint32_t n = 0; !rc && n < pages; n++) {
        struct manifest_tile *tiles = file->tiles + (size_t)n * FORMAT_DIGESTS_PER_PAGE;

        rc = read_page(file, n, tiles);
        if (!rc && n > 0 && tiles[0].entry.tile <= tiles[-1].entry.tile)
            rc = -EBADMSG;
    }
    return rc;
}

int manifest_file_load(struct manifest_file *file, const char **why)
{
    int rc;

    file->tiles = calloc((size_t)file->head.tiles + 1, sizeof(*file->tiles));
    rc = file->tiles ? load(file) : -ENOMEM;
    *why = rc == -EBADMSG ? damaged : "cannot be read";
    return rc;
}

/* The page that has the tile, if any has; UINT32_MAX: it comes before all. */
static uint32_t find_page(const struct manifest_file *file, uint32_t number)
{
    uint32_t low = 0, high = digests_pages(file->head.tiles);

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct digests_page page;

        digests_get_page(file->index + (size_t)middle * DIGESTS_PAGE, &page);
        if (page.tile <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}

int manifest_file_look(struct manifest_file *file, uint32_t number, struct manifest_tile *tile)
{
    struct manifest_tile tiles[FORMAT_DIGESTS_PER_PAGE];
    uint32_t page;
    int rc = read_index(file);

    if (rc)
        return rc;
    page = find_page(file, number);
    if (page == UINT32_MAX)
        return -ENOENT;
    rc = read_page(file, page, tiles);
    for (uint32_t i = 0; !rc && i < tiles_in_page(file, page); i++) {
        if (tiles[i].entry.tile == number) {
            *tile = tiles[i];
            return 0;
        }
    }
    return rc ? rc : -ENOENT;
}

static int compare(const void *key, const void *member)
{
    uint32_t tile = *(const uint32_t *)key,
             other = ((const struct manifest_tile *)member)->entry.tile;

    return (tile > other) - (tile < other);
}

const struct manifest_tile *manifest_file_find(const struct manifest_file *file, uint32_t tile)
{
    return bsearch(&tile, file->tiles, file->head.tiles, sizeof(*file->tiles), compare);
}

int manifest_file_list(const struct manifest_file *file, const struct manifest_tile *tile,
                       unsigned char *list)
{
    return read_digested(file->digests, digests_lists_at(file->head.tiles) + tile->first * HASH_RAW,
                         list, (size_t)digests_count(&tile->entry) * HASH_RAW, tile->entry.digest);
}

/* --- lines ------------------------------------------------------------------------------------ */

struct reading {
    const struct manifest_file *file;
    struct hash *hash;
    manifest_file_line *fn;
    void *arg;
    uint32_t tiles;
};

/* A line without its newline, which a NUL ends. */
static int take_line(struct reading *reading, const char *line)
{
    unsigned char raw[HASH_RAW];
    uint32_t tile;
    int rc = manifest_parse_line(reading->file->manifest.layout, line, &tile, raw);

    reading->tiles++;
    return rc ? rc : reading->fn(reading->arg, tile, raw);
}

/* *left are the bytes of the last line, if it has not come to its end. */
static int take_lines(struct reading *reading, char *text, size_t len, size_t *left)
{
    char *line = text, *end;
    int rc = 0;

    while (!rc && (end = memchr(line, '\n', len - (size_t)(line - text))) != NULL) {
        *end = '\0';
        rc = take_line(reading, line);
        line = end + 1;
    }
    *left = len - (size_t)(line - text);
    memmove(text, line, *left);
    return !rc && *left >= MANIFEST_LINE ? -EBADMSG : rc;
}

static int read_lines(struct reading *reading, char *text, size_t cap)
{
    uint64_t off = reading->file->header;
    size_t left = 0, got = 1;
    int rc = 0;

    while (!rc && got) {
        rc = io_pread(reading->file->text, text + left, cap - left, off, &got);
        if (rc)
            break;
        hash_add(reading->hash, text + left, got);
        off += got;
        rc = take_lines(reading, text, left + got, &left);
    }
    return !rc && left ? -EBADMSG : rc;
}

static int check_lines(struct reading *reading)
{
    unsigned char raw[HASH_RAW];
    int rc = hash_end(reading->hash, raw);

    if (!rc && (reading->tiles != reading->file->manifest.tiles ||
                memcmp(raw, reading->file->manifest.lines, HASH_RAW) != 0))
        rc = -EBADMSG;
    return rc;
}

int manifest_file_lines(const struct manifest_file *file, manifest_file_line *fn, void *arg)
{
    struct reading reading = {.file = file, .fn = fn, .arg = arg};
    char *text = malloc(LINES);
    int rc = text ? hash_begin(&reading.hash) : -ENOMEM;

    if (!rc)
        rc = read_lines(&reading, text, LINES);
    if (!rc)
        rc = check_lines(&reading);
    hash_free(reading.hash);
    free(text);
    return rc;
}
