/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two things can be wrong with the page cache that such a writer has left:
 *
 * It may hold what is not on disk yet. Nobody else would sync it: the flushes of
 * a new writer cover only what that one writes, not the new tiles that it finds.
 *
 * It may hold what never came to disk. After an error of writing back, the
 * kernel tells the next fsync so, once, and takes the pages for clean. Whoever
 * read them later would see bytes that are gone when the page is.
 * So clean pages are dropped. Both happens to one archive after one mount that
 * went wrong; the price, every tile opened and read anew, is paid only then.
 */
#include "owner/leftovers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "archive/folders.h"
#include "base/io.h"
#include "base/log.h"

static int drop_pages(void *arg, uint32_t tile, int folder)
{
    const struct archive *archive = arg;
    char path[LAYOUT_PATH];
    int fd;

    archive->index.layout->tile_path(tile, path);
    if (io_open_file(folder, strrchr(path, '/') + 1, O_RDONLY, &fd))
        return 0; /* whoever needs the tile is told why */
    (void)!posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    return 0;
}

static int drop_all_pages(const struct archive *archive)
{
    struct folders folders = {0};
    int rc = folders_init(&folders, archive->dirfd, archive->index.layout,
                          archive->index.geometry.ntiles);

    if (!rc)
        rc = folders_each(&folders, 0, folders.ntiles, drop_pages, (void *)archive);
    folders_release(&folders);
    return rc;
}

int leftovers_adopt(const struct archive *archive, bool read_only)
{
    int rc = read_only || syncfs(archive->dirfd) == 0 ? 0 : -errno;

    if (!rc && archive->index.layout)
        rc = drop_all_pages(archive);
    if (rc)
        log_error("cannot write the data of the last mount of '%s' to disk: %s", archive->path,
                  strerror(-rc));
    return rc;
}
