/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order of create: the directory, then the whole index in one atomic step, then
 * the parent directory's entry. A crash before the index leaves an empty
 * directory (or one that holds only the index's temporary file), which is no
 * archive and which create takes again.
 */
#include "store/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "format/format.h"

#define LEFTOVER FORMAT_INDEX_NAME ".tmp" /* what io_replace() leaves at a crash */

/* 0 when nothing but our own leftover is in the directory. */
static int check_empty(int dirfd, const char *path)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    int rc = 0;

    if (!dir) {
        rc = -errno;
        log_error("cannot list '%s': %s", path, strerror(-rc));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    while (!rc && (errno = 0, entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") &&
            strcmp(entry->d_name, LEFTOVER))
            rc = -ENOTEMPTY;
    if (!rc && errno) {
        rc = -errno;
        log_error("cannot list '%s': %s", path, strerror(-rc));
    } else if (rc && faccessat(dirfd, FORMAT_INDEX_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        rc = -EEXIST;
        log_error("'%s' is an archive already; it was left as it is", path);
    } else if (rc) {
        log_error("'%s' is not empty; an archive needs a new or an empty directory", path);
    }
    closedir(dir);
    return rc;
}

static int write_index(int dirfd, const char *path, const struct index *index)
{
    char text[FORMAT_INDEX_MAX];
    size_t len;
    int rc = index_print(index, text, sizeof(text), &len);

    if (!rc)
        rc = io_replace(dirfd, FORMAT_INDEX_NAME, text, len, IO_NEW);
    if (rc)
        log_error("cannot write '%s/%s': %s", path, FORMAT_INDEX_NAME, strerror(-rc));
    return rc;
}

/* The entry of path in its parent directory becomes durable. */
static int sync_parent(int dirfd, const char *path)
{
    int parent = openat(dirfd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = parent < 0 ? -errno : io_fsync(parent);

    if (parent >= 0)
        close(parent);
    if (rc)
        log_error("cannot make the new directory '%s' durable: %s", path, strerror(-rc));
    return rc;
}

/* Makes an archive of an empty directory, or leaves it empty. */
static int fill(int dirfd, const char *path, const struct index *index)
{
    int rc = check_empty(dirfd, path);

    if (rc)
        return rc;
    rc = write_index(dirfd, path, index);
    if (!rc)
        rc = sync_parent(dirfd, path);
    if (rc && rc != -EEXIST)
        unlinkat(dirfd, FORMAT_INDEX_NAME, 0);
    return rc;
}

int archive_create(const char *path, const struct index *index)
{
    bool made = mkdir(path, 0777) == 0;
    int rc = made ? 0 : -errno;
    int dirfd;

    if (rc && rc != -EEXIST) {
        log_error("cannot create '%s': %s", path, strerror(-rc));
        return rc;
    }
    dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) {
        rc = -errno;
        log_error("cannot create an archive in '%s': %s", path, strerror(-rc));
        return rc;
    }
    /* Keeps a second create out of the index's temporary file, where flock works. */
    if (io_flock(dirfd, LOCK_EX | LOCK_NB) == -EWOULDBLOCK) {
        rc = -EBUSY;
        log_error("'%s' is in use by another process", path);
    } else {
        rc = fill(dirfd, path, index);
    }
    if (rc && made)
        rmdir(path);
    close(dirfd);
    return rc;
}

/*
 * An archive whose tiles bear names that this layout cannot read would look
 * empty: every tile absent. The first tile of either kind decides; a mixture is
 * caught tile by tile, in dir.c.
 */
static int refuse_rivals(const struct archive *archive)
{
    const struct layout *layout = archive->index.layout;
    uint32_t nfolders = (archive->index.geometry.ntiles - 1) / layout->tiles_per_folder + 1;
    bool decided = !layout->rival_path;

    for (uint32_t folder = 0; !decided && folder < nfolders; folder++) {
        char path[LAYOUT_PATH], rival[LAYOUT_PATH];
        struct dirent *entry;
        DIR *dir;
        int fd;

        layout->folder_path(folder, path);
        if (io_open(archive->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &fd))
            continue; /* whoever needs the folder is told why */
        dir = fdopendir(fd);
        if (!dir) {
            int rc = -errno;

            log_error("cannot list tile folder '%s' of archive '%s': %s", path, archive->path,
                      strerror(-rc));
            close(fd);
            return rc;
        }
        while (!decided && (entry = readdir(dir))) {
            char stem[LAYOUT_PATH];
            size_t len = strcspn(entry->d_name, ".");
            uint32_t tile;

            if (len >= sizeof(stem))
                continue;
            memcpy(stem, entry->d_name, len);
            stem[len] = '\0';
            decided = layout->tile_number(folder, stem, &tile);
            if (!decided || !entry->d_name[len])
                continue;
            layout->rival_path(tile, rival);
            decided = strcmp(strrchr(rival, '/') + 1, entry->d_name) == 0;
            if (decided) {
                closedir(dir);
                log_error("cannot use archive '%s': its tiles are JPEG pictures ('%s'), which this "
                          "version cannot read",
                          archive->path, rival);
                return -ENOTSUP;
            }
        }
        closedir(dir);
    }
    return 0;
}

int archive_read_index(const struct archive *archive, const char *name, struct index *index,
                       const char **why)
{
    char text[FORMAT_INDEX_MAX];
    size_t len;
    int rc = io_read_file(archive->dirfd, name, text, sizeof(text), &len);

    *why = NULL;
    *index = (struct index){0};
    return rc ? rc : index_parse(text, len, index, why);
}

static int read_index(struct archive *archive)
{
    const char *why;
    int rc = archive_read_index(archive, FORMAT_INDEX_NAME, &archive->index, &why);

    if (rc == -ENOENT) {
        log_error("'%s' is not an archive: it has no file '%s'", archive->path, FORMAT_INDEX_NAME);
        return rc;
    }
    if (rc)
        log_error("cannot use '%s' of archive '%s': %s", FORMAT_INDEX_NAME, archive->path,
                  why ? why : io_why(rc));
    if (rc == -EBADMSG)
        log_note("put back a good copy of '%s', from a mirror or a backup; the tiles are untouched",
                 FORMAT_INDEX_NAME);
    if (rc == -ENOTSUP)
        log_note("a newer version of mosaicfs made this archive; use that one");
    return rc;
}

int archive_open_dir(const char *path, struct archive *archive)
{
    int rc = 0;

    archive->dirfd = -1;
    if (!realpath(path, archive->path))
        rc = -errno;
    if (!rc) {
        archive->dirfd = open(archive->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = archive->dirfd < 0 ? -errno : 0;
    }
    if (rc == -ENOTDIR)
        log_error("'%s' is not an archive: it is not a directory", path);
    else if (rc)
        log_error("cannot open archive '%s': %s", path, strerror(-rc));
    return rc;
}

int archive_open(const char *path, struct archive *archive)
{
    int rc = archive_open_dir(path, archive);

    if (!rc)
        rc = read_index(archive);
    if (!rc)
        rc = refuse_rivals(archive);
    if (rc)
        archive_close(archive);
    return rc;
}

int archive_private(const struct archive *archive, bool create, int *fd)
{
    int rc = io_open(archive->dirfd, FORMAT_PRIVATE_DIR, O_RDONLY | O_DIRECTORY, 0, fd);

    if (rc != -ENOENT || !create)
        return rc;
    if (mkdirat(archive->dirfd, FORMAT_PRIVATE_DIR, 0777) && errno != EEXIST)
        return -errno;
    return io_open(archive->dirfd, FORMAT_PRIVATE_DIR, O_RDONLY | O_DIRECTORY, 0, fd);
}

void archive_close(struct archive *archive)
{
    if (archive->dirfd >= 0)
        close(archive->dirfd);
    archive->dirfd = -1;
}
