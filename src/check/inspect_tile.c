/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is wrong with a file in the place of a tile, and what a stray file says
 * of itself. Where each tile stands behind a picture that tells whose it is,
 * that counts, and a name is nothing but a place. A tile whose picture cannot
 * be read is an error to who reads the drive, so nothing in the place of a tile
 * ever moves.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "archive/tile_head.h"
#include "base/io.h"
#include "check/inspect.h"
#include "format/format.h"

void inspect_tile_name(const struct scan *scan, uint32_t tile, struct scan_finding *f)
{
    f->what = NAMES_A_TILE;
    f->tile = tile;
    scan->layout->tile_path(tile, f->of);
}

/* payload: where the tile's bytes begin. */
static void inspect_size(const struct scan *scan, uint32_t tile, uint64_t payload, uint64_t size,
                         struct scan_finding *f)
{
    f->size = size;
    f->want = payload + geometry_tile_len(&scan->archive->index.geometry, tile);
    if (size > f->want)
        f->kind = SCAN_TILE_LONG;
    else if (size < f->want && !scan->layout->short_tiles)
        f->kind = SCAN_TILE_SHORT;
}

/*
 * The bytes count from the end: behind a picture of another length they are all
 * there, and cutting the file at its end, or making it longer, would shift them.
 */
static void inspect_tail(const struct scan *scan, uint32_t tile, int fd, uint64_t size,
                         struct scan_finding *f)
{
    uint64_t head = scan->archive->head;
    uint64_t len = geometry_tile_len(&scan->archive->index.geometry, tile);

    inspect_size(scan, tile, head, size, f);
    if (f->kind != SCAN_FINE)
        f->picture = tile_head_picture(fd, size > head + len ? size - len : head);
}

/* Too short for any head, and no whole picture that somebody wrote anew. */
static bool is_remains(int fd, uint64_t size)
{
    unsigned char bytes[FORMAT_JPEG_ALIGN];
    const char *why;
    size_t got, len;

    return size < sizeof(bytes) &&
           (io_pread(fd, bytes, sizeof(bytes), 0, &got) || jpeg_length(bytes, got, &len, &why));
}

/* Why is it not readable as that tile? As far as can be seen; else what others said, or NULL. */
static void explain_picture(const struct scan *scan, uint32_t tile, int fd, uint64_t size,
                            const char *said, struct scan_finding *f)
{
    struct jpeg_tag tag;
    int rc = tile_head_read_tag(fd, &tag);

    f->why = said;
    f->size = size;
    if (rc == -ENODATA) {
        f->kind = is_remains(fd, size) ? SCAN_TILE_CUT : SCAN_TILE_NONE;
    } else if (rc == -EBADMSG || rc == -ENOTSUP) {
        f->kind = SCAN_TILE_HEAD;
    } else if (rc) {
        f->kind = SCAN_TILE_UNREADABLE;
        f->err = -rc;
    } else if (scan->indexed && strcmp(tag.uuid, scan->archive->index.uuid) != 0) {
        f->kind = SCAN_TILE_STRANGER;
    } else if (tag.tile != tile) {
        f->kind = SCAN_TILE_SWAPPED;
        inspect_tile_name(scan, tag.tile, f);
    } else if (size < tag.payload) {
        f->kind = SCAN_TILE_CUT;
        f->want = tag.payload;
    } else if (said) {
        f->kind = SCAN_TILE_HEAD;
    }
}

static void inspect_picture(const struct scan *scan, uint32_t tile, int fd, uint64_t size,
                            struct scan_finding *f)
{
    const char *why = NULL;
    uint64_t payload;
    int rc = 0;

    if (scan->indexed)
        rc = tile_head_look(scan->archive, tile, fd, size, &payload, &why);
    if (!scan->indexed || rc == -EBADMSG) {
        explain_picture(scan, tile, fd, size, why, f);
    } else if (rc) {
        f->kind = SCAN_TILE_UNREADABLE;
        f->err = -rc;
    } else {
        inspect_size(scan, tile, payload, size, f);
    }
}

void inspect_tile(const struct scan *scan, const struct inspect_place *place, const char *name,
                  uint32_t tile, const struct stat *st, struct scan_finding *f)
{
    int rc, fd;

    if (!S_ISREG(st->st_mode)) {
        f->kind = SCAN_TILE_TYPE;
        return;
    }
    rc = io_open_file(place->fd, name, O_RDONLY, &fd);
    if (rc) {
        f->kind = SCAN_TILE_UNREADABLE;
        f->err = -rc;
        return;
    }
    if (scan->layout->head == LAYOUT_PICTURE)
        inspect_picture(scan, tile, fd, (uint64_t)st->st_size, f);
    else if (scan->indexed && scan->layout->head == LAYOUT_BARE)
        inspect_size(scan, tile, 0, (uint64_t)st->st_size, f);
    else if (scan->indexed && scan->archive->head)
        inspect_tail(scan, tile, fd, (uint64_t)st->st_size, f);
    close(fd);
}

bool inspect_tile_is_good(const struct scan *scan, uint32_t tile)
{
    struct inspect_place place = {.where = NAMES_FOLDER};
    struct scan_finding f = {.kind = SCAN_FINE};
    const char *name;
    struct stat st;
    char *slash;
    bool there;

    if (!scan->indexed || tile >= inspect_ntiles(scan))
        return false;
    place.folder = tile / scan->layout->tiles_per_folder;
    scan->layout->tile_path(tile, place.path);
    slash = strrchr(place.path, '/');
    *slash = '\0';
    name = slash + 1;
    if (io_open(scan->archive->dirfd, place.path, O_RDONLY | O_DIRECTORY, 0, &place.fd))
        return false;
    there = fstatat(place.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there)
        inspect_tile(scan, &place, name, tile, &st, &f);
    close(place.fd);
    return there && f.kind == SCAN_FINE;
}

/* 0 and *tag when the file names itself a tile of some archive. *filled: there are bytes of it. */
static int read_claim(const struct inspect_place *place, const char *name, struct jpeg_tag *tag,
                      bool *filled)
{
    struct stat st;
    int fd;
    int rc = io_open_file(place->fd, name, O_RDONLY, &fd);

    if (rc)
        return rc;
    rc = tile_head_read_tag(fd, tag);
    *filled = !rc && (fstat(fd, &st) || (uint64_t)st.st_size > tag->payload);
    close(fd);
    return rc;
}

/* A name that says which tile it is, and is right, is as good as the claim. */
static void correct_name(const struct scan *scan, const struct jpeg_tag *tag,
                         struct scan_finding *f)
{
    bool named = f->what == NAMES_A_TILE && f->tile == tag->tile;

    if (tag->tile >= inspect_ntiles(scan)) {
        f->kind = SCAN_TILE_OUTSIDE;
        f->what = NAMES_NOTHING;
        f->of[0] = '\0';
    } else if (!named || f->kind == SCAN_LAYOUT) {
        f->kind = SCAN_TILE_MISPLACED;
        f->program = NULL;
        inspect_tile_name(scan, tag->tile, f);
    }
}

void inspect_tile_claim(const struct scan *scan, const struct inspect_place *place,
                        const char *name, struct scan_finding *f)
{
    struct jpeg_tag tag;
    bool ours, filled;
    int rc = read_claim(place, name, &tag, &filled);

    if (rc == -EBADMSG || rc == -ENOTSUP)
        f->claim = SCAN_CLAIMS_SOME;
    if (rc)
        return;
    ours = scan->indexed ? !strcmp(tag.uuid, scan->archive->index.uuid)
                         : scan->layout->head == LAYOUT_PICTURE;
    f->claim = ours ? SCAN_CLAIMS_OURS : SCAN_CLAIMS_OTHER;
    if (!ours)
        return;
    if (scan->layout->head == LAYOUT_PICTURE)
        correct_name(scan, &tag, f);
    /* Of a new tile that a crash kept from getting its name, there is the picture alone. */
    f->lone = !inspect_tile_is_good(scan, tag.tile) && (filled || f->kind != SCAN_TEMPORARY);
}
