/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Growing is the image's own work (image/image_resize.c), in use or not. Shrinking is done to an
 * archive that nobody uses, in this order:
 *
 *   1 what lies behind the new end is looked at: if any byte is not zero, nothing is changed
 *   2 it is zeroed as a trim does it: tiles go, after they were noted in the journal, and the
 *     rest of the last one does; all of that is on disk
 *   3 the index tells the new size
 *
 * A crash before 3 leaves the old size, and zeros where there were zeros. The journal keeps its
 * places for the tiles that went, so that mirrors hear of them.
 *
 * Whoever makes a snapshot, deletes one or goes back to one has the lock on the directory of all
 * snapshots; while that is so an archive in use does not grow, and the other way round. So no
 * snapshot has the index of one size and the tiles of another.
 */
#include "drive/resize.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/zero.h"
#include "drive/drive.h"
#include "drive/snapshot_impl.h"
#include "format/format.h"

#define CHUNK 1048576

static int complain(const struct archive *archive, const char *why, int rc)
{
    log_error("cannot resize '%s': %s", archive->path, why);
    return rc;
}

/* --- what it can have ------------------------------------------------------------------------- */

static int refuse_size(const struct archive *archive, int rc)
{
    char most[PARSE_SIZE_TEXT], tile[PARSE_SIZE_TEXT];
    const struct layout *layout = archive->index.layout;

    parse_size_text(archive->index.geometry.tile_size, tile);
    if (rc == -EINVAL)
        return complain(archive, "a size is at least one sector of 512 bytes, and a multiple of it",
                        rc);
    if (archive->index.geometry.tile_size > FORMAT_SIZE_MAX / layout->tiles_max)
        snprintf(most, sizeof(most), "8 EiB");
    else
        parse_size_text(archive->index.geometry.tile_size * layout->tiles_max, most);
    log_error("cannot resize '%s': with tiles of %s it can have at most %s, in %" PRIu32 " tiles",
              archive->path, tile, most, layout->tiles_max);
    return rc;
}

static int check_size(const struct archive *archive, uint64_t size, struct geometry *to)
{
    const struct index *index = &archive->index;
    int rc = size == 0 || size % FORMAT_SECTOR ? -EINVAL : 0;

    /* Format 1 may have tiles of any length. */
    if (index->format == FORMAT_ORIGINAL && size && size % index->geometry.tile_size)
        return complain(archive, "an archive of format 1 has whole tiles only; use -n", -EINVAL);
    if (index->format == FORMAT_ORIGINAL && size)
        rc = 0;
    if (!rc)
        rc = geometry_init_max(to, size, index->geometry.tile_size, index->layout->tiles_max);
    return rc ? refuse_size(archive, rc) : 0;
}

/* What is wanted, in bytes: more than there can be is as good as the most of them. */
static int find_size(const struct archive *archive, const struct resize_wish *wish,
                     struct geometry *to)
{
    const struct geometry *now = &archive->index.geometry;
    uint64_t size = wish->amount;
    bool over = wish->tiles && __builtin_mul_overflow(size, now->tile_size, &size);

    if (wish->more)
        over = over || __builtin_add_overflow(size, now->size, &size);
    if (over || size > FORMAT_SIZE_MAX)
        return refuse_size(archive, -ERANGE);
    return check_size(archive, size, to);
}

/* --- shrinking -------------------------------------------------------------------------------- */

/* Tiles from first on that there are, a bit each. */
struct behind {
    uint32_t first;
    uint64_t *bits;
};

static int add_tile(void *arg, uint32_t tile, int folder)
{
    struct behind *behind = arg;

    behind->bits[(tile - behind->first) / 64] |= UINT64_C(1) << (tile - behind->first) % 64;
    return 0;
}

static int list_tiles(const struct archive *archive, struct behind *behind)
{
    uint32_t ntiles = archive->index.geometry.ntiles;
    struct folders folders;
    int rc = folders_init(&folders, archive->dirfd, archive->index.layout, ntiles);

    behind->bits = calloc((ntiles - behind->first) / 64 + 1, sizeof(*behind->bits));
    if (!rc)
        rc = behind->bits ? folders_each(&folders, behind->first, ntiles, add_tile, behind)
                          : -ENOMEM;
    folders_release(&folders);
    return rc;
}

/* *end is behind the last byte from from on, up to *end, that is not zero; or from. */
static int find_end(struct image *img, uint64_t from, uint64_t *end, char *chunk)
{
    while (*end > from) {
        uint64_t at = (*end - 1) / CHUNK * CHUNK;
        size_t len;
        int rc;

        at = at > from ? at : from;
        rc = image_read(img, at, chunk, *end - at);
        if (rc)
            return rc;
        len = zero_trimmed(chunk, *end - at);
        *end = at + len;
        if (len > 0)
            break;
    }
    return 0;
}

/* *end is behind the last byte that is not zero; or where the image is going to end. */
static int find_data(struct image *img, const struct behind *behind, const struct geometry *to,
                     uint64_t *end)
{
    const struct geometry *now = image_geometry(img);
    char *chunk = malloc(CHUNK);
    int rc = chunk ? 0 : -ENOMEM;

    *end = to->size;
    for (uint32_t tile = now->ntiles; !rc && *end == to->size && tile-- > behind->first;) {
        uint64_t from = tile * now->tile_size;

        if (!(behind->bits[(tile - behind->first) / 64] >> (tile - behind->first) % 64 & 1))
            continue;
        *end = from + geometry_tile_len(now, tile);
        from = from > to->size ? from : to->size;
        rc = find_end(img, from, end, chunk);
        *end = *end > from ? *end : to->size;
    }
    free(chunk);
    return rc;
}

static int refuse_data(const struct archive *archive, const struct geometry *to, uint64_t end)
{
    log_error("cannot shrink '%s' to %" PRIu64 " bytes: there are data up to byte %" PRIu64
              " of the image",
              archive->path, to->size, end - 1);
    log_note("it can shrink to %" PRIu64 " bytes; to get there, shrink what lies on the drive, "
             "and trim the rest of it: blkdiscard(8), or a hole in the mounted file",
             (end + FORMAT_SECTOR - 1) / FORMAT_SECTOR * FORMAT_SECTOR);
    return -ENOTEMPTY;
}

/* One that tells the others' layout has to stay, be it empty. */
static int check_gone(const struct archive *archive, const struct geometry *to)
{
    uint32_t ntiles = archive->index.geometry.ntiles, found;
    struct folders folders;
    char path[LAYOUT_PATH];
    int rc = folders_init(&folders, archive->dirfd, archive->index.layout, ntiles);

    if (!rc)
        rc = folders_next(&folders, to->ntiles, ntiles, &found);
    folders_release(&folders);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    archive->index.layout->tile_path(found, path);
    log_error("cannot shrink '%s': tile '%s' is empty, but no other tells how long pictures are",
              archive->path, path);
    return -EBUSY;
}

static int shrink(struct drive *drive, const struct geometry *to)
{
    const struct archive *archive = &drive->archive;
    uint64_t size = archive->index.geometry.size, end;
    struct behind behind = {.first = (uint32_t)(to->size / to->tile_size)};
    int rc = list_tiles(archive, &behind);

    if (!rc)
        rc = find_data(drive->img, &behind, to, &end);
    free(behind.bits);
    if (rc)
        return complain(archive, strerror(-rc), rc);
    if (end > to->size)
        return refuse_data(archive, to, end);
    rc = image_zero(drive->img, to->size, size - to->size);
    if (!rc)
        rc = image_flush(drive->img);
    if (rc)
        return complain(archive, strerror(-rc), rc);
    rc = check_gone(archive, to);
    return rc ? rc : archive_index_resize(archive, to);
}

/* --- an archive that nobody has in use -------------------------------------------------------- */

/* A crash between the two files of a sparse bundle is over with this. */
static int align_spare(const struct archive *archive)
{
    const char *name = archive->index.layout->spare_index, *why;
    const struct geometry *geo = &archive->index.geometry;
    struct index spare;

    if (!name || (archive_index_read(archive, name, &spare, &why) == 0 &&
                  spare.geometry.size == geo->size && spare.geometry.tile_size == geo->tile_size))
        return 0;
    return archive_index_resize(archive, geo);
}

static int grow(struct drive *drive, const struct geometry *to)
{
    int rc = image_resize(drive->img, to->size);

    return rc ? complain(&drive->archive, strerror(-rc), rc) : 0;
}

static int resize_open(struct drive *drive, const struct resize_wish *wish,
                       struct resize_done *done)
{
    const struct archive *archive = &drive->archive;
    int rc;

    done->before = archive->index.geometry;
    rc = find_size(archive, wish, &done->after);
    if (rc)
        return rc;
    if (done->after.size == done->before.size)
        return align_spare(archive);
    return done->after.size > done->before.size ? grow(drive, &done->after)
                                                : shrink(drive, &done->after);
}

static int resize_alone(const struct archive *archive, const struct resize_wish *wish,
                        struct resize_done *done)
{
    struct drive_config config = {
        .path = archive->path,
        .mountpoint = "",
        .reach = DRIVE_IMAGE,
        .max_open = DIR_OPEN_MIN,
    };
    struct drive drive;
    int rc = drive_open(&drive, &config);
    int closed;

    if (rc)
        return rc;
    rc = resize_open(&drive, wish, done);
    closed = drive_close(&drive);
    return rc ? rc : closed;
}

/* --- one in use ------------------------------------------------------------------------------- */

static int grow_asked(const struct archive *archive, const struct resize_wish *wish,
                      const struct resize_writer *writer, struct resize_done *done)
{
    int rc;

    done->before = archive->index.geometry;
    rc = find_size(archive, wish, &done->after);
    if (rc || done->after.size == done->before.size)
        return rc;
    if (done->after.size > done->before.size)
        return writer->grow(writer->arg, done->after.size);
    log_error("cannot shrink '%s' while it is mounted", archive->path);
    log_note("unmount it first");
    return -EBUSY;
}

/* Nobody makes a snapshot meanwhile: it would have the size of one moment and the tiles of another.
 */
static int resize_asked(const struct archive *archive, const struct resize_wish *wish,
                        const struct resize_writer *writer, struct resize_done *done)
{
    struct archive grown = *archive, now = *archive;
    int all;
    int rc = snapshot_make_all(archive);

    if (!rc)
        rc = snapshot_lock(archive, &all);
    if (rc == -EBUSY)
        return complain(archive,
                        "a snapshot of it is being made or deleted, or it is being resized", rc);
    if (rc)
        return complain(archive, strerror(-rc), rc);
    rc = archive_index_load(&now); /* somebody else may have been faster */
    grown.index.geometry = now.index.geometry;
    if (!rc)
        rc = grow_asked(&grown, wish, writer, done);
    close(all);
    return rc;
}

int resize_archive(const struct archive *archive, const struct resize_wish *wish,
                   const struct resize_writer *writer, struct resize_done *done)
{
    *done = (struct resize_done){{0}, {0}};
    if (snapshots_is_one(archive))
        return complain(archive, "it is a snapshot, which never changes", -EROFS);
    return writer ? resize_asked(archive, wish, writer, done) : resize_alone(archive, wish, done);
}
