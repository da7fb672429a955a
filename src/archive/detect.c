/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Format 1 has two layouts under one index: bare tiles, and those of the
 * program of 2017, which wrote each behind a picture, the same number of bytes
 * in all of them (78519 unless it was changed). Which it is, is told by their
 * names; how long the picture is, by a tile: where the picture ends, or two
 * files of one length, or one of that program's own length. One file alone of
 * another length, without the picture's end, could have been cut, and all its bytes
 * would be shifted.
 *
 * In every layout but plain a name that means a tile in another spelling, as 0001.JPG
 * or 000A.jpg do, is refused: on a file system that tells upper case from lower,
 * the tile would look like zeros, and a second one would be made beside it.
 *
 * Names only: directories are listed, no tile but a few is looked at.
 */
#include "archive/detect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/detect_bundle.h"
#include "archive/tile_head.h"
#include "base/io.h"
#include "base/log.h"
#include "format/format.h"
#include "format/jpeg.h"
#include "format/names.h"

#define LOOKED 8 /* at so many tiles */

/* How many tiles bear names of a layout, and the first met. */
struct count {
    const struct layout *layout;
    uint32_t n;
    uint32_t first[LOOKED];
    /* names that mean a tile and are none: a reader would take it for absent */
    uint32_t misspelt;
    char path[LAYOUT_PATH], of[LAYOUT_PATH]; /* the first of them, and what it should be */
};

/* A folder of tiles, by whatever name. */
struct tile_folder {
    const char *path;
    uint32_t folder;
    bool misspelt;
};

/* False when name is not that of a tile. */
static bool count_name(struct count *count, uint32_t folder, const char *name, uint32_t ntiles)
{
    uint32_t tile;

    if (!count->layout->tile_number(folder, name, &tile) || tile >= ntiles)
        return false;
    if (count->n < LOOKED)
        count->first[count->n] = tile;
    count->n++;
    return true;
}

/* A name that is right in a folder that is called wrong, or that is wrong itself. */
static void count_misspelt(struct count *count, const struct tile_folder *place, const char *name,
                           uint32_t ntiles)
{
    struct names names;

    names_recognise(count->layout, NAMES_FOLDER, name, &names);
    if (names.what != NAMES_A_TILE || names.tile >= ntiles ||
        names.tile / count->layout->tiles_per_folder != place->folder ||
        (names.kind != NAMES_SPELLING && names.kind != NAMES_OURS))
        return;
    if (count->misspelt++ == 0) {
        snprintf(count->path, sizeof(count->path), "%s/%s", place->path, name);
        strcpy(count->of, names.of);
    }
}

typedef void each_name(const struct archive *archive, const char *name, void *arg);

/* 0 or -errno. */
static int list(const struct archive *archive, const char *path, each_name *fn, void *arg)
{
    struct dirent *entry;
    DIR *dir;
    int rc, fd;

    if (io_open(archive->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &fd))
        return 0; /* whoever needs the folder is told why */
    dir = fdopendir(fd);
    if (!dir)
        close(fd);
    while (dir && (errno = 0, entry = readdir(dir)))
        fn(archive, entry->d_name, arg);
    rc = -errno;
    if (dir)
        closedir(dir);
    return rc;
}

/* a and b name their folders alike. b may be NULL. */
struct counts {
    struct count *a, *b;
    uint32_t ntiles; /* of the image, or as many as there can be */
    struct tile_folder place;
    int rc; /* 0 or -errno: why the first folder that cannot be listed cannot be */
    char unlisted[LAYOUT_PATH];
};

static void count_in_folder(const struct archive *archive, const char *name, void *arg)
{
    struct counts *counts = arg;

    if (!counts->place.misspelt &&
        (count_name(counts->a, counts->place.folder, name, counts->ntiles) ||
         (counts->b && count_name(counts->b, counts->place.folder, name, counts->ntiles))))
        return;
    count_misspelt(counts->a, &counts->place, name, counts->ntiles);
    if (counts->b)
        count_misspelt(counts->b, &counts->place, name, counts->ntiles);
}

static void count_in_archive(const struct archive *archive, const char *name, void *arg)
{
    struct counts *counts = arg;
    const struct layout *layout = counts->a->layout;
    struct names names;
    int rc;

    names_recognise(layout, NAMES_TOP, name, &names);
    if (names.what != NAMES_A_FOLDER || (names.kind != NAMES_OURS && names.kind != NAMES_SPELLING))
        return;
    counts->place = (struct tile_folder){.path = name, .misspelt = names.kind == NAMES_SPELLING};
    if (!layout->folder_number(names.of, &counts->place.folder))
        return;
    rc = list(archive, name, count_in_folder, counts);
    if (rc && !counts->rc) {
        counts->rc = rc;
        snprintf(counts->unlisted, sizeof(counts->unlisted), "%s", name);
    }
}

/* What can be listed is counted in any case. */
static void count_names(const struct archive *archive, struct counts *counts)
{
    int rc = list(archive, ".", count_in_archive, counts);

    if (rc) {
        counts->rc = rc;
        counts->unlisted[0] = '\0';
    }
}

/* All of them. 0 or -errno, logged. */
static int count_all_names(const struct archive *archive, struct count *a, struct count *b)
{
    struct counts counts = {.a = a, .b = b, .ntiles = archive->index.geometry.ntiles};

    count_names(archive, &counts);
    if (counts.rc && counts.unlisted[0])
        log_error("cannot list tile folder '%s' of archive '%s': %s", counts.unlisted,
                  archive->path, strerror(-counts.rc));
    else if (counts.rc)
        log_error("cannot list archive '%s': %s", archive->path, strerror(-counts.rc));
    return counts.rc;
}

/* --- the length of the pictures -------------------------------------------- */

/* One that is sure, else what most agree upon: two at least, for which one that is likely counts.
 */
static int measure_heads(struct archive *archive, const struct count *pictures)
{
    uint64_t heads[LOOKED] = {0};
    enum tile_head_trust trust;
    uint32_t most = 1;

    for (uint32_t i = 0; i < pictures->n && i < LOOKED; i++) {
        uint32_t alike = 1;

        if (tile_head_measure(archive, pictures->first[i], &heads[i], &trust))
            continue;
        for (uint32_t other = 0; other < i; other++)
            alike += heads[other] == heads[i];
        if (alike == 1 && trust == TILE_HEAD_LIKELY)
            alike = 2;
        if (alike > most || trust == TILE_HEAD_SURE)
            archive->head = heads[i];
        if (trust == TILE_HEAD_SURE)
            return 0;
        most = alike > most ? alike : most;
    }
    return archive->head ? 0 : -EBADMSG;
}

/* --- what is done about it -------------------------------------------------- */

/* 0 when there is no such name. */
static int refuse_spelling(const struct archive *archive, const struct count *count)
{
    if (!count->misspelt)
        return 0;
    log_error(
        "cannot use archive '%s': '%s' is not a valid tile name, but may contain the bytes of '%s'",
        archive->path, count->path, count->of);
    if (count->layout->head == LAYOUT_PICTURE)
        log_note("'mosaicfs reindex %s' renames all such tiles, and keeps the newer of two files "
                 "of one tile",
                 archive->path);
    else
        log_note("rename it to '%s' if there is no such file, else move the older of the two away; "
                 "'mosaicfs check' lists all such names",
                 count->of);
    return -ENOTSUP;
}

static int refuse_mixture(const struct archive *archive, const struct count *bare,
                          const struct count *pictures)
{
    char one[LAYOUT_PATH], other[LAYOUT_PATH];

    bare->layout->tile_path(bare->first[0], one);
    pictures->layout->tile_path(pictures->first[0], other);
    log_error("cannot use archive '%s': some of its tiles are plain ('%s') and some are JPEG "
              "pictures ('%s')",
              archive->path, one, other);
    log_note("'mosaicfs check' lists them and says how to find out which kind belongs to the "
             "drive; delete neither");
    return -ENOTSUP;
}

static int refuse_length(const struct archive *archive, const struct count *pictures)
{
    char path[LAYOUT_PATH];

    pictures->layout->tile_path(pictures->first[0], path);
    log_error("cannot use archive '%s': the length of the pictures before its tiles is unknown; "
              "'%s' may have been truncated",
              archive->path, path);
    log_note("put back a good copy of '%s', from a mirror or a backup", path);
    return -EBADMSG;
}

static bool are_pictures(const struct count *bare, const struct count *pictures)
{
    return pictures->n + pictures->misspelt > bare->n + bare->misspelt;
}

static int detect_original(struct archive *archive)
{
    struct count bare = {.layout = &layout_original};
    struct count pictures = {.layout = &layout_original_jpeg};
    int rc = count_all_names(archive, &bare, &pictures);

    rc = rc ? rc : refuse_spelling(archive, &bare);
    rc = rc ? rc : refuse_spelling(archive, &pictures);
    if (rc)
        return rc;
    if (bare.n && pictures.n)
        return refuse_mixture(archive, &bare, &pictures);
    if (!are_pictures(&bare, &pictures))
        return 0;
    archive->index.layout = &layout_original_jpeg;
    return measure_heads(archive, &pictures) ? refuse_length(archive, &pictures) : 0;
}

static int detect_jpeg(const struct archive *archive)
{
    struct count pictures = {.layout = &layout_jpeg};
    int rc = count_all_names(archive, &pictures, NULL);

    return rc ? rc : refuse_spelling(archive, &pictures);
}

int detect_archive(struct archive *archive)
{
    if (archive->index.layout == &layout_bundle)
        return detect_bundle(archive);
    if (archive->index.layout == &layout_jpeg)
        return detect_jpeg(archive);
    return archive->index.layout == &layout_original ? detect_original(archive) : 0;
}

void detect_likely(struct archive *archive)
{
    struct count bare = {.layout = &layout_original};
    struct count pictures = {.layout = &layout_original_jpeg};
    struct counts counts = {&bare, &pictures, .ntiles = archive->index.geometry.ntiles};

    if (archive->index.layout != &layout_original)
        return;
    count_names(archive, &counts);
    if (!are_pictures(&bare, &pictures))
        return;
    archive->index.layout = &layout_original_jpeg;
    (void)!measure_heads(archive, &pictures); /* not known, then */
}

/* Of the tiles of layout jpeg each says that it is one. */
static bool has_tag(const struct archive *archive, uint32_t tile)
{
    char path[LAYOUT_PATH];
    struct jpeg_tag tag;
    int rc, fd;

    layout_jpeg.tile_path(tile, path);
    if (io_open_file(archive->dirfd, path, O_RDONLY, &fd))
        return false;
    rc = tile_head_read_tag(fd, &tag);
    close(fd);
    return rc == 0;
}

const struct layout *detect_guess(const struct archive *archive)
{
    struct count bare = {.layout = &layout_original};
    struct count pictures = {.layout = &layout_original_jpeg};
    struct counts counts = {&bare, &pictures, .ntiles = FORMAT_TILES_MAX};
    char bands[LAYOUT_PATH];
    struct stat st;

    count_names(archive, &counts);
    layout_bundle.folder_path(0, bands);
    if (!bare.n && !pictures.n && !fstatat(archive->dirfd, bands, &st, AT_SYMLINK_NOFOLLOW))
        return &layout_bundle;
    if (pictures.n <= bare.n)
        return &layout_original;
    for (uint32_t i = 0; i < pictures.n && i < LOOKED; i++)
        if (has_tag(archive, pictures.first[i]))
            return &layout_jpeg;
    return &layout_original_jpeg;
}
