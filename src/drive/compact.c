/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The loop over all steps, and the sums. It keeps nothing between two steps but where to go on: who
 * is interrupted has done all of the steps before, and who runs again begins with the first tile
 * and finds those done.
 *
 * Of an archive that nobody uses, what the steps have read is dropped from the page cache.
 */
#include "drive/compact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/folders.h"
#include "base/io.h"
#include "base/log.h"
#include "drive/compact_held.h"
#include "drive/drive.h"

struct compacting {
    const struct archive *archive;
    const struct compact_writer *writer;
    struct compact *compact;
    compact_progress *progress;
    void *arg;
    uint64_t done, total; /* bytes stored in tiles */
};

/* The sums of the tile that is at work. */
struct tile {
    uint32_t number;
    uint64_t data, won[2], held, freed; /* won: in holes, in its tail */
    bool stays, removed, failed;
};

static int complain(const struct archive *archive, int rc)
{
    log_error("cannot compact '%s': %s", archive->path, strerror(-rc));
    return rc;
}

/* --- how much there is ------------------------------------------------------------------------ */

struct counting {
    const struct layout *layout;
    uint64_t total;
};

static int count_tile(void *arg, uint32_t tile, int folder)
{
    struct counting *counting = arg;
    char path[LAYOUT_PATH];
    struct stat st;

    counting->layout->tile_path(tile, path);
    if (fstatat(folder, strrchr(path, '/') + 1, &st, AT_SYMLINK_NOFOLLOW) == 0)
        counting->total += (uint64_t)st.st_blocks * 512;
    return 0;
}

/* For the progress alone. 0 or -errno. */
static int count(const struct archive *archive, uint64_t *total)
{
    const struct index *index = &archive->index;
    struct counting counting = {.layout = index->layout};
    struct folders folders;
    int rc = folders_init(&folders, archive->dirfd, index->layout, index->geometry.ntiles);

    if (!rc) /* what cannot be listed is told by the steps */
        (void)!folders_each(&folders, 0, folders.ntiles, count_tile, &counting);
    folders_release(&folders);
    *total = counting.total;
    return rc;
}

/* --- the sums --------------------------------------------------------------------------------- */

static void complain_tile(const struct compacting *work, uint32_t tile, int rc)
{
    char path[LAYOUT_PATH];

    if (tile == IMAGE_NO_TILE) {
        log_error("cannot compact all of '%s': not all of its tiles can be found: %s",
                  work->archive->path, strerror(-rc));
        return;
    }
    work->archive->index.layout->tile_path(tile, path);
    log_error("cannot compact tile '%s': %s", path, strerror(-rc));
}

static void add(struct compacting *work, struct tile *tile, const struct image_compact *step)
{
    struct compact *compact = work->compact;

    if (step->error) {
        if (!work->writer->tells || io_is_full(step->error))
            complain_tile(work, step->met, step->error);
        compact->failed++;
        tile->failed = true;
    }
    if (step->met == IMAGE_NO_TILE)
        return;
    tile->number = step->met;
    tile->data += step->data;
    tile->won[0] += step->holes;
    tile->won[1] += step->tails;
    tile->held += step->held;
    tile->freed += step->freed;
    tile->stays = step->stays;
    tile->removed = tile->removed || step->removed;
    compact->stored += step->stored;
    compact->small += step->small;
    compact->fixed += step->fixed;
    compact->block = step->block ? step->block : compact->block;
    work->done += step->stored;
}

static int end_tile(struct compacting *work, struct tile *tile)
{
    struct compact *compact = work->compact;
    uint64_t won = tile->won[0] + tile->won[1];
    int rc = 0;

    if (compact->dry)
        tile->removed = !tile->data && !tile->stays && !tile->failed && !tile->held;
    compact->tiles++;
    compact->changed += won || tile->removed;
    compact->removed += tile->removed;
    compact->data += tile->data;
    compact->freed += tile->freed;
    if (tile->removed) {
        compact->emptied += won;
    } else {
        compact->holes += tile->won[0];
        compact->tails += tile->won[1];
    }
    if (tile->held) {
        compact->held++;
        compact->held_bytes += tile->held;
        rc = compact_held_by(work->archive, tile->number, tile->held, compact);
    }
    *tile = (struct tile){.number = IMAGE_NO_TILE};
    return rc;
}

/* --- the loop --------------------------------------------------------------------------------- */

static int do_steps(struct compacting *work)
{
    struct image_compact step = {.dry = work->compact->dry};
    struct tile tile = {.number = IMAGE_NO_TILE};
    uint32_t ntiles = work->archive->index.geometry.ntiles;
    int rc = 0;

    while (!rc && step.tile < ntiles && !work->compact->stopped) {
        rc = work->writer->step(work->writer->arg, &step);
        if (rc)
            break;
        add(work, &tile, &step);
        if (!step.left && tile.number != IMAGE_NO_TILE)
            rc = end_tile(work, &tile);
        work->compact->stopped =
            !work->progress(work->arg, work->done,
                            work->total > work->done ? work->total : work->done) &&
            step.tile < ntiles;
    }
    if (tile.number != IMAGE_NO_TILE) { /* stopped in the middle of it */
        tile.failed = true;
        rc = rc ? rc : end_tile(work, &tile);
    }
    return rc;
}

static int look_at_contents(struct compacting *work)
{
    uint64_t size = work->archive->index.geometry.size;
    size_t len = size < CONTENTS_BYTES ? (size_t)size : CONTENTS_BYTES;
    unsigned char *bytes = malloc(CONTENTS_BYTES);
    const struct contents *found;
    int rc = bytes ? 0 : complain(work->archive, -ENOMEM);

    /* If it cannot be read, that is told by the step that comes to it. */
    if (!rc && work->writer->read(work->writer->arg, 0, bytes, len) == 0 &&
        (found = contents_find(bytes, len))) {
        work->compact->known = true;
        work->compact->encrypted = found->encrypted;
        strcpy(work->compact->contents, found->name);
    }
    free(bytes);
    return rc;
}

static int run(struct compacting *work)
{
    int rc = count(work->archive, &work->total);

    if (rc)
        return complain(work->archive, rc);
    rc = compact_held_names(work->archive, work->compact);
    if (!rc)
        rc = look_at_contents(work);
    return rc ? rc : do_steps(work);
}

/* --- an archive that nobody has in use -------------------------------------------------------- */

/* What was read of the tile need not stay in memory. */
static void forget_pages(const struct archive *archive, uint32_t tile)
{
    char path[LAYOUT_PATH];
    int fd;

    archive->index.layout->tile_path(tile, path);
    if (io_open(archive->dirfd, path, O_RDONLY, 0, &fd))
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

struct alone {
    struct drive drive;
    uint32_t tile; /* of the step before */
};

/* Of the tile before it, what the kernel was still reading ahead then. */
static void forget(struct alone *alone, uint32_t tile)
{
    if (alone->tile != IMAGE_NO_TILE && alone->tile != tile)
        forget_pages(&alone->drive.archive, alone->tile);
    if (tile != IMAGE_NO_TILE)
        forget_pages(&alone->drive.archive, tile);
    alone->tile = tile;
}

static int step_alone(void *arg, struct image_compact *step)
{
    struct alone *alone = arg;
    int rc = image_compact(alone->drive.img, step);

    if (rc)
        return complain(&alone->drive.archive, rc);
    forget(alone, step->removed ? IMAGE_NO_TILE : step->met);
    return 0;
}

static int read_alone(void *arg, uint64_t off, void *buf, size_t len)
{
    const struct alone *alone = arg;

    return image_read(alone->drive.img, off, buf, len);
}

static int run_alone(struct compacting *work)
{
    struct alone alone = {.tile = IMAGE_NO_TILE};
    struct drive_config config = {
        .path = work->archive->path,
        .mountpoint = "",
        .reach = DRIVE_IMAGE,
        .read_only = work->compact->dry,
        .max_open = DIR_OPEN_MIN,
    };
    struct compact_writer writer = {step_alone, read_alone, &alone, true};
    int rc = drive_open(&alone.drive, &config);
    int closed;

    if (rc)
        return rc;
    work->archive = &alone.drive.archive;
    work->writer = &writer;
    rc = run(work);
    forget(&alone, IMAGE_NO_TILE);
    closed = drive_close(&alone.drive);
    return rc ? rc : closed;
}

int compact_snapshots(const struct archive *archive, unsigned *n)
{
    return compact_held_count(archive, n);
}

uint64_t compact_freed(const struct compact *compact)
{
    uint64_t freed = compact->freed;

    if (compact->dry)
        freed = compact->holes + compact->tails + compact->emptied;
    return freed < compact->stored ? freed : compact->stored; /* both change meanwhile */
}

size_t compact_size(unsigned nsnapshots)
{
    return sizeof(struct compact) + nsnapshots * sizeof(struct compact_snapshot);
}

int compact_run(const struct archive *archive, const struct compact_writer *writer,
                compact_progress *progress, void *arg, struct compact *compact)
{
    struct compacting work = {archive, writer, compact, progress, arg, 0, 0};

    if (snapshots_is_one(archive)) {
        log_error("cannot compact '%s': it is a snapshot", archive->path);
        log_note("compact the archive itself; a snapshot gives its space back when it is deleted");
        return -EROFS;
    }
    return writer ? run(&work) : run_alone(&work);
}
