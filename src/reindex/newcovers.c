/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each tile is made anew as TILE.tmp, synced, and renamed over the old one; all
 * are noted in the journal before. A picture that is not as it was made stays: it
 * is all that tells of damage.
 */
#include "reindex/newcovers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/folders.h"
#include "archive/tile_head.h"
#include "archive/tilefile.h"
#include "base/io.h"
#include "base/log.h"
#include "cover/covers.h"
#include "format/layout.h"
#include "journal/changes_bulk.h"

/* A tile in the open file fd, which gets a new head. */
struct covering {
    int folder;
    const char *name;
    int fd;
    uint64_t payload;
    const struct stat *st;
};

static int replace_head(void *arg, const void *head, size_t len)
{
    const struct covering *c = arg;

    return tilefile_replace(c->folder, c->name, head, len, c->fd, c->payload, c->st, false);
}

static int cover_file(const struct archive *archive, struct covers *covers, uint32_t tile,
                      int folder, const char *name, int fd, const char **why)
{
    struct jpeg_tag tag;
    struct stat st;
    struct covering covering = {folder, name, fd, .st = &st};
    int rc;

    if (fstat(fd, &st))
        return -errno;
    rc = tile_head_look_tag(archive, tile, fd, (uint64_t)st.st_size, &tag, why);
    if (!rc)
        rc = tile_head_verify(fd, &tag);
    if (rc == -EBADMSG && !*why)
        *why = "its picture is not the one that was made, which is not to be covered up";
    if (rc)
        return rc;
    covering.payload = tag.payload;
    return covers_make(covers, tile, replace_head, &covering);
}

struct giving {
    const struct archive *archive;
    struct covers *covers;
    void (*tell)(size_t done, void *arg);
    void *arg;
    size_t *done;
    int first; /* error of a tile */
};

static int cover_tile(void *arg, uint32_t tile, int folder)
{
    struct giving *giving = arg;
    char path[LAYOUT_PATH];
    const char *name, *why = NULL;
    int rc, fd = -1;

    giving->archive->index.layout->tile_path(tile, path);
    name = strrchr(path, '/') + 1;
    rc = io_open_file(folder, name, O_RDONLY, &fd);
    if (!rc)
        rc = cover_file(giving->archive, giving->covers, tile, folder, name, fd, &why);
    if (fd >= 0)
        close(fd);
    if (rc)
        log_error("cannot give tile '%s' a new picture: %s", path, why ? why : strerror(-rc));
    else
        giving->tell(++*giving->done, giving->arg);
    giving->first = giving->first ? giving->first : rc;
    return 0;
}

static int note_tile(void *arg, uint32_t tile, int folder)
{
    return changes_bulk_add(arg, tile);
}

static int note_present(const struct folders *folders, const struct archive *archive)
{
    struct changes_bulk *notes;
    int rc = changes_bulk_open(archive, &notes);

    if (!rc)
        rc = folders_each(folders, 0, folders->ntiles, note_tile, notes);
    return changes_bulk_close(notes, rc);
}

int newcovers_give(const struct archive *archive, struct covers *covers,
                   void (*tell)(size_t done, void *arg), void *arg, size_t *done)
{
    struct giving giving = {archive, covers, tell, arg, done, 0};
    struct folders folders = {0};
    int rc = folders_init(&folders, archive->dirfd, archive->index.layout,
                          archive->index.geometry.ntiles);
    int synced;

    *done = 0;
    if (!rc)
        rc = note_present(&folders, archive);
    if (rc) {
        folders_release(&folders);
        return rc;
    }
    rc = folders_each(&folders, 0, folders.ntiles, cover_tile, &giving);
    folders_release(&folders);
    synced = archive_sync_all(archive);
    rc = giving.first ? giving.first : rc;
    return rc ? rc : synced;
}
