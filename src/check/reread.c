/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The cache of the kernel is asked to forget a tile before it is read, for the
 * question is what the disk gives back. Holes are not on the disk and are left
 * out, where the file system may be believed; elsewhere what it calls a hole may
 * be bytes. Where a read fails, the rest of its block is tried in small steps, so
 * that it can be said how much is lost.
 */
#include "check/reread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive/tile_head.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "check/inspect.h"
#include "format/format.h"

#define BLOCK (UINT64_C(1) << 20)
#define STEP 4096 /* what a disk loses at a time */

struct reread {
    struct scan *scan;
    unsigned char *block;
    uint64_t done; /* bytes, of all tiles */
    void (*tell)(uint64_t done, void *arg);
    void *arg;
};

/* A read failed at off: what of [off, end) cannot be read is counted in f. */
static void count_lost(struct reread *re, int fd, uint64_t off, uint64_t end,
                       struct scan_finding *f)
{
    for (; off < end; off += STEP - off % STEP) {
        uint64_t step = STEP - off % STEP;
        size_t len = (size_t)(step < end - off ? step : end - off), got;
        int rc = io_pread(fd, re->block, len, off, &got);

        if (!rc)
            continue;
        if (f->kind == SCAN_FINE) {
            f->kind = SCAN_TILE_BYTES;
            f->err = -rc;
            f->want = off;
        }
        f->size += len;
    }
}

static void read_range(struct reread *re, int fd, uint64_t off, uint64_t end,
                       struct scan_finding *f)
{
    while (off < end) {
        size_t len = (size_t)(end - off < BLOCK ? end - off : BLOCK), got;

        if (io_pread(fd, re->block, len, off, &got))
            count_lost(re, fd, off + got, off + len, f);
        else if (got < len)
            return; /* it has been cut meanwhile */
        off += len;
        re->done += len;
        if (re->tell)
            re->tell(re->done, re->arg);
    }
}

/* Where the file system does not tell holes, or may be wrong about them, all is data. */
static void read_file(struct reread *re, int fd, struct scan_finding *f)
{
    off_t size = lseek(fd, 0, SEEK_END), data = 0;

    if (!fs_known(fd)) {
        read_range(re, fd, 0, (uint64_t)size, f);
        data = size;
    }
    while (data < size) {
        off_t start = lseek(fd, data, SEEK_DATA), hole;

        if (start < 0 && errno == ENXIO)
            break;
        start = start < 0 ? data : start;
        hole = lseek(fd, start, SEEK_HOLE);
        data = hole > start ? hole : size;
        read_range(re, fd, (uint64_t)start, (uint64_t)data, f);
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Of the picture before the tile, where it carries a digest. */
static int verify_head(struct reread *re, int fd, struct scan_finding *f)
{
    struct jpeg_tag tag;
    int rc;

    if (re->scan->layout->head != LAYOUT_PICTURE || tile_head_read_tag(fd, &tag))
        return 0;
    rc = tile_head_verify(fd, &tag);
    if (rc == -EBADMSG)
        f->kind = SCAN_PICTURE_CHANGED;
    return rc == -ENOMEM ? rc : 0; /* what cannot be read is found by who reads all of it */
}

static int add(struct reread *re, const struct scan_finding *f, uint32_t tile, const char *path)
{
    if (f->kind == SCAN_FINE)
        return 0;
    scan_spoiled(re->scan, tile);
    return scan_add(re->scan, f, ".", path);
}

static int read_tile(struct reread *re, uint32_t tile)
{
    const struct layout *layout = re->scan->layout;
    struct scan_finding f = {.where = NAMES_FOLDER, .folder = tile / layout->tiles_per_folder};
    struct scan_finding head = f;
    char path[LAYOUT_PATH];
    int rc, fd;

    layout->tile_path(tile, path);
    if (io_open_file(re->scan->archive->dirfd, path, O_RDONLY, &fd))
        return 0; /* it has been opened before: it must have gone */
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    rc = verify_head(re, fd, &head);
    if (!rc)
        read_file(re, fd, &f);
    close(fd);
    if (!rc)
        rc = add(re, &head, tile, path);
    return rc ? rc : add(re, &f, tile, path);
}

int reread_tiles(struct scan *scan, void (*tell)(uint64_t done, void *arg), void *arg)
{
    struct reread re = {.scan = scan, .block = malloc(BLOCK), .tell = tell, .arg = arg};
    int rc = re.block ? 0 : -ENOMEM;

    for (uint32_t tile = 0; !rc && tile < inspect_ntiles(scan); tile++)
        if (scan->present[tile / 8] >> tile % 8 & 1)
            rc = read_tile(&re, tile);
    free(re.block);
    if (rc)
        log_error("cannot read all tiles of archive '%s': %s", scan->archive->path, strerror(-rc));
    return rc;
}
