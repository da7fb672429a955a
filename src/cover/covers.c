/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the picture of a new tile comes from:
 *
 *   spare   Read when covers are opened and kept in memory: the file that was
 *           given; else one of the directory's pictures; else that of a tile.
 *           Without it no tile can be made, and the user is told at once.
 *   folder  A random picture of the directory, read when a tile is made. One that
 *           cannot be used is told and dropped from the list, and another is
 *           taken. So the list only shrinks: new files are seen at the next mount.
 *   tiles   The list is empty, or there never was one: the picture of a random
 *           tile, of some that were chosen when covers were opened. One that
 *           cannot be used is forgotten; when none is left, others are chosen.
 *
 *           file given:             spare
 *           directory given:        folder, then tiles, then spare
 *           neither, or not usable: tiles, then spare
 *           LAYOUT_TAIL:            spare, which is what stands before a tile
 *
 * Want of descriptors or of memory is no fault of a picture: it stays on the
 * list, and the spare is taken. So once there is a spare, a tile is always made,
 * whatever becomes of file and directory.
 *
 * Pictures are read while a write waits. That needs no memory but what was
 * allocated at open; and it cannot wait for itself, with pictures that lie
 * within the drive: the directory is opened before there is a drive.
 */
#include "cover/covers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/folders.h"
#include "archive/tile_head.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "cover/pictures.h"
#include "format/jpeg.h"

#define COMPLAINTS 20

#define KNOWN 64         /* tiles whose pictures may be taken */
#define KNOWN_FOLDERS 16 /* are listed to find them */

struct covers {
    /* fixed after open */
    const struct archive *archive;
    struct folders folders;
    void *spare; /* NULL: there is none */
    size_t spare_len;
    void *head; /* room for that of any picture we take */
    void *buf; /* a picture of the directory, or the head of a tile; NULL: only the spare is used */
    size_t buf_size;
    /* guarded by lock */
    struct mutex lock;
    struct pictures pictures; /* n is 0 when none is left */
    uint32_t known[KNOWN];    /* tiles that had a picture when they were looked for */
    uint32_t nknown;
    unsigned complaints;
};

/* --- pictures of the directory --------------------------------------------- */

/* Each number below n is as likely as any other. */
static uint32_t random_below(uint32_t n)
{
    uint32_t whole = UINT32_MAX - UINT32_MAX % n;
    uint32_t r;

    do
        if (hash_random(&r, sizeof(r)))
            r = 0; /* some picture is better than none */
    while (r >= whole);
    return r % n;
}

static bool passes(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM;
}

static void complain_picture(struct covers *covers, uint32_t i, const char *why)
{
    if (covers->complaints++ < COMPLAINTS)
        log_warn("cannot use cover '%s%s%s': %s", PICTURES_NAME(&covers->pictures, i), why);
    else if (covers->complaints == COMPLAINTS + 1)
        log_warn("cannot use further covers of '%s'; not reporting each of them",
                 covers->pictures.path);
}

static bool is_removed(const struct pictures *pictures)
{
    struct stat st;

    return fstat(pictures->fd, &st) == 0 && st.st_nlink == 0;
}

/* Picture i is not what it should be. */
static void drop(struct covers *covers, uint32_t i, int rc, const char *why)
{
    struct pictures *pictures = &covers->pictures;

    if (rc == -ENOENT && is_removed(pictures)) {
        log_warn("the folder of covers '%s' has been removed", pictures->path);
        pictures->n = 0;
        return;
    }
    complain_picture(covers, i, why);
    pictures_drop(pictures, i);
    if (!pictures->n && !pictures->single)
        log_warn("no cover is left in '%s'", pictures->path);
}

/* A random picture into buf. 0; -ENODATA: there is none; -errno: not now. */
static int take_picture(struct covers *covers, size_t *len)
{
    struct pictures *pictures = &covers->pictures;

    while (pictures->n) {
        uint32_t i = random_below(pictures->n);
        const char *why;
        int rc = pictures_read(pictures, i, covers->buf, len, &why);

        if (!rc || passes(rc))
            return rc;
        drop(covers, i, rc, why);
    }
    return -ENODATA;
}

/* --- pictures of tiles ------------------------------------------------------ */

struct folder_tiles {
    uint32_t tiles[FORMAT_TILES_PER_FOLDER];
    uint32_t n;
};

static int add_tile(void *arg, uint32_t tile, int folder)
{
    struct folder_tiles *found = arg;

    found->tiles[found->n++] = tile;
    return found->n == FORMAT_TILES_PER_FOLDER;
}

/* Takes a random number out of the *n of them. */
static uint32_t draw(uint32_t *numbers, uint32_t *n)
{
    uint32_t i = random_below(*n);
    uint32_t drawn = numbers[i];

    numbers[i] = numbers[--*n];
    return drawn;
}

/* Some random tiles of the folder, at most so many. */
static void know_some_of(struct covers *covers, uint32_t folder, uint32_t most)
{
    uint32_t from = folder * FORMAT_TILES_PER_FOLDER, ntiles = covers->folders.ntiles;
    uint32_t len =
        ntiles - from < FORMAT_TILES_PER_FOLDER ? ntiles - from : FORMAT_TILES_PER_FOLDER;
    struct folder_tiles found = {.n = 0};

    (void)!folders_each(&covers->folders, from, from + len, add_tile, &found); /* it has said why */
    while (found.n && most-- > 0 && covers->nknown < KNOWN)
        covers->known[covers->nknown++] = draw(found.tiles, &found.n);
}

/*
 * Chooses tiles whose pictures may be taken, out of some folders: what it costs does not
 * follow the number of tiles. Tries at random would, where there are few tiles.
 */
static void know_some(struct covers *covers)
{
    uint32_t folders[FORMAT_TILES_MAX / FORMAT_TILES_PER_FOLDER], n, most;

    covers->nknown = 0;
    if (folders_present(&covers->folders, folders, &n))
        n = 0; /* whoever needs the tiles is told why */
    most = n ? (KNOWN - 1) / (n < KNOWN_FOLDERS ? n : KNOWN_FOLDERS) + 1 : 0;
    for (unsigned i = 0; n && i < KNOWN_FOLDERS; i++)
        know_some_of(covers, draw(folders, &n), most);
}

static int open_tile(const struct covers *covers, uint32_t tile, int *fd)
{
    char path[LAYOUT_PATH];

    covers->folders.layout->tile_path(tile, path);
    return io_open_file(covers->archive->dirfd, path, O_RDONLY, fd);
}

/* The picture before the tile in the open file into buf, if all of it is as it was written. */
static int read_head(const struct covers *covers, int fd, size_t *len)
{
    struct jpeg_tag tag;
    const char *why;
    int rc = tile_head_read_tag(fd, &tag);

    if (!rc && tag.payload > covers->buf_size)
        rc = -EFBIG;
    if (!rc)
        rc = tile_head_read(fd, &tag, covers->buf);
    return rc ? rc : jpeg_length(covers->buf, tag.payload, len, &why);
}

/* One of those that are known, which is forgotten when its picture cannot be used. */
static int take_of_known(struct covers *covers, size_t *len)
{
    while (covers->nknown) {
        uint32_t i = random_below(covers->nknown);
        int fd;
        int rc = open_tile(covers, covers->known[i], &fd);

        if (!rc) {
            rc = read_head(covers, fd, len);
            close(fd);
        }
        if (!rc || passes(rc))
            return rc;
        covers->known[i] = covers->known[--covers->nknown];
    }
    return -ENODATA;
}

/* What is wrong with a tile is for those to tell who need it. 0, or -errno: none was found. */
static int take_of_tile(struct covers *covers, size_t *len)
{
    int rc = take_of_known(covers, len);

    if (rc != -ENODATA)
        return rc;
    know_some(covers); /* those made since, if there are any */
    return take_of_known(covers, len);
}

/* What the longest head of the tiles that are known takes. */
static size_t longest_head(const struct covers *covers)
{
    size_t longest = 0;

    for (unsigned i = 0; i < covers->nknown; i++) {
        struct jpeg_tag tag;
        int fd;

        if (open_tile(covers, covers->known[i], &fd))
            continue;
        if (!tile_head_read_tag(fd, &tag) && tag.payload > longest)
            longest = tag.payload;
        close(fd);
    }
    return longest;
}

/* --- opening ---------------------------------------------------------------- */

static int keep_spare(struct covers *covers, const void *bytes, size_t len)
{
    covers->spare = malloc(len);
    if (!covers->spare)
        return -ENOMEM;
    memcpy(covers->spare, bytes, len);
    covers->spare_len = len;
    return 0;
}

/* Pages that are never touched occupy nothing. */
static int new_buf(struct covers *covers, size_t size)
{
    free(covers->buf);
    covers->buf = malloc(size);
    covers->buf_size = size;
    return covers->buf ? 0 : -ENOMEM;
}

static void drop_buf(struct covers *covers)
{
    free(covers->buf);
    covers->buf = NULL;
}

/*
 * From the file or directory: a spare, and the list. 0, -ENODATA when nothing
 * there can be used, else -errno.
 */
static int open_source(struct covers *covers, const struct covers_source *source)
{
    struct pictures *pictures = &covers->pictures;
    size_t len;
    int rc = pictures_open(source->path, source->max, source->skip, pictures);

    if (rc && !passes(rc)) {
        log_warn("cannot take covers from '%s': %s", source->path, pictures_why(rc));
        rc = -ENODATA;
    }
    if (!rc)
        rc = new_buf(covers, source->max);
    if (!rc)
        rc = take_picture(covers, &len);
    if (!rc)
        rc = keep_spare(covers, covers->buf, len);
    if (rc || pictures->single)
        pictures_close(pictures);
    return rc;
}

/* As much as a head among the tiles may take, and a picture of the directory. */
static int size_buf(struct covers *covers, uint64_t max)
{
    size_t longest, head = jpeg_head_size(max);

    know_some(covers);
    longest = longest_head(covers);
    return new_buf(covers, longest > head ? longest : head);
}

/* A spare from a tile, if there is one. 0, or -errno. */
static int open_tiles(struct covers *covers)
{
    size_t len;
    int rc = take_of_tile(covers, &len);

    if (rc)
        return passes(rc) ? rc : 0;
    log_note(
        "new tiles of '%s' show pictures of other tiles; 'mosaicfs mount --cover' changes that",
        covers->archive->path);
    return keep_spare(covers, covers->buf, len);
}

static int open_pictures(struct covers *covers, const struct covers_source *source)
{
    int rc = source->path[0] ? open_source(covers, source) : -ENODATA;

    if (rc && rc != -ENODATA)
        return rc;
    if (covers->spare && covers->pictures.fd < 0) { /* a file: it is all we need */
        drop_buf(covers);
        return 0;
    }
    rc = size_buf(covers, source->max);
    return rc || covers->spare ? rc : open_tiles(covers);
}

/* What stands before a tile, of which detect_archive() has found one. */
static int open_tail(struct covers *covers)
{
    uint64_t head = covers->archive->head;
    bool found = false;
    size_t got;
    int rc = head ? new_buf(covers, head) : 0;

    for (uint32_t tile = 0; head && !rc && !found; tile++) {
        struct stat st;
        int fd;

        if (folders_next(&covers->folders, tile, covers->folders.ntiles, &tile))
            break;
        if (open_tile(covers, tile, &fd))
            continue;
        found = fstat(fd, &st) == 0 &&
                (uint64_t)st.st_size ==
                    head + geometry_tile_len(&covers->archive->index.geometry, tile) &&
                io_pread(fd, covers->buf, head, 0, &got) == 0 && got == head;
        close(fd);
    }
    if (found)
        rc = keep_spare(covers, covers->buf, head);
    drop_buf(covers);
    return rc;
}

static int open_all(struct covers *covers, const struct covers_source *source)
{
    const struct index *index = &covers->archive->index;
    size_t longest;
    int rc = folders_init(&covers->folders, covers->archive->dirfd, index->layout,
                          index->geometry.ntiles);

    if (!rc)
        rc = index->layout->head == LAYOUT_TAIL ? open_tail(covers) : open_pictures(covers, source);
    if (rc || !covers->spare || index->layout->head == LAYOUT_TAIL)
        return rc;
    longest = covers->buf ? covers->buf_size : covers->spare_len;
    covers->head = malloc(jpeg_head_size(longest));
    return covers->head ? 0 : -ENOMEM;
}

int covers_open(const struct archive *archive, const struct covers_source *source,
                struct covers **out)
{
    struct covers *covers = calloc(1, sizeof(*covers));
    int rc = covers ? 0 : -ENOMEM;

    *out = NULL;
    if (!rc) {
        covers->archive = archive;
        covers->pictures.fd = -1;
        mutex_init(&covers->lock);
        rc = open_all(covers, source);
    }
    if (rc) {
        log_error("cannot prepare covers for archive '%s': %s", archive->path, strerror(-rc));
        covers_free(covers);
        return rc;
    }
    if (!covers->spare) {
        log_warn("archive '%s' has no picture for new tiles: writes that need a new tile will fail",
                 archive->path);
        log_note("unmount it, and mount it with '--cover FILE|DIR'");
    }
    *out = covers;
    return 0;
}

void covers_free(struct covers *covers)
{
    if (!covers)
        return;
    pictures_close(&covers->pictures);
    folders_release(&covers->folders);
    mutex_release(&covers->lock);
    free(covers->spare);
    free(covers->head);
    free(covers->buf);
    free(covers);
}

void covers_grow(struct covers *covers, uint32_t ntiles)
{
    if (covers)
        folders_grow(&covers->folders, ntiles);
}

int covers_fd(const struct covers *covers)
{
    return covers ? covers->pictures.fd : -1;
}

/* --- making ------------------------------------------------------------------ */

/* There is a spare. */
static void choose(struct covers *covers, const void **cover, size_t *len)
{
    int rc = covers->buf ? take_picture(covers, len) : -ENODATA;

    if (rc == -ENODATA && covers->buf)
        rc = take_of_tile(covers, len);
    *cover = covers->buf;
    if (!rc)
        return;
    *cover = covers->spare;
    *len = covers->spare_len;
}

static int make(struct covers *covers, uint32_t tile, const void **head, size_t *len)
{
    const struct index *index = &covers->archive->index;
    struct jpeg_tag tag = {.tile = tile, .geometry = index->geometry};
    const void *cover;
    int rc;

    if (index->layout->head == LAYOUT_TAIL) {
        *head = covers->spare;
        *len = covers->spare_len;
        return 0;
    }
    choose(covers, &cover, len);
    memcpy(tag.uuid, index->uuid, sizeof(tag.uuid));
    rc = jpeg_put(&tag, cover, *len, covers->head);
    *head = covers->head;
    *len = tag.payload;
    return rc;
}

int covers_make(struct covers *covers, uint32_t tile, covers_use *use, void *arg)
{
    const void *head;
    size_t len;
    int rc = -ENODATA;

    if (!covers)
        return rc;
    mutex_lock(&covers->lock);
    if (covers->spare)
        rc = make(covers, tile, &head, &len);
    if (!rc)
        rc = use(arg, head, len);
    mutex_unlock(&covers->lock);
    return rc;
}
