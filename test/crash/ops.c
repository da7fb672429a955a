/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../layouts.h"
#include "../random.h"
#include "drive/manifest_of.h"
#include "format/format.h"
#include "grow.h"
#include "scratch.h"
#include "store/dir.h"

/* --- what there should be --------------------------------------------------- */

void ops_set_version(struct work_sector *sector, unsigned op)
{
    if (sector->n > 0 && sector->versions[sector->n - 1].op == op)
        sector->n--; /* the same operation comes by again */
    else
        sector->versions = grow(sector->versions, sector->n, sizeof(*sector->versions));
    sector->versions[sector->n].op = op;
    memcpy(sector->versions[sector->n++].bytes, sector->now, WORK_SECTOR);
}

/* The running operation puts bytes (NULL: zeros) at off of the image. */
static void expect(struct work *w, uint64_t off, uint64_t len, const unsigned char *bytes)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        uint64_t start = (uint64_t)work_tile(slot) * WORK_TILE;

        for (unsigned i = 0; i < work_nsectors(w, slot); i++) {
            uint64_t at = start + (uint64_t)i * WORK_SECTOR;
            uint64_t from = off > at ? off : at;
            uint64_t to = off + len < at + WORK_SECTOR ? off + len : at + WORK_SECTOR;
            struct work_sector *sector = &w->sectors[work_first(slot) + i];

            if (from >= to)
                continue;
            if (bytes)
                memcpy(sector->now + (from - at), bytes + (from - off), to - from);
            else
                memset(sector->now + (from - at), 0, to - from);
            ops_set_version(sector, w->nops - 1);
        }
    }
}

/* --- operations ------------------------------------------------------------- */

struct work_op *ops_begin(struct work *w, enum work_kind kind, uint64_t off, uint64_t len)
{
    w->ops = grow(w->ops, w->nops, sizeof(*w->ops));
    w->ops[w->nops] =
        (struct work_op){.kind = kind, .off = off, .len = len, .begin = w->trace.nevents};
    trace_begin(&w->trace, w->nops);
    return &w->ops[w->nops++];
}

void ops_end_one(struct work *w, unsigned op, int rc)
{
    work_must(rc == 0, w, strerror(-rc));
    w->ops[op].end = w->trace.nevents;
    w->ops[op].ended = true;
    trace_end(&w->trace, op);
}

void ops_end(struct work *w, int rc)
{
    ops_end_one(w, w->nops - 1, rc);
}

void work_index(const struct work *w, struct index *index)
{
    struct geometry geo;

    work_must(geometry_init(&geo, w->size, WORK_TILE) == 0, w, "no geometry");
    work_must(layouts_index(w->layout, &geo, index) == 0, w, "no uuid");
}

void ops_create(struct work *w)
{
    struct index index;

    ops_begin(w, WORK_CREATE, 0, 0);
    work_index(w, &index);
    ops_end(w, archive_create(w->path, &index));
}

void ops_use_on_mac(struct work *w)
{
    char path[PATH_MAX + 2 * LAYOUT_PATH], band[LAYOUT_PATH];
    int fd, dirfd;

    ops_begin(w, WORK_MAC, 0, 0);
    snprintf(path, sizeof(path), "%s/%s", w->path, w->layout->maps);
    work_must(mkdir(path, 0755) == 0, w, path);
    dirfd = open(path, O_RDONLY | O_DIRECTORY);
    work_must(dirfd >= 0, w, path);
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        w->layout->tile_path(work_tile(slot), band);
        fd = openat(dirfd, strchr(band, '/') + 1, O_WRONLY | O_CREAT | O_EXCL, 0644);
        work_must(fd >= 0 && pwrite(fd, "map", 3, 0) == 3, w, band);
        close(fd);
    }
    work_must(syncfs(dirfd) == 0, w, path);
    close(dirfd);
    ops_end(w, 0);
}

/* The file that new pictures show, until the archive remembers it. */
static void give_cover(const struct layout *layout, const char *path, struct covers_source *covers)
{
    char remembered[PATH_MAX + 32];

    *covers = (struct covers_source){.max = FORMAT_COVER_MAX};
    snprintf(remembered, sizeof(remembered), "%s/" FORMAT_COVER_NAME, path);
    if (layout->head != LAYOUT_PICTURE || access(remembered, F_OK) == 0)
        return;
    work_must(layouts_cover(scratch_cover()) == 0, NULL, scratch_cover());
    strcpy(covers->path, scratch_cover());
}

int work_open_drive(const struct work *w, const char *path, enum drive_reach reach,
                    struct drive *drive)
{
    struct covers_source covers;
    struct drive_config config = {
        .path = path,
        .mountpoint = reach == DRIVE_IMAGE ? "/nowhere" : "",
        .reach = reach,
        .max_open = WORK_MAX_OPEN,
        .covers = &covers,
    };

    give_cover(w->layout, path, &covers);
    return drive_open(drive, &config);
}

void ops_open(struct work *w)
{
    ops_begin(w, WORK_OPEN, 0, 0);
    ops_end(w, work_open_drive(w, w->path, DRIVE_IMAGE, &w->drive));
    w->is_open = true;
}

void ops_close(struct work *w)
{
    ops_begin(w, WORK_CLOSE, 0, 0);
    w->is_open = false;
    ops_end(w, drive_close(&w->drive));
}

void ops_write(struct work *w, uint64_t off, uint64_t len)
{
    unsigned char *bytes = calloc(1, len);
    uint64_t fill = len, r = random_below(&w->random, 8);

    work_must(bytes != NULL, w, "no memory");
    if (r == 0)
        fill = 0; /* nothing but zeros */
    else if (r < 3)
        fill = random_below(&w->random, len + 1); /* zeros at the end, which need no room */
    for (uint64_t i = 0; i < fill; i++)
        bytes[i] = (unsigned char)(1 + random_next(&w->random) % 255);
    ops_begin(w, WORK_WRITE, off, len);
    expect(w, off, len, bytes);
    ops_end(w, image_write(w->drive.img, off, bytes, len));
    free(bytes);
}

static unsigned journal(const struct work *w)
{
    unsigned inode = TRACE_BASE;

    inode = trace_target(&w->trace, inode, "drive.img");
    inode = trace_target(&w->trace, inode, FORMAT_PRIVATE_DIR);
    return trace_target(&w->trace, inode, "journal");
}

void ops_write_unnoted(struct work *w, uint64_t off, uint64_t len)
{
    unsigned char bytes[WORK_TILE];
    int rc;

    memset(bytes, 'u', len);
    ops_begin(w, WORK_WRITE, off, len);
    expect(w, off, len, bytes);
    w->trace.failing = journal(w);
    rc = image_write(w->drive.img, off, bytes, len);
    work_must(rc == -EIO && !w->trace.failing, w, "a note that is not synced is no error");
    ops_look(w, false);
    ops_end(w, 0);
}

void ops_zero(struct work *w, uint64_t off, uint64_t len)
{
    ops_begin(w, WORK_ZERO, off, len);
    expect(w, off, len, NULL);
    /* Which of the two the place decides: a workload has both. */
    ops_end(w, off / WORK_SECTOR % 2 ? image_zero_keep(w->drive.img, off, len)
                                     : image_zero(w->drive.img, off, len));
}

void ops_remember(const struct work *w, uint64_t *hashes)
{
    for (unsigned i = 0; i < WORK_SLOTS * WORK_SECTORS; i++)
        hashes[i] = work_hash(w->sectors[i].now);
}

uint64_t *ops_hashes(const struct work *w)
{
    uint64_t *hashes = calloc(WORK_SLOTS * WORK_SECTORS, sizeof(*hashes));

    work_must(hashes != NULL, w, "no memory");
    ops_remember(w, hashes);
    return hashes;
}

static struct work_op *begin_mark(struct work *w)
{
    struct work_op *op = ops_begin(w, WORK_MARK, 0, 0);

    op->marked = ops_hashes(w);
    return op;
}

void ops_mark(struct work *w)
{
    char *epoch = begin_mark(w)->epoch;

    ops_end(w, image_mark(w->drive.img, epoch));
}

static int mark_closed(struct work *w, char epoch[STORE_EPOCH])
{
    int rc = work_open_drive(w, w->path, DRIVE_STORE, &w->drive);

    if (rc)
        return rc;
    rc = store_mark(w->drive.store);
    if (!rc)
        rc = store_tell(w->drive.store, epoch);
    return drive_close(&w->drive) ? -EIO : rc;
}

void ops_mark_closed(struct work *w)
{
    char *epoch = begin_mark(w)->epoch;

    ops_end(w, mark_closed(w, epoch));
}

static int go_on(void *arg, uint64_t done, uint64_t total)
{
    return 0;
}

static int manifest(const struct work *w)
{
    struct manifest_made made;
    struct archive archive;
    int rc = archive_open(w->path, &archive);

    if (rc)
        return rc;
    rc = manifest_of_idle(&archive, go_on, NULL, &made);
    archive_close(&archive);
    return rc;
}

void ops_manifest(struct work *w)
{
    ops_begin(w, WORK_MANIFEST, 0, 0);
    ops_end(w, manifest(w));
}

/* The hash of a sector that cannot be read is that of none. */
static void hash_mounted(struct work *w, uint64_t *hashes)
{
    const struct dir_config config = {.read_only = true, .max_open = WORK_MAX_OPEN};
    struct archive archive;
    struct store *store;
    struct image *img;
    int rc = archive_open(w->path, &archive);

    if (!rc)
        rc = dir_open(&archive, &config, &store);
    if (!rc)
        rc = image_open(store, true, &img);
    work_must(rc == 0, w, "cannot be read");
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        for (unsigned i = 0; i < work_nsectors(w, slot); i++) {
            uint64_t off = (uint64_t)work_tile(slot) * WORK_TILE + (uint64_t)i * WORK_SECTOR;
            unsigned char bytes[WORK_SECTOR];
            uint64_t *hash = &hashes[work_first(slot) + i];

            *hash = image_read(img, off, bytes, WORK_SECTOR) ? ~*hash : work_hash(bytes);
        }
    work_must(image_close(img) == 0, w, "cannot be closed");
    archive_close(&archive);
}

void ops_mark_shuffled(struct work *w)
{
    struct work_op *op = begin_mark(w);

    hash_mounted(w, op->marked);
    ops_end(w, mark_closed(w, op->epoch));
}

void ops_look(struct work *w, bool afresh)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        for (unsigned i = 0; i < work_nsectors(w, slot); i++) {
            struct work_sector *sector = &w->sectors[work_first(slot) + i];
            uint64_t off = (uint64_t)work_tile(slot) * WORK_TILE + (uint64_t)i * WORK_SECTOR;

            work_must(image_read(w->drive.img, off, sector->now, WORK_SECTOR) == 0, w,
                      "cannot be read");
            sector->n = afresh ? 0 : sector->n;
            ops_set_version(sector, afresh ? 0 : w->nops - 1);
        }
}

void ops_read(struct work *w, uint64_t off, uint64_t len)
{
    unsigned char *bytes = malloc(len);

    work_must(bytes != NULL, w, "no memory");
    ops_begin(w, WORK_READ, off, len);
    ops_end(w, image_read(w->drive.img, off, bytes, len));
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++)
        for (unsigned i = 0; i < work_nsectors(w, slot); i++) {
            uint64_t at = (uint64_t)work_tile(slot) * WORK_TILE + (uint64_t)i * WORK_SECTOR;

            if (at >= off && at + WORK_SECTOR <= off + len)
                work_must(
                    !memcmp(bytes + (at - off), w->sectors[work_first(slot) + i].now, WORK_SECTOR),
                    w, "reads wrong without any crash");
        }
    free(bytes);
}

void ops_allocate(struct work *w, uint64_t off, uint64_t len)
{
    ops_begin(w, WORK_ALLOCATE, off, len);
    ops_end(w, image_allocate(w->drive.img, off, len));
}

static int compact(struct image *img, uint32_t ntiles)
{
    struct image_compact step = {.tile = 0};
    int rc = 0;

    while (!rc && step.tile < ntiles) {
        rc = image_compact(img, &step);
        rc = rc ? rc : step.error;
    }
    return rc;
}

void ops_compact(struct work *w)
{
    ops_begin(w, WORK_COMPACT, 0, 0);
    ops_end(w, compact(w->drive.img, w->geo.ntiles));
}

void ops_lengthen(struct work *w, uint32_t tile)
{
    uint64_t end = work_head(w) + geometry_tile_len(&w->geo, tile);
    char tile_path[LAYOUT_PATH], path[PATH_MAX + 2 * LAYOUT_PATH];
    unsigned char stale[WORK_SECTOR];
    int fd;

    w->layout->tile_path(tile, tile_path);
    snprintf(path, sizeof(path), "%s/%s", w->path, tile_path);
    fd = open(path, O_WRONLY);
    if (fd < 0)
        return;
    memset(stale, 's', sizeof(stale));
    ops_begin(w, WORK_LENGTHEN, 0, 0);
    work_must(ftruncate(fd, (off_t)end) == 0, w, path);
    work_must(pwrite(fd, stale, sizeof(stale), (off_t)end) == (ssize_t)sizeof(stale), w, path);
    work_must(syncfs(fd) == 0, w, path);
    close(fd);
    ops_end(w, 0);
}

void ops_resize(struct work *w, uint64_t size)
{
    ops_begin(w, WORK_RESIZE, size, 0);
    ops_end(w, image_resize(w->drive.img, size));
    w->geo = *image_geometry(w->drive.img);
}

bool ops_resized(const struct work *w, unsigned op, size_t q)
{
    struct archive archive;
    bool resized = false;

    if (w->ops[op].kind != WORK_RESIZE || !work_begun(w, op, q))
        return false;
    if (archive_open(w->path, &archive) == 0) {
        resized = archive.index.geometry.size == w->ops[op].off;
        archive_close(&archive);
    }
    return resized;
}

void ops_flush(struct work *w)
{
    ops_begin(w, WORK_FLUSH, 0, 0);
    ops_end(w, image_flush(w->drive.img));
}
