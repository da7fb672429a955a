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
 *
 * The mark of a conversion comes before all of it: whoever finds an index finds the mark.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive.h"
#include "archive/archive_index.h"
#include "base/inherit.h"
#include "base/io.h"
#include "base/log.h"
#include "format/format.h"

/* An index that create did not finish, of any layout. */
static const char *const unfinished[] = {
    FORMAT_INDEX_NAME ".tmp",
    FORMAT_BUNDLE_INDEX ".tmp",
};

/* What is written into an archive that is marked; NULL: it is not. */
struct mark {
    const char *text;
    size_t len;
};

static const char mark_name[] = "convert";
static_assert(sizeof(FORMAT_PRIVATE_DIR "/") + sizeof(mark_name) - 1 == sizeof(FORMAT_CONVERT_NAME),
              "one name");

/* Whether the private directory holds a mark, or what was to become one, and nothing else. */
static bool holds_mark_alone(int dirfd)
{
    int fd = openat(dirfd, FORMAT_PRIVATE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    bool alone = dir != NULL;

    while (alone && (entry = readdir(dir)))
        alone = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
                !strncmp(entry->d_name, mark_name, strlen(mark_name));
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    return alone;
}

static void clear_mark(int dirfd)
{
    (void)unlinkat(dirfd, FORMAT_CONVERT_NAME, 0);
    (void)unlinkat(dirfd, FORMAT_CONVERT_NAME ".tmp", 0);
    (void)unlinkat(dirfd, FORMAT_PRIVATE_DIR, AT_REMOVEDIR);
}

static int set_mark(const struct archive *archive, const struct mark *mark)
{
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (!rc) {
        rc = io_replace(fd, mark_name, mark->text, mark->len, IO_OVER);
        close(fd);
    }
    if (rc)
        log_error("cannot write '%s/%s': %s", archive->path, FORMAT_CONVERT_NAME, strerror(-rc));
    return rc;
}

/* Whether name is what a create of that layout leaves when it crashes. */
static bool is_leftover(int dirfd, const struct layout *layout, bool marked, const char *name)
{
    struct stat st;

    if (marked && strcmp(name, FORMAT_PRIVATE_DIR) == 0)
        return holds_mark_alone(dirfd);

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
static int check_empty(int dirfd, const char *path, const struct layout *layout, bool marked)
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
            !is_leftover(dirfd, layout, marked, entry->d_name))
            rc = -ENOTEMPTY;
    if (!rc && errno) {
        rc = -errno;
        log_error("cannot list '%s': %s", path, strerror(-rc));
        closedir(dir);
        return rc;
    }
    if (!rc)
        rc = clear_leftovers(dirfd, layout);
    if (rc && archive_index_exists(dirfd)) {
        rc = -EEXIST;
        log_error("'%s' is an archive already; it was left as it is", path);
    } else if (rc) {
        log_error("'%s' is not empty; an archive needs a new or an empty directory", path);
    }
    closedir(dir);
    return rc;
}

/* What else a Mac looks for. Durable with the index, which comes next. */
static int prepare_bundle(int dirfd, const char *path)
{
    const char *name = FORMAT_BUNDLE_BANDS;
    int rc = inherit_mkdir(dirfd, name), fd;

    if (!rc) {
        name = FORMAT_BUNDLE_TOKEN;
        rc = inherit_create(dirfd, name, O_WRONLY, &fd);
    }
    if (!rc) {
        rc = io_fsync(fd);
        close(fd);
    }
    if (!rc)
        rc = io_sync_dir(dirfd, FORMAT_BUNDLE_BANDS);
    if (!rc)
        rc = io_sync_dir(dirfd, ".");
    if (rc)
        log_error("cannot write '%s/%s': %s", path, name, strerror(-rc));
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

/* Makes an archive of its directory, which is empty, or leaves it empty. */
static int fill(const struct archive *archive, const struct mark *mark)
{
    const struct layout *layout = archive->index.layout;
    int dirfd = archive->dirfd;
    int rc = check_empty(dirfd, archive->path, layout, mark != NULL);

    if (rc)
        return rc;
    if (mark)
        rc = set_mark(archive, mark);
    if (!rc && layout == &layout_bundle)
        rc = prepare_bundle(dirfd, archive->path);
    if (!rc)
        rc = archive_index_write(archive);
    if (!rc)
        rc = sync_parent(dirfd, archive->path);
    if (rc && rc != -EEXIST) {
        unlinkat(dirfd, layout->index, 0);
        if (layout->spare_index)
            unlinkat(dirfd, layout->spare_index, 0);
        (void)!clear_leftovers(dirfd, layout);
        if (mark)
            clear_mark(dirfd);
    }
    return rc;
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

static int create(const char *path, const struct index *index, const struct mark *mark)
{
    struct archive archive = {.index = *index};
    bool made = mkdir(path, ARCHIVE_MODE) == 0;
    int rc = made ? 0 : -errno;

    if (rc && rc != -EEXIST) {
        log_error("cannot create '%s': %s", path, strerror(-rc));
        return rc;
    }
    snprintf(archive.path, sizeof(archive.path), "%s", path); /* for messages: as it was given */
    archive.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (archive.dirfd < 0) {
        rc = -errno;
        log_error("cannot create an archive in '%s': %s", path, strerror(-rc));
        return rc;
    }
    rc = check_place(path);
    if (!rc) {
        rc = inherit_from(archive.dirfd);
        if (rc)
            log_error("cannot look at '%s': %s", path, strerror(-rc));
    }
    /* Keeps a second create out of the index's temporary file, where flock works. */
    if (!rc && io_flock(archive.dirfd, LOCK_EX | LOCK_NB) == -EWOULDBLOCK) {
        rc = -EBUSY;
        log_error("'%s' is in use by another process", path);
    }
    if (!rc)
        rc = fill(&archive, mark);
    if (rc && made)
        rmdir(path);
    close(archive.dirfd);
    return rc;
}

int archive_create(const char *path, const struct index *index)
{
    return create(path, index, NULL);
}

int archive_create_marked(const char *path, const struct index *index, const char *mark, size_t len)
{
    return create(path, index, &(struct mark){mark, len});
}
