/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two things must not pass for a drive that can be used:
 *
 *   encrypted  The bands hold ciphertext, and what was written there in plain would
 *              be lost. token then begins with the header of an encrypted image,
 *              "encrcdsa", or ends with that of the first version, "cdsaencr"
 *              (libyal/libmodi and others who read both); else it is empty.
 *   names      A band called 0A or 00a is one that a Mac on a file system without
 *              case, or a careless program, takes for band 10. Here it would
 *              look like zeros, and a second band a would be made beside it.
 *
 * A band behind the end of the image is in nobody's way and stays.
 */
#include "archive/detect_bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "format/format.h"
#include "format/names.h"

#define HEAD "encrcdsa"
#define TAIL "cdsaencr"
#define MAGIC (sizeof(HEAD) - 1)

static int has_at(int fd, uint64_t off, const char *magic, bool *found)
{
    char bytes[MAGIC];
    size_t got;
    int rc = io_pread(fd, bytes, sizeof(bytes), off, &got);

    *found = *found || (!rc && got == sizeof(bytes) && memcmp(bytes, magic, sizeof(bytes)) == 0);
    return rc;
}

int detect_bundle_encrypted(const struct archive *archive, bool *encrypted)
{
    struct stat st;
    int rc, fd;

    *encrypted = false;
    rc = io_open_file(archive->dirfd, FORMAT_BUNDLE_TOKEN, O_RDONLY, &fd);
    if (rc)
        return rc == -ENOENT ? 0 : rc;
    if (fstat(fd, &st))
        rc = -errno;
    if (!rc)
        rc = has_at(fd, 0, HEAD, encrypted);
    if (!rc && (uint64_t)st.st_size > MAGIC)
        rc = has_at(fd, (uint64_t)st.st_size - MAGIC, TAIL, encrypted);
    close(fd);
    return rc;
}

static int check_token(const struct archive *archive)
{
    bool encrypted;
    int rc = detect_bundle_encrypted(archive, &encrypted);

    /* An SMB server keeps it to itself while a Mac uses the bundle. */
    if (rc == -EBUSY || rc == -EAGAIN || rc == -ETXTBSY) {
        log_warn(
            "cannot look into '%s/%s', which another program uses: the bundle may be encrypted",
            archive->path, FORMAT_BUNDLE_TOKEN);
        return 0;
    }
    if (rc) {
        log_error("cannot read '%s/%s', which tells whether the bundle is encrypted: %s",
                  archive->path, FORMAT_BUNDLE_TOKEN, io_why(rc));
        return rc;
    }
    if (!encrypted)
        return 0;
    log_error("cannot use '%s': it is an encrypted sparse bundle, which only a Mac can open",
              archive->path);
    log_note("to use it here, copy what is in it, on a Mac, into a bundle without encryption");
    return -ENOTSUP;
}

static int refuse_name(const struct archive *archive, const char *name, const char *path)
{
    log_error(
        "cannot use '%s': '%s/%s' is not a valid band name, but may contain the bytes of '%s'",
        archive->path, FORMAT_BUNDLE_BANDS, name, path);
    log_note("rename it to '%s' if there is no such file, else move the older of the two away; "
             "'mosaicfs check' lists all such names",
             path);
    return -ENOTSUP;
}

static int check_names(const struct archive *archive, DIR *dir)
{
    struct dirent *entry;
    struct names names;
    uint32_t band;
    int rc;

    while ((errno = 0, entry = readdir(dir))) {
        if (layout_bundle.tile_number(0, entry->d_name, &band)) /* as nearly all are */
            continue;
        names_recognise(&layout_bundle, NAMES_FOLDER, entry->d_name, &names);
        if (names.kind == NAMES_SPELLING && names.tile < archive->index.geometry.ntiles)
            return refuse_name(archive, entry->d_name, names.of);
    }
    rc = -errno;
    if (rc)
        log_error("cannot list '%s/%s': %s", archive->path, FORMAT_BUNDLE_BANDS, strerror(-rc));
    return rc;
}

static int check_bands(const struct archive *archive)
{
    DIR *dir;
    int rc, fd;

    rc = io_open(archive->dirfd, FORMAT_BUNDLE_BANDS, O_RDONLY | O_DIRECTORY, 0, &fd);
    if (rc == -ENOENT) {
        /* A Mac makes it at once; without it everything would look like zeros. */
        log_error("cannot use '%s': it has no folder '%s'", archive->path, FORMAT_BUNDLE_BANDS);
        log_note("put it back, from a backup; if nothing was ever written, an empty one is enough");
        return rc;
    }
    dir = rc ? NULL : fdopendir(fd);
    if (!rc && !dir) {
        rc = -errno;
        close(fd);
    }
    if (rc) {
        log_error("cannot list '%s/%s': %s", archive->path, FORMAT_BUNDLE_BANDS, strerror(-rc));
        return rc;
    }
    rc = check_names(archive, dir);
    closedir(dir);
    return rc;
}

int detect_bundle(const struct archive *archive)
{
    int rc = check_token(archive);

    return rc ? rc : check_bands(archive);
}

static bool has(const struct archive *archive, const char *name, mode_t type)
{
    struct stat st;

    return !fstatat(archive->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) &&
           (st.st_mode & S_IFMT) == type;
}

bool detect_bundle_likely(const struct archive *archive)
{
    return has(archive, FORMAT_BUNDLE_BANDS, S_IFDIR) ||
           (has(archive, FORMAT_BUNDLE_TOKEN, S_IFREG) &&
            has(archive, FORMAT_BUNDLE_LOCK, S_IFREG));
}

int detect_bundle_without(const struct archive *archive)
{
    log_error("'%s' is not an archive: it looks like a sparse bundle, and has neither '%s' nor its "
              "copy '%s'",
              archive->path, FORMAT_BUNDLE_INDEX, FORMAT_BUNDLE_SPARE);
    log_note("put one of the two back, from a backup; else 'mosaicfs create --layout sparsebundle' "
             "makes one, in a new directory, for the same size of the image and of its bands: no "
             "band is longer than that, and most are as long. The bands are untouched");
    return -ENOENT;
}
