/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The handle of an archive: its directory, its index, its private directory. How one
 * comes to be stands in archive_create.c.
 */
#include "archive/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/detect.h"
#include "archive/detect_bundle.h"
#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "format/bundle.h"
#include "format/format.h"

bool archive_has_index(int dirfd)
{
    const struct layout *layout;
    struct stat st;

    for (unsigned n = 0; (layout = layout_nth(n)) != NULL; n++)
        if (fstatat(dirfd, layout->index, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
            (layout->spare_index &&
             fstatat(dirfd, layout->spare_index, &st, AT_SYMLINK_NOFOLLOW) == 0))
            return true;
    return false;
}

static int complain_write(const struct archive *archive, const char *name, int rc)
{
    log_error("cannot write '%s/%s': %s", archive->path, name, strerror(-rc));
    return rc;
}

int archive_write_index(const struct archive *archive)
{
    const struct index *index = &archive->index;
    const struct layout *layout = index->layout;
    bool bundle = layout == &layout_bundle;
    char text[FORMAT_INDEX_MAX];
    size_t len;
    int rc = bundle ? bundle_print(index, text, sizeof(text), &len)
                    : index_print(index, text, sizeof(text), &len);

    if (bundle && rc == -ENOTSUP)
        log_error("cannot make a sparse bundle: this program was built without libplist");
    else if (rc)
        return complain_write(archive, layout->index, rc);
    if (!rc) {
        rc = io_replace(archive->dirfd, layout->index, text, len, IO_NEW);
        if (rc)
            return complain_write(archive, layout->index, rc);
    }
    if (!rc && layout->spare_index) {
        rc = io_replace(archive->dirfd, layout->spare_index, text, len, IO_NEW);
        if (rc)
            return complain_write(archive, layout->spare_index, rc);
    }
    return rc;
}

/* Info.plist alone is what many directories of a Mac have. */
static bool is_archive(int dirfd)
{
    struct stat st;

    return !fstatat(dirfd, FORMAT_INDEX_NAME, &st, AT_SYMLINK_NOFOLLOW) ||
           (archive_has_index(dirfd) &&
            !fstatat(dirfd, FORMAT_BUNDLE_BANDS, &st, AT_SYMLINK_NOFOLLOW));
}

bool archive_within(const char *path, char around[PATH_MAX])
{
    bool within = false;
    char *slash;

    snprintf(around, PATH_MAX, "%s", path);
    while (!within && (slash = strrchr(around, '/')) != NULL) {
        int fd;

        *slash = '\0';
        fd = open(around[0] ? around : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        within = fd >= 0 && is_archive(fd);
        if (fd >= 0)
            close(fd);
    }
    return within;
}

int archive_read_index(const struct archive *archive, const char *name, struct index *index,
                       const char **why)
{
    char text[FORMAT_INDEX_MAX];
    size_t len;
    int rc = io_read_file(archive->dirfd, name, text, sizeof(text), &len);

    *why = NULL;
    *index = (struct index){0};
    if (rc)
        return rc;
    return bundle_likely(text, len) ? bundle_parse(text, len, index, why)
                                    : index_parse(text, len, index, why);
}

int archive_read_named(const struct archive *archive, const char *name, struct index *index,
                       const char **why)
{
    int rc = archive_read_index(archive, name, index, why);
    bool ours = strcmp(name, FORMAT_INDEX_NAME) == 0;

    if (rc || ours == (index->format != FORMAT_FOREIGN))
        return rc;
    *index = (struct index){0};
    *why = "it is an index of another kind of archive";
    return -EBADMSG;
}

static int read_bundle(const struct archive *archive, struct index *index, const char **name,
                       const char **why)
{
    struct index spare;
    const char *spare_why;
    int spare_rc;
    int rc = archive_read_named(archive, FORMAT_BUNDLE_INDEX, index, why);

    *name = FORMAT_BUNDLE_INDEX;
    if (!rc || rc == -ENOTSUP || rc == -ENOMEM)
        return rc;
    spare_rc = archive_read_named(archive, FORMAT_BUNDLE_SPARE, &spare, &spare_why);
    if (spare_rc && (rc != -ENOENT || spare_rc == -ENOENT))
        return rc;
    if (!*why)
        *why = rc == -ENOENT ? "it is missing" : io_why(rc);
    *name = FORMAT_BUNDLE_SPARE;
    *index = spare;
    if (spare_rc)
        *why = spare_why;
    return spare_rc;
}

int archive_find_index(const struct archive *archive, struct index *index, const char **name,
                       const char **why)
{
    int rc = archive_read_named(archive, FORMAT_INDEX_NAME, index, why);

    *name = FORMAT_INDEX_NAME;
    if (rc != -ENOENT)
        return rc;
    rc = read_bundle(archive, index, name, why);
    if (rc == -ENOENT)
        *name = FORMAT_INDEX_NAME;
    return rc;
}

/* Not of one file that is damaged: of the disk, or of what serves the file system. */
static bool is_gone(int rc)
{
    return rc == -EIO || rc == -ENXIO || rc == -ENODEV || rc == -ESHUTDOWN || rc == -ENOTCONN ||
           rc == -ESTALE;
}

static void note_gone(void)
{
    log_note("the disk may have failed or been removed, or the server of the file system is gone; "
             "'dmesg' may tell. Nothing was changed");
}

static int complain_index(const struct archive *archive, const char *name, const char *why, int rc)
{
    bool foreign = strcmp(name, FORMAT_INDEX_NAME) != 0;

    if (rc == -ENOENT && detect_bundle_likely(archive))
        return detect_bundle_without(archive);
    if (rc == -ENOENT) {
        log_error("'%s' is not an archive: it has no file '%s'", archive->path, name);
        return rc;
    }
    log_error("cannot use '%s' of archive '%s': %s", name, archive->path, why ? why : io_why(rc));
    if (is_gone(rc))
        note_gone();
    if (rc == -EBADMSG && foreign)
        log_note("put back a good copy of '%s' or '%s', from a backup; the bands are untouched",
                 FORMAT_BUNDLE_INDEX, FORMAT_BUNDLE_SPARE);
    else if (rc == -EBADMSG)
        log_note("put back a good copy of '%s', from a mirror or a backup, or if its tiles are "
                 "pictures, let 'mosaicfs reindex' make it again; the tiles are untouched",
                 name);
    else if (rc == -ENOTSUP && !foreign)
        log_note("a newer version of mosaicfs made this archive; use that one");
    else if (rc == -ENOTSUP)
        log_note("'mosaicfs check' looks at its copy, too");
    return rc;
}

/* Two copies that do not tell the same are worth a word; a Mac takes the first, too. */
static void compare_spare(const struct archive *archive)
{
    const struct layout *layout = archive->index.layout;
    const struct geometry *geo = &archive->index.geometry;
    struct index spare;
    const char *why;

    if (!layout->spare_index || archive_read_index(archive, layout->spare_index, &spare, &why))
        return;
    if (spare.geometry.size != geo->size || spare.geometry.tile_size != geo->tile_size)
        log_warn("'%s' and its copy '%s' in '%s' tell different sizes; the first is used",
                 layout->index, layout->spare_index, archive->path);
}

static int read_index(struct archive *archive)
{
    const char *name, *why;
    int rc = archive_find_index(archive, &archive->index, &name, &why);

    if (rc)
        return complain_index(archive, name, why, rc);
    if (why)
        log_warn("cannot use '%s' of '%s': %s; its copy '%s' is used instead",
                 archive->index.layout->index, archive->path, why, name);
    else
        compare_spare(archive);
    return 0;
}

int archive_open_dir(const char *path, struct archive *archive)
{
    int rc = 0;

    *archive = (struct archive){.dirfd = -1};
    if (!realpath(path, archive->path))
        rc = -errno;
    if (!rc) {
        archive->dirfd = open(archive->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        rc = archive->dirfd < 0 ? -errno : inherit_from(archive->dirfd);
    }
    if (rc == -ENOTDIR)
        log_error("'%s' is not an archive: it is not a directory", path);
    else if (rc)
        log_error("cannot open archive '%s': %s", path, strerror(-rc));
    if (is_gone(rc))
        note_gone();
    return rc;
}

/* Places of tiles may be empty for the moment, and would be zeros. */
static int refuse_unfinished(const struct archive *archive)
{
    struct stat st;

    if (fstatat(archive->dirfd, FORMAT_REINDEX_NAME, &st, AT_SYMLINK_NOFOLLOW))
        return 0;
    log_error("cannot use archive '%s': 'mosaicfs reindex' is putting its tiles back in their "
              "places, or was interrupted",
              archive->path);
    log_note("unless it is still at work, run 'mosaicfs reindex' again, with the same files");
    return -EBUSY;
}

int archive_read(struct archive *archive)
{
    int rc = read_index(archive);

    if (!rc)
        rc = refuse_unfinished(archive);
    return rc ? rc : detect_archive(archive);
}

int archive_open(const char *path, struct archive *archive)
{
    int rc = archive_open_dir(path, archive);

    if (!rc)
        rc = archive_read(archive);
    if (rc)
        archive_close(archive);
    return rc;
}

int archive_private(const struct archive *archive, bool create, int *fd)
{
    int rc = io_open(archive->dirfd, FORMAT_PRIVATE_DIR, O_RDONLY | O_DIRECTORY, 0, fd);

    if (rc != -ENOENT || !create)
        return rc;
    rc = inherit_mkdir(archive->dirfd, FORMAT_PRIVATE_DIR);
    if (rc && rc != -EEXIST)
        return rc;
    return io_open(archive->dirfd, FORMAT_PRIVATE_DIR, O_RDONLY | O_DIRECTORY, 0, fd);
}

int archive_sync_all(const struct archive *archive)
{
    int rc = syncfs(archive->dirfd) ? -errno : 0;

    if (rc)
        log_error("cannot bring '%s' to disk: %s", archive->path, strerror(-rc));
    return rc;
}

void archive_close(struct archive *archive)
{
    if (archive->dirfd >= 0)
        close(archive->dirfd);
    archive->dirfd = -1;
}
