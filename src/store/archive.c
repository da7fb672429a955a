/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order of create: the directory, then the whole index in one atomic step, then
 * the parent directory's entry. A crash before the index leaves an empty
 * directory (or one that holds only the index's temporary file), which is no
 * archive and which create takes again.
 *
 * In a sparse bundle bands/ and token come before Info.plist, and its copy
 * Info.bckup after: whoever finds an index finds a whole bundle. Empty, they do not
 * keep create from taking the directory again for a sparse bundle. Nothing goes
 * from a directory that is then refused.
 */
#include "store/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "format/bundle.h"
#include "format/format.h"
#include "store/covers.h"
#include "store/settle.h"
#include "store/settle_bundle.h"

/* An index that create did not finish, of any layout. */
static const char *const unfinished[] = {
    FORMAT_INDEX_NAME ".tmp",
    FORMAT_BUNDLE_INDEX ".tmp",
};

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

/* Whether name is what a create of that layout leaves when it crashes. */
static bool is_leftover(int dirfd, const struct layout *layout, const char *name)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(unfinished); i++)
        if (strcmp(name, unfinished[i]) == 0)
            return !S_ISDIR(st.st_mode);
    if (layout != &layout_bundle)
        return false;
    return (strcmp(name, FORMAT_BUNDLE_TOKEN) == 0 && S_ISREG(st.st_mode) && st.st_size == 0) ||
           (strcmp(name, FORMAT_BUNDLE_BANDS) == 0 && S_ISDIR(st.st_mode));
}

/* Nothing else is in the directory. 0, or -errno when bands/ holds something: then all stays. */
static int clear_leftovers(int dirfd, const struct layout *layout)
{
    if (layout == &layout_bundle && unlinkat(dirfd, FORMAT_BUNDLE_BANDS, AT_REMOVEDIR) &&
        errno != ENOENT)
        return -errno;
    for (size_t i = 0; i < ARRAY_LEN(unfinished); i++)
        (void)unlinkat(dirfd, unfinished[i], 0);
    if (layout == &layout_bundle)
        (void)unlinkat(dirfd, FORMAT_BUNDLE_TOKEN, 0);
    return 0;
}

/*
 * Makes sure that nothing is in the directory, but for what a create of that
 * layout has left, which goes. When it is refused all stays as it is.
 */
static int check_empty(int dirfd, const char *path, const struct layout *layout)
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
            !is_leftover(dirfd, layout, entry->d_name))
            rc = -ENOTEMPTY;
    if (!rc && errno) {
        rc = -errno;
        log_error("cannot list '%s': %s", path, strerror(-rc));
        closedir(dir);
        return rc;
    }
    if (!rc)
        rc = clear_leftovers(dirfd, layout);
    if (rc && archive_has_index(dirfd)) {
        rc = -EEXIST;
        log_error("'%s' is an archive already; it was left as it is", path);
    } else if (rc) {
        log_error("'%s' is not empty; an archive needs a new or an empty directory", path);
    }
    closedir(dir);
    return rc;
}

static int complain_write(const char *path, const char *name, int rc)
{
    log_error("cannot write '%s/%s': %s", path, name, strerror(-rc));
    return rc;
}

static int write_index(int dirfd, const char *path, const struct index *index)
{
    const struct layout *layout = index->layout;
    bool bundle = layout == &layout_bundle;
    char text[FORMAT_INDEX_MAX];
    size_t len;
    int rc = bundle ? bundle_print(index, text, sizeof(text), &len)
                    : index_print(index, text, sizeof(text), &len);

    if (bundle && rc == -ENOTSUP)
        log_error("cannot make a sparse bundle: this program was built without libplist");
    else if (rc)
        return complain_write(path, layout->index, rc);
    if (!rc) {
        rc = io_replace(dirfd, layout->index, text, len, IO_NEW);
        if (rc)
            return complain_write(path, layout->index, rc);
    }
    if (!rc && layout->spare_index) {
        rc = io_replace(dirfd, layout->spare_index, text, len, IO_NEW);
        if (rc)
            return complain_write(path, layout->spare_index, rc);
    }
    return rc;
}

int archive_write_index(const struct archive *archive)
{
    return write_index(archive->dirfd, archive->path, &archive->index);
}

/* What else a Mac looks for. Durable with the index, which comes next. */
static int prepare_bundle(int dirfd, const char *path)
{
    int rc, fd;

    rc = inherit_mkdir(dirfd, FORMAT_BUNDLE_BANDS);
    if (rc)
        return complain_write(path, FORMAT_BUNDLE_BANDS, rc);
    rc = inherit_create(dirfd, FORMAT_BUNDLE_TOKEN, O_WRONLY, &fd);
    if (!rc) {
        rc = io_fsync(fd);
        close(fd);
    }
    if (!rc)
        rc = io_sync_dir(dirfd, FORMAT_BUNDLE_BANDS);
    if (!rc)
        rc = io_sync_dir(dirfd, ".");
    return rc ? complain_write(path, FORMAT_BUNDLE_TOKEN, rc) : 0;
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
    const struct layout *layout = index->layout;
    int rc;

    rc = check_empty(dirfd, path, layout);
    if (rc)
        return rc;
    if (layout == &layout_bundle)
        rc = prepare_bundle(dirfd, path);
    if (!rc)
        rc = write_index(dirfd, path, index);
    if (!rc)
        rc = sync_parent(dirfd, path);
    if (rc && rc != -EEXIST) {
        unlinkat(dirfd, layout->index, 0);
        if (layout->spare_index)
            unlinkat(dirfd, layout->spare_index, 0);
        (void)!clear_leftovers(dirfd, layout);
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

/* Where the other commands find an archive, and none around it takes it for a stray. */
static int check_place(const char *path)
{
    char real[PATH_MAX], around[PATH_MAX];
    int rc = realpath(path, real) ? 0 : -errno;

    if (rc) {
        log_error("cannot create an archive in '%s': %s", path, strerror(-rc));
    } else if (archive_within(real, around)) {
        rc = -EEXIST;
        log_error("cannot create '%s': it lies in archive '%s', where nothing else belongs", path,
                  around);
        log_note("create it beside that one");
    }
    return rc;
}

int archive_create(const char *path, const struct index *index)
{
    bool made = mkdir(path, ARCHIVE_MODE) == 0;
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
    rc = check_place(path);
    if (!rc) {
        rc = inherit_from(dirfd);
        if (rc)
            log_error("cannot look at '%s': %s", path, strerror(-rc));
    }
    /* Keeps a second create out of the index's temporary file, where flock works. */
    if (!rc && io_flock(dirfd, LOCK_EX | LOCK_NB) == -EWOULDBLOCK) {
        rc = -EBUSY;
        log_error("'%s' is in use by another process", path);
    }
    if (!rc)
        rc = fill(dirfd, path, index);
    if (rc && made)
        rmdir(path);
    close(dirfd);
    return rc;
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

    if (rc == -ENOENT && settle_bundle_likely(archive))
        return settle_bundle_without(archive);
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
        log_warn("'%s' and its copy '%s' in '%s' tell different sizes; the first counts",
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
    log_error("cannot use archive '%s': its tiles are being put back in their places, or that was "
              "interrupted",
              archive->path);
    log_note("run 'mosaicfs reindex' again, with the same files");
    return -EBUSY;
}

int archive_read(struct archive *archive)
{
    int rc = read_index(archive);

    if (!rc)
        rc = refuse_unfinished(archive);
    return rc ? rc : settle_archive(archive);
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
    covers_free(archive->covers);
    archive->covers = NULL;
    if (archive->dirfd >= 0)
        close(archive->dirfd);
    archive->dirfd = -1;
}
