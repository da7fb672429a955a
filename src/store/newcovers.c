/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each tile is made anew as TILE.tmp, synced, and renamed over the old one; all
 * are noted in the journal before. A picture that is not as it was made stays: it
 * is all that tells of damage.
 */
#include "store/newcovers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "format/layout.h"
#include "store/covers.h"
#include "store/folders.h"
#include "store/head.h"
#include "store/notes.h"
#include "store/tilefile.h"

/* Tile in the open file gets a new head. */
static int cover_file(const struct archive *archive, uint32_t tile, int folder, const char *name,
                      int fd, const char **why)
{
    struct jpeg_tag tag;
    struct stat st;
    const void *head;
    size_t head_len;
    int rc;

    if (fstat(fd, &st))
        return -errno;
    rc = head_look_tag(archive, tile, fd, (uint64_t)st.st_size, &tag, why);
    if (!rc)
        rc = head_verify(fd, &tag);
    if (rc == -EBADMSG && !*why)
        *why = "its picture is not the one that was made, which is not to be covered up";
    if (rc)
        return rc;
    rc = covers_make(archive->covers, tile, &head, &head_len);
    if (!rc)
        rc = tilefile_replace(folder, name, head, head_len, fd, tag.payload, &st, false);
    covers_release(archive->covers);
    return rc;
}

/* Sets *first to the first error. */
static bool cover_tile(const struct folders *folders, const struct archive *archive, uint32_t tile,
                       int *first)
{
    char path[LAYOUT_PATH];
    const char *name, *why = NULL;
    int folder, fd = -1;
    int rc = folders_open(folders, tile, path, &name, &folder);

    if (!rc) {
        rc = io_open_file(folder, name, O_RDONLY, &fd);
        if (!rc)
            rc = cover_file(archive, tile, folder, name, fd, &why);
        if (fd >= 0)
            close(fd);
        close(folder);
    }
    if (rc)
        log_error("cannot give tile '%s/%s' a new picture: %s", path, name,
                  why ? why : strerror(-rc));
    *first = *first ? *first : rc;
    return rc == 0;
}

static int note_present(const struct folders *folders, const struct archive *archive)
{
    struct notes *notes;
    int rc = notes_open(archive, &notes);

    for (uint32_t tile = 0; !rc && tile < folders->ntiles; tile++) {
        rc = folders_next(folders, tile, &tile);
        if (!rc)
            rc = notes_add(notes, tile);
    }
    return notes_close(notes, rc == -ENOENT ? 0 : rc);
}

int newcovers_give(const struct archive *archive, void (*tell)(size_t done, void *arg), void *arg,
                   size_t *done)
{
    struct folders folders = {0};
    int first = folders_init(&folders, archive->dirfd, archive->index.layout,
                             archive->index.geometry.ntiles);
    int rc;

    *done = 0;
    if (!first)
        first = note_present(&folders, archive);
    if (first) {
        folders_release(&folders);
        return first;
    }
    for (uint32_t tile = 0; tile < folders.ntiles; tile++) {
        rc = folders_next(&folders, tile, &tile);
        if (rc) {
            first = rc == -ENOENT ? first : rc;
            break;
        }
        if (cover_tile(&folders, archive, tile, &first))
            tell(++*done, arg);
    }
    folders_release(&folders);
    rc = archive_sync_all(archive);
    return first ? first : rc;
}
