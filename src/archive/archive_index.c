/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finds, reads and writes the index of an archive. A sparse bundle has a second copy
 * of its index, which stands in for the first:
 *
 *   Info.plist                 Info.bckup   what is used, or to blame
 *   good, newer, no memory     any          the first
 *   missing                    missing      none: it is no bundle
 *   missing                    good         the copy
 *   missing                    bad          the copy
 *   bad                        good         the copy
 *   bad                        bad, missing the first
 */
#include "archive/archive_index.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/detect_bundle.h"
#include "base/io.h"
#include "base/log.h"
#include "format/bundle.h"
#include "format/format.h"

bool archive_index_exists(int dirfd)
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

int archive_index_write(const struct archive *archive)
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

int archive_index_read(const struct archive *archive, const char *name, struct index *index,
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

int archive_index_read_named(const struct archive *archive, const char *name, struct index *index,
                             const char **why)
{
    int rc = archive_index_read(archive, name, index, why);
    bool ours = strcmp(name, FORMAT_INDEX_NAME) == 0;

    if (rc || ours == (index->format != FORMAT_FOREIGN))
        return rc;
    *index = (struct index){0};
    *why = "it is an index of another kind of archive";
    return -EBADMSG;
}

/* See the table above. */
static int read_bundle(const struct archive *archive, struct index *index, const char **name,
                       const char **why)
{
    struct index spare;
    const char *spare_why;
    int spare_rc;
    int rc = archive_index_read_named(archive, FORMAT_BUNDLE_INDEX, index, why);
    bool missing = rc == -ENOENT;

    *name = FORMAT_BUNDLE_INDEX;
    if (!rc || rc == -ENOTSUP || rc == -ENOMEM)
        return rc;
    spare_rc = archive_index_read_named(archive, FORMAT_BUNDLE_SPARE, &spare, &spare_why);
    if (spare_rc == -ENOENT || (spare_rc && !missing))
        return rc;
    *name = FORMAT_BUNDLE_SPARE;
    *index = spare;
    if (spare_rc)
        *why = spare_why;
    else if (!*why)
        *why = missing ? "it is missing" : io_why(rc);
    return spare_rc;
}

int archive_index_find(const struct archive *archive, struct index *index, const char **name,
                       const char **why)
{
    int rc = archive_index_read_named(archive, FORMAT_INDEX_NAME, index, why);

    *name = FORMAT_INDEX_NAME;
    if (rc != -ENOENT)
        return rc;
    rc = read_bundle(archive, index, name, why);
    if (rc == -ENOENT)
        *name = FORMAT_INDEX_NAME;
    return rc;
}

/* Not an error of one file that is damaged. */
void archive_index_note_gone(int rc)
{
    if (rc == -EIO || rc == -ENXIO || rc == -ENODEV || rc == -ESHUTDOWN || rc == -ENOTCONN ||
        rc == -ESTALE)
        log_note("the disk may have failed or been removed, or the server of the file system is "
                 "gone; see 'dmesg'. Nothing was changed");
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
    archive_index_note_gone(rc);
    if (rc == -EBADMSG && foreign)
        log_note("put back a good copy of '%s' or '%s', from a backup; the bands are untouched",
                 FORMAT_BUNDLE_INDEX, FORMAT_BUNDLE_SPARE);
    else if (rc == -EBADMSG)
        log_note("put back a good copy of '%s', from a mirror or a backup, or if its tiles are "
                 "pictures, let 'mosaicfs reindex' rebuild it; the tiles are untouched",
                 name);
    else if (rc == -ENOTSUP && !foreign)
        log_note("a newer version of mosaicfs created this archive; use that version");
    else if (rc == -ENOTSUP)
        log_note("'mosaicfs check' examines its copy, too");
    return rc;
}

/* Two copies that do not tell the same are worth a word; a Mac takes the first, too. */
static void compare_spare(const struct archive *archive)
{
    const struct layout *layout = archive->index.layout;
    const struct geometry *geo = &archive->index.geometry;
    struct index spare;
    const char *why;

    if (!layout->spare_index || archive_index_read(archive, layout->spare_index, &spare, &why))
        return;
    if (spare.geometry.size != geo->size || spare.geometry.tile_size != geo->tile_size)
        log_warn("'%s' and its copy '%s' in '%s' specify different sizes; using the first",
                 layout->index, layout->spare_index, archive->path);
}

int archive_index_load(struct archive *archive)
{
    const char *name, *why;
    int rc = archive_index_find(archive, &archive->index, &name, &why);

    if (rc)
        return complain_index(archive, name, why, rc);
    if (why)
        log_warn("cannot use '%s' of '%s': %s; its copy '%s' is used instead",
                 archive->index.layout->index, archive->path, why, name);
    else
        compare_spare(archive);
    return 0;
}
