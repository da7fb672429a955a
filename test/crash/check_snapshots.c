/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "check_snapshots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/snapshots.h"
#include "image/image.h"
#include "snap.h"
#include "store/dir.h"

static bool check_sectors(const struct check_place *p, struct image *img, const struct work_op *op)
{
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        unsigned char bytes[WORK_TILE];
        unsigned n = work_nsectors_of(image_geometry(img), slot);
        int rc =
            n ? image_read(img, (uint64_t)work_tile(slot) * WORK_TILE, bytes, n * WORK_SECTOR) : 0;

        if (rc)
            return check_broken(&p->why, "tile %" PRIu32 " of snapshot '%s' cannot be read: %s",
                                work_tile(slot), strrchr(p->path, '/') + 1, strerror(-rc));
        for (unsigned i = 0; i < n; i++)
            if (work_hash(bytes + (size_t)i * WORK_SECTOR) != op->marked[work_first(slot) + i])
                return check_broken(&p->why,
                                    "tile %" PRIu32 ", sector %u of snapshot '%s' is not as it was",
                                    work_tile(slot), i, strrchr(p->path, '/') + 1);
    }
    return true;
}

static bool check_image(const struct check_place *p, struct archive *archive,
                        const struct work_op *op)
{
    const struct dir_config config = {.read_only = true, .max_open = WORK_MAX_OPEN};
    struct store *store;
    struct image *img;
    bool ok;
    int rc = dir_open(archive, &config, &store);

    if (!rc)
        rc = image_open(store, true, &img);
    if (rc)
        return check_broken(&p->why, "the image of snapshot '%s' cannot be opened: %s",
                            strrchr(p->path, '/') + 1, strerror(-rc));
    ok = check_sectors(p, img, op);
    (void)!image_close(img);
    return ok;
}

static bool check_index(const struct check_place *p, const struct archive *archive, unsigned op)
{
    const struct geometry *geo = &archive->index.geometry;

    return (archive->index.layout == p->work->layout && geo->size == work_size_after(p->work, op) &&
            geo->tile_size == p->work->geo.tile_size &&
            (!archive->head || archive->head == work_head(p->work))) ||
           check_broken(&p->why, "snapshot '%s' is another archive", strrchr(p->path, '/') + 1);
}

static bool check_one(const struct check_place *p, unsigned op)
{
    struct archive archive;
    bool ok;
    int rc = archive_open(p->path, &archive);

    if (rc)
        return check_broken(&p->why, "snapshot '%s' cannot be opened: %s",
                            strrchr(p->path, '/') + 1, strerror(-rc));
    ok = check_index(p, &archive, op) &&
         (p->work->layout != &layout_bundle || check_files_bundle(p, true)) && check_files(p) &&
         check_image(p, &archive, &p->work->ops[op]);
    archive_close(&archive);
    return ok;
}

/* A name in the directory of all snapshots. */
static bool met(const struct check_place *p, int dirfd, const char *name)
{
    struct check_place snapshot = *p;
    char path[PATH_MAX + 64];
    unsigned op;

    if (strcmp(name, FORMAT_SNAPSHOT_NEW) == 0 || strcmp(name, FORMAT_SNAPSHOT_GONE) == 0)
        return true;
    if (!snap_parse(p->work, name, &op))
        return check_broken(&p->why, "a strange snapshot '%s'", name);
    snprintf(path, sizeof(path), "%s/" FORMAT_SNAPSHOTS "/%s", p->path, name);
    snapshot.path = path;
    snapshot.snapshot = true;
    return check_one(&snapshot, op);
}

static bool must_be_there(const struct work *w, unsigned op, size_t q)
{
    if (w->ops[op].kind != WORK_SNAPSHOT || !work_returned(w, op, q))
        return false;
    for (unsigned i = 0; i < w->nops; i++)
        if (w->ops[i].kind == WORK_UNSNAPSHOT && w->ops[i].off == op && work_begun(w, i, q))
            return false;
    return true;
}

bool check_snapshots(const struct check_place *p, size_t q)
{
    char path[PATH_MAX + 64];

    for (unsigned i = 0; i < p->work->nops; i++) {
        snprintf(path, sizeof(path), FORMAT_SNAPSHOTS "/s%u", i);
        if (must_be_there(p->work, i, q) && !check_files_has(p, path))
            return check_broken(&p->why, "snapshot 's%u' is gone", i);
    }
    snprintf(path, sizeof(path), "%s/" FORMAT_SNAPSHOTS, p->path);
    return check_each_name(p, path, met);
}
