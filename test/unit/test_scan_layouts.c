/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is found in an archive of each layout, and what of it a repair would
 * move: never what could be the only copy of a tile. An archive here has 8
 * tiles, of which 0 and 1 exist.
 */
#include "check/scan.h"
#include "check/scan_kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "archive/detect.h"
#include "archive/tile_head.h"
#include "base/compiler.h"
#include "base/io.h"
#include "check/repair.h"
#include "check/reread.h"
#include "format/jpeg.h"
#include "owner/owner.h"

#define TILE 65536
#define NTILES 8
#define OTHER_UUID "6f1e3c52-0a1b-4c2d-8e3f-0123456789ab"
#define HEADS 5000 /* before the tiles of an archive of 2017 */

/* The pieces of a picture, which nobody decodes here. */
static const char picture[] = "\xff\xd8\xff\xe0\0\x07JFIF\0\xff\xdb\0\x05qqq\xff\xc0\0\x04"
                              "ff\xff\xc4\0\x03h\xff\xda\0\x03s"
                              "abc\xff\0def\xff\xd9";

struct fixture {
    struct tempstore temp;
    struct archive *archive; /* temp's */
    const struct layout *layout;
    struct geometry geometry;
    char uuid[HASH_UUID];
    struct scan scan;
    struct repair repair;
};

/* What is put somewhere. */
enum content {
    NOTHING,
    BYTES,      /* a few */
    A_TILE,     /* of this archive, in its layout */
    A_PICTURE,  /* the same as a jpeg tile, whatever the layout */
    OF_ANOTHER, /* likewise, of another archive */
    FOLDER,     /* with something in it */
    CUT_HEAD,   /* a tile whose picture is cut */
    CUT_TAG,    /* before it says whose it is */
    BAD_TAG,
    NO_TAG, /* a picture, and no tile */
    ANEW,   /* likewise, and nothing behind it */
    HEAD,   /* the picture of a tile, and nothing behind it */
    FULL,   /* a tile of full length */
    TOO_LONG,
    TOO_SHORT,
    OTHER_SIZE,  /* says that tiles have another size */
    BAD_PICTURE, /* one byte of the picture is another */
};

/* --- making ---------------------------------------------------------------- */

static void write_file(struct fixture *fx, const char *path, const void *bytes, size_t len)
{
    int fd = openat(fx->archive->dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    if (fd < 0)
        fail_msg("%s: %s", path, strerror(errno));
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

/* A tile behind a picture. Returns its head's length; file has room for a head and two tiles. */
static size_t picture_tile(const struct fixture *fx, enum content content, uint32_t tile,
                           char *file)
{
    struct jpeg_tag tag = {.tile = tile, .geometry = fx->geometry};

    strcpy(tag.uuid, content == OF_ANOTHER ? OTHER_UUID : fx->uuid);
    if (tile >= NTILES) /* from when the image was larger */
        assert_int_equal(geometry_init(&tag.geometry, 2 * NTILES * TILE, TILE), 0);
    if (content == OTHER_SIZE)
        assert_int_equal(geometry_init(&tag.geometry, 16 * TILE, 2 * TILE), 0);
    assert_int_equal(jpeg_put(&tag, picture, sizeof(picture) - 1, file), 0);
    return tag.payload;
}

/* Where the tag begins in the head that picture_tile() makes. */
static uint64_t tag_off(const char *file)
{
    uint64_t off;

    assert_int_equal(jpeg_find(file, FORMAT_JPEG_PROBE, &off), 0);
    return off;
}

static size_t behind_picture(const struct fixture *fx, enum content content, uint32_t tile,
                             char *file)
{
    size_t head = picture_tile(fx, content, tile, file);

    switch (content) {
    case CUT_HEAD:
        return head - 1;
    case CUT_TAG:
        return tag_off(file) + FORMAT_JPEG_SEGMENT - 1;
    case BAD_TAG:
        file[tag_off(file) + 40] ^= 1;
        break;
    case NO_TAG:
        memcpy(file, picture, sizeof(picture));
        break;
    case ANEW:
        memcpy(file, picture, sizeof(picture));
        return sizeof(picture) - 1;
    case BAD_PICTURE:
        file[tag_off(file) + FORMAT_JPEG_SEGMENT + 9] ^= 1;
        break;
    case HEAD:
        return head;
    case FULL:
        return head + TILE;
    case TOO_LONG:
        return head + TILE + 1;
    default:
        break;
    }
    return head + 100; /* tiles may be short */
}

static size_t fill_tile(const struct fixture *fx, enum content content, uint32_t tile, char *file)
{
    size_t len = TILE + (content == TOO_LONG) - (content == TOO_SHORT);

    memset(file, 'x', 3 * TILE);
    if (fx->layout->head == LAYOUT_PICTURE || content == A_PICTURE || content == OF_ANOTHER)
        return behind_picture(fx, content, tile, file);
    if (fx->layout->head == LAYOUT_BARE)
        return len;
    memcpy(file, picture, sizeof(picture) - 3); /* its scan is longer */
    memcpy(file + HEADS - 2, "\xff\xd9", 2);
    return HEADS + len;
}

static void put(struct fixture *fx, const char *path, enum content content, uint32_t tile)
{
    char *file = malloc(3 * TILE), inside[64];

    assert_non_null(file);
    if (content == BYTES) {
        write_file(fx, path, "bytes", 5);
    } else if (content == FOLDER) {
        assert_int_equal(mkdirat(fx->archive->dirfd, path, 0755), 0);
        snprintf(inside, sizeof(inside), "%s/inside", path);
        write_file(fx, inside, "x", 1);
    } else {
        write_file(fx, path, file, fill_tile(fx, content, tile, file));
    }
    free(file);
}

static void put_tile(struct fixture *fx, enum content content, uint32_t tile)
{
    char path[LAYOUT_PATH];

    fx->layout->tile_path(tile, path);
    put(fx, path, content, tile);
}

static void make_archive(struct fixture *fx)
{
    struct index index = {FORMAT_CURRENT, fx->geometry, fx->layout, "", false};
    char text[64];

    if (fx->layout != &layout_original && fx->layout != &layout_original_jpeg) {
        if (fx->layout != &layout_bundle)
            assert_int_equal(hash_uuid(index.uuid), 0);
        strcpy(fx->uuid, index.uuid);
        assert_int_equal(archive_create(fx->temp.path, &index), 0);
        assert_int_equal(archive_open_dir(fx->temp.path, fx->archive), 0);
        return;
    }
    assert_int_equal(mkdir(fx->temp.path, 0755), 0);
    assert_int_equal(archive_open_dir(fx->temp.path, fx->archive), 0);
    snprintf(text, sizeof(text), "1 %d %d\n", TILE, NTILES);
    write_file(fx, FORMAT_INDEX_NAME, text, strlen(text));
}

static void begin_empty(struct fixture *fx, const struct layout *layout)
{
    *fx = (struct fixture){.layout = layout, .archive = &fx->temp.archive};
    assert_int_equal(geometry_init(&fx->geometry, NTILES * TILE, TILE), 0);
    tempstore_make(&fx->temp);
    make_archive(fx);
}

static void begin(struct fixture *fx, const struct layout *layout)
{
    char path[LAYOUT_PATH];

    begin_empty(fx, layout);
    layout->folder_path(0, path);
    if (mkdirat(fx->archive->dirfd, path, 0755))
        assert_int_equal(errno, EEXIST);
    put_tile(fx, A_TILE, 0);
    put_tile(fx, A_TILE, 1);
}

static void end(struct fixture *fx)
{
    scan_release(&fx->scan);
    archive_close(fx->archive);
    tempstore_remove(&fx->temp);
}

/* A bundle cannot be read by a program without libplist. */
static const struct layout *nth(unsigned n)
{
    const struct layout *layout = layout_nth(n);

#ifndef HAVE_LIBPLIST
    if (layout == &layout_bundle)
        return NULL;
#endif
    return layout;
}

/* --- looking --------------------------------------------------------------- */

static void scan(struct fixture *fx)
{
    scan_release(&fx->scan);
    archive_close(fx->archive);
    assert_int_equal(archive_open_dir(fx->temp.path, fx->archive), 0);
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
}

static size_t count(const struct fixture *fx)
{
    size_t n = 0;

    for (size_t i = 0; i < fx->scan.n; i++)
        n += !scan_kinds_note(fx->scan.list[i].kind);
    return n;
}

static struct scan_finding *find(const struct fixture *fx, const char *path)
{
    for (size_t i = 0; i < fx->scan.n; i++)
        if (!strcmp(fx->scan.list[i].path, path))
            return &fx->scan.list[i];
    return NULL;
}

static bool has(const struct fixture *fx, enum scan_kind kind)
{
    for (size_t i = 0; i < fx->scan.n; i++)
        if (fx->scan.list[i].kind == kind)
            return true;
    return false;
}

static void nothing_is_wrong_with_good_archives(void **state)
{
    const struct layout *layout;
    struct fixture fx;

    (void)state;
    for (unsigned n = 0; (layout = nth(n)); n++) {
        begin(&fx, layout);
        scan(&fx);
        if (count(&fx) || fx.scan.tiles != 2 || fx.scan.layout != layout)
            fail_msg("%s: %zu findings, %u tiles, as %s", layout->name, count(&fx), fx.scan.tiles,
                     fx.scan.layout->name);
        assert_int_equal(reread_tiles(&fx.scan, NULL, NULL), 0);
        assert_int_equal(count(&fx), 0);
        end(&fx);
        begin_empty(&fx, layout);
        scan(&fx);
        assert_int_equal(count(&fx), 0);
        end(&fx);
    }
}

/* --- strays ---------------------------------------------------------------- */

struct stray {
    const struct layout *layout;
    const char *path;
    enum content content;
    uint32_t tile;
    enum scan_kind kind;
    const char *of;
    bool moves;
};

#define PLAIN &layout_plain
#define JPEG &layout_jpeg
#define OLD &layout_original
#define OLDJPEG &layout_original_jpeg
#define BUNDLE &layout_bundle

/* Tile 1 is there, tile 2 is not, 8 and 9 are behind the end. */
static const struct stray strays[] = {
    {PLAIN, "00/0001.conflict1", BYTES, 0, SCAN_CONFLICT, "00/0001", true},
    {PLAIN, "00/0002.conflict1", BYTES, 0, SCAN_CONFLICT, "00/0002", false},
    {PLAIN, "00/0001.jpg", BYTES, 0, SCAN_LAYOUT, "00/0001", true},
    {PLAIN, "00/0002.jpg", BYTES, 0, SCAN_LAYOUT, "00/0002", true},
    {PLAIN, "00/0002.jpg", A_PICTURE, 2, SCAN_LAYOUT, "00/0002", false},
    {PLAIN, "00/0001.jpg", OF_ANOTHER, 1, SCAN_LAYOUT, "00/0001", false},
    {PLAIN, "IMG_1.jpg", A_PICTURE, 1, SCAN_FOREIGN, "", true},
    {PLAIN, "IMG_1.jpg", A_PICTURE, 2, SCAN_FOREIGN, "", false},
    {PLAIN, "IMG_1.jpg", OF_ANOTHER, 1, SCAN_FOREIGN, "", false},
    {PLAIN, "IMG_1.jpg", NO_TAG, 1, SCAN_FOREIGN, "", true},
    {PLAIN, "0001", BYTES, 0, SCAN_TILE_MISPLACED, "00/0001", true},
    {PLAIN, "0002", BYTES, 0, SCAN_TILE_MISPLACED, "00/0002", false},
    {PLAIN, "00/0008", BYTES, 0, SCAN_TILE_OUTSIDE, "", true},
    {PLAIN, "photos", FOLDER, 0, SCAN_FOREIGN, "", true},
    {PLAIN, "00/0001.tmp", BYTES, 0, SCAN_TEMPORARY, "00/0001", true},

    {JPEG, "00/0001 (1).jpg", A_TILE, 1, SCAN_CONFLICT, "00/0001.jpg", true},
    {JPEG, "00/0002 (1).jpg", A_TILE, 2, SCAN_CONFLICT, "00/0002.jpg", false},
    {JPEG, "00/0002 (1).jpg", BYTES, 0, SCAN_CONFLICT, "00/0002.jpg", false},
    {JPEG, "00/0001 (1).jpg", A_TILE, 2, SCAN_TILE_MISPLACED, "00/0002.jpg", false},
    {JPEG, "00/0002 (1).jpg", A_TILE, 1, SCAN_TILE_MISPLACED, "00/0001.jpg", true},
    {JPEG, "00/0001 (1).jpg", OF_ANOTHER, 1, SCAN_CONFLICT, "00/0001.jpg", false},
    {JPEG, "00/0001", BYTES, 0, SCAN_LAYOUT, "00/0001.jpg", true},
    {JPEG, "00/0002", BYTES, 0, SCAN_LAYOUT, "00/0002.jpg", false},
    {JPEG, "00/0001", A_TILE, 1, SCAN_TILE_MISPLACED, "00/0001.jpg", true},
    {JPEG, "00/0002", A_TILE, 2, SCAN_TILE_MISPLACED, "00/0002.jpg", false},
    {JPEG, "00/0001", FOLDER, 0, SCAN_LAYOUT, "00/0001.jpg", false},
    {JPEG, "00/0001.JPG", A_TILE, 1, SCAN_SPELLING, "00/0001.jpg", true},
    {JPEG, "00/0002.JPG", A_TILE, 2, SCAN_SPELLING, "00/0002.jpg", false},
    {JPEG, "00/0002.JPG", A_TILE, 1, SCAN_TILE_MISPLACED, "00/0001.jpg", true},
    {JPEG, "0002.jpg", A_TILE, 2, SCAN_TILE_MISPLACED, "00/0002.jpg", false},
    {JPEG, "0001.jpg", A_TILE, 1, SCAN_TILE_MISPLACED, "00/0001.jpg", true},
    {JPEG, "0001.jpg", NO_TAG, 1, SCAN_TILE_MISPLACED, "00/0001.jpg", true},
    {JPEG, "IMG_1.jpg", A_TILE, 1, SCAN_TILE_MISPLACED, "00/0001.jpg", true},
    {JPEG, "00/IMG_1.jpg", A_TILE, 2, SCAN_TILE_MISPLACED, "00/0002.jpg", false},
    {JPEG, "IMG_1.jpg", A_TILE, 8, SCAN_TILE_OUTSIDE, "", false},
    {JPEG, "IMG_1.jpg", OF_ANOTHER, 1, SCAN_FOREIGN, "", false},
    {JPEG, "IMG_1.jpg", NO_TAG, 1, SCAN_FOREIGN, "", true},
    {JPEG, "IMG_1.jpg", BAD_TAG, 1, SCAN_FOREIGN, "", false},
    {JPEG, "IMG_1.jpg", BYTES, 1, SCAN_FOREIGN, "", true},
    {JPEG, "00/0008.jpg", BYTES, 0, SCAN_TILE_OUTSIDE, "", true},
    {JPEG, "00/0008.jpg", A_TILE, 8, SCAN_TILE_OUTSIDE, "", false},
    {JPEG, "00/0008.jpg", A_TILE, 2, SCAN_TILE_MISPLACED, "00/0002.jpg", false},
    {JPEG, "00/0008.jpg", OF_ANOTHER, 8, SCAN_TILE_OUTSIDE, "", false},
    {JPEG, "00/._0002.jpg", A_TILE, 2, SCAN_SERVICE, "", false},
    {JPEG, "photos", FOLDER, 0, SCAN_FOREIGN, "", false},
    {JPEG, "00/0001.jpg.tmp", BYTES, 0, SCAN_TEMPORARY, "00/0001.jpg", true},
    {JPEG, "00/0001.jpg.tmp", A_TILE, 1, SCAN_TEMPORARY, "00/0001.jpg", true},
    {JPEG, "00/0002.jpg.tmp", A_TILE, 2, SCAN_TEMPORARY, "00/0002.jpg", false},
    {JPEG, "00/0002.jpg.tmp", HEAD, 2, SCAN_TEMPORARY, "00/0002.jpg", true},
    {JPEG, "00/0002.jpg.part", A_TILE, 2, SCAN_UNFINISHED, "00/0002.jpg", false},
    {JPEG, "00/0001.jpg.part", A_TILE, 1, SCAN_UNFINISHED, "00/0001.jpg", true},
    {JPEG, "IMG_1.jpg.part", A_TILE, 2, SCAN_TILE_MISPLACED, "00/0002.jpg", false},
    {JPEG, "00/.syncthing.0001.jpg.tmp", A_TILE, 1, SCAN_UNFINISHED, "00/0001.jpg", true},
    {JPEG, "00/.syncthing.0002.jpg.tmp", BYTES, 2, SCAN_UNFINISHED, "00/0002.jpg", true},
    {JPEG, "00/.syncthing.0002.jpg.tmp", A_TILE, 2, SCAN_UNFINISHED, "00/0002.jpg", false},

    {OLD, "00/0001.conflict1", BYTES, 0, SCAN_CONFLICT, "00/0001", true},
    {OLD, "00/0002.conflict1", BYTES, 0, SCAN_CONFLICT, "00/0002", false},
    {OLD, "00/0001.jpg", BYTES, 0, SCAN_LAYOUT, "00/0001", false},
    {OLD, "00/0002.jpg", BYTES, 0, SCAN_LAYOUT, "00/0002", false},
    {OLD, "0001.jpg", BYTES, 0, SCAN_LAYOUT, "00/0001", false},
    {OLD, "00/0008.jpg", BYTES, 0, SCAN_FOREIGN, "", true},
    {OLD, "00/0008", BYTES, 0, SCAN_TILE_OUTSIDE, "", true},

    {OLDJPEG, "00/0001 (1).jpg", A_TILE, 1, SCAN_CONFLICT, "00/0001.jpg", true},
    {OLDJPEG, "00/0002 (1).jpg", A_TILE, 2, SCAN_CONFLICT, "00/0002.jpg", false},
    {OLDJPEG, "00/0001", BYTES, 0, SCAN_LAYOUT, "00/0001.jpg", false},
    {OLDJPEG, "00/0002", BYTES, 0, SCAN_LAYOUT, "00/0002.jpg", false},
    {OLDJPEG, "00/0002.JPG", A_TILE, 2, SCAN_SPELLING, "00/0002.jpg", false},
    {OLDJPEG, "00/0001.JPG", A_TILE, 1, SCAN_SPELLING, "00/0001.jpg", true},
    {OLDJPEG, "0002.jpg", A_TILE, 2, SCAN_TILE_MISPLACED, "00/0002.jpg", false},
    {OLDJPEG, "00/0008.jpg", A_TILE, 8, SCAN_TILE_OUTSIDE, "", true},
    {OLDJPEG, "holiday.jpg", NO_TAG, 0, SCAN_FOREIGN, "", true},
    {OLDJPEG, "00/0001.jpg.tmp", BYTES, 0, SCAN_TEMPORARY, "00/0001.jpg", true},

    {BUNDLE, "bands/1 (1)", BYTES, 0, SCAN_CONFLICT, "bands/1", true},
    {BUNDLE, "bands/2 (1)", BYTES, 0, SCAN_CONFLICT, "bands/2", false},
    {BUNDLE, "bands/01", BYTES, 0, SCAN_SPELLING, "bands/1", true},
    {BUNDLE, "bands/02", BYTES, 0, SCAN_SPELLING, "bands/2", false},
    {BUNDLE, "bands/8", BYTES, 0, SCAN_TILE_OUTSIDE, "", true},
    {BUNDLE, "bands/100000", BYTES, 0, SCAN_TILE_OUTSIDE, "", true},
    {BUNDLE, "bands/0A", BYTES, 0, SCAN_FOREIGN, "", true},
    {BUNDLE, "bands/1.jpg", BYTES, 0, SCAN_FOREIGN, "", true},
    {BUNDLE, "1", BYTES, 0, SCAN_TILE_MISPLACED, "bands/1", true},
    {BUNDLE, "2", BYTES, 0, SCAN_TILE_MISPLACED, "bands/2", false},
    {BUNDLE, "Bands", FOLDER, 0, SCAN_SPELLING, "bands", false},
    {BUNDLE, "bands (1)", FOLDER, 0, SCAN_CONFLICT, "bands", false},
    {BUNDLE, "bands copy", FOLDER, 0, SCAN_CONFLICT, "bands", false},
    {BUNDLE, "b2", FOLDER, 0, SCAN_FOREIGN, "", true},
    {BUNDLE, "Info (1).plist", BYTES, 0, SCAN_CONFLICT, "Info.plist", true},
    {BUNDLE, "Info.bckup.tmp", BYTES, 0, SCAN_TEMPORARY, "Info.bckup", true},
    {BUNDLE, "token (1)", BYTES, 0, SCAN_CONFLICT, "token", true},
    {BUNDLE, "mosaicfs.future", BYTES, 0, SCAN_RESERVED, "", false},
    {BUNDLE, "lock (1)", BYTES, 0, SCAN_CONFLICT, "lock", false},
    {BUNDLE, "mapped (1)", FOLDER, 0, SCAN_CONFLICT, "mapped", false},
    {BUNDLE, "lock", FOLDER, 0, SCAN_FOREIGN, "", true},
    {BUNDLE, "mapped", BYTES, 0, SCAN_FOREIGN, "", true},
    {BUNDLE, "bands/00000000000000000000002", BYTES, 0, SCAN_SPELLING, "bands/2", false},
    {BUNDLE, "com.apple.TimeMachine.MachineID.plist", BYTES, 0, SCAN_SERVICE, "", false},
    {BUNDLE, "bands/.DS_Store", BYTES, 0, SCAN_SERVICE, "", false},
};

static bool available(const struct layout *layout)
{
    const struct layout *other;

    for (unsigned n = 0; (other = nth(n)); n++)
        if (other == layout)
            return true;
    return false;
}

/* It is moved, and then nothing is left to find. */
static void move(struct fixture *fx, struct scan_finding *f)
{
    struct stat st;

    assert_true(scan_still(&fx->scan, f));
    assert_int_equal(repair_open(fx->archive, &fx->repair), 0);
    assert_int_equal(repair_move(&fx->repair, f), 0);
    assert_int_equal(fstatat(fx->archive->dirfd, f->moved, &st, AT_SYMLINK_NOFOLLOW), 0);
    repair_close(&fx->repair);
    scan(fx);
    assert_int_equal(count(fx), 0);
    assert_int_equal(fx->scan.tiles, 2);
}

static void try_stray(const struct stray *stray)
{
    struct scan_finding *f;
    struct fixture fx;
    bool may, mixed;

    begin(&fx, stray->layout);
    put(&fx, stray->path, stray->content, stray->tile);
    scan(&fx);
    f = find(&fx, stray->path);
    may = f && scan_may_move(&fx.scan, f);
    if (!f || f->kind != stray->kind || strcmp(f->of, stray->of) != 0 || may != stray->moves)
        fail_msg("%s, '%s' with %d: kind %d of '%s', %s", stray->layout->name, stray->path,
                 stray->content, f ? (int)f->kind : -1, f ? f->of : "", may ? "moves" : "stays");
    mixed = stray->kind == SCAN_LAYOUT && stray->layout->rival_path && strchr(stray->path, '/');
    assert_int_equal(has(&fx, SCAN_LAYOUTS_MIXED), mixed);
    assert_int_equal(count(&fx), !scan_kinds_note(f->kind) + mixed);
    if (may)
        move(&fx, f);
    end(&fx);
}

static void strays_are_told_and_only_copies_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(strays); i++)
        if (available(strays[i].layout))
            try_stray(&strays[i]);
}

/* --- in the place of a tile ------------------------------------------------ */

static const struct {
    const struct layout *layout;
    enum content content;
    uint32_t tile; /* that it says it is; it stands in the place of 2 */
    enum scan_kind kind;
} tiles[] = {
    {PLAIN, A_TILE, 2, SCAN_FINE},
    {PLAIN, TOO_LONG, 2, SCAN_TILE_LONG},
    {PLAIN, TOO_SHORT, 2, SCAN_FINE},
    {OLD, TOO_LONG, 2, SCAN_TILE_LONG},
    {OLD, TOO_SHORT, 2, SCAN_TILE_SHORT},
    {OLDJPEG, A_TILE, 2, SCAN_FINE},
    {OLDJPEG, TOO_LONG, 2, SCAN_TILE_LONG},
    {OLDJPEG, TOO_SHORT, 2, SCAN_TILE_SHORT},
    {OLDJPEG, BYTES, 2, SCAN_TILE_SHORT},
    {BUNDLE, A_TILE, 2, SCAN_FINE},
    {BUNDLE, TOO_LONG, 2, SCAN_TILE_LONG},
    {BUNDLE, BYTES, 2, SCAN_FINE},
    {BUNDLE, FOLDER, 2, SCAN_TILE_TYPE},
    {JPEG, A_TILE, 2, SCAN_FINE},
    {JPEG, FULL, 2, SCAN_FINE},
    {JPEG, FOLDER, 2, SCAN_TILE_TYPE},
    {JPEG, BYTES, 2, SCAN_TILE_CUT},
    {JPEG, CUT_HEAD, 2, SCAN_TILE_CUT},
    {JPEG, CUT_TAG, 2, SCAN_TILE_CUT},
    {JPEG, BAD_TAG, 2, SCAN_TILE_HEAD},
    {JPEG, NO_TAG, 2, SCAN_TILE_NONE},
    {JPEG, ANEW, 2, SCAN_TILE_NONE},
    {JPEG, OF_ANOTHER, 2, SCAN_TILE_STRANGER},
    {JPEG, OF_ANOTHER, 1, SCAN_TILE_STRANGER},
    {JPEG, A_TILE, 3, SCAN_TILE_SWAPPED},
    {JPEG, A_TILE, 1, SCAN_TILE_SWAPPED},
    {JPEG, OTHER_SIZE, 2, SCAN_TILE_HEAD},
    {JPEG, TOO_LONG, 2, SCAN_TILE_LONG},
    {JPEG, BAD_PICTURE, 2, SCAN_FINE},
};

/* Whoever reads the drive is refused the tile. */
static bool refused(struct fixture *fx)
{
    char path[LAYOUT_PATH];
    const char *why;
    uint64_t payload;
    struct stat st;
    int rc, fd;

    fx->layout->tile_path(2, path);
    fd = openat(fx->archive->dirfd, path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    rc = tile_head_look(fx->archive, 2, fd, (uint64_t)st.st_size, &payload, &why);
    close(fd);
    return rc != 0 || S_ISDIR(st.st_mode) ||
           (!fx->layout->short_tiles && (uint64_t)st.st_size < payload + TILE);
}

static void what_a_mount_refuses_is_found_and_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tiles); i++) {
        enum scan_kind kind = tiles[i].kind;
        const struct scan_finding *f;
        char path[LAYOUT_PATH];
        struct fixture fx;

        if (!available(tiles[i].layout))
            continue;
        begin(&fx, tiles[i].layout);
        fx.layout->tile_path(2, path);
        put(&fx, path, tiles[i].content, tiles[i].tile);
        scan(&fx);
        f = find(&fx, path);
        if ((f ? f->kind : SCAN_FINE) != kind || count(&fx) != (f != NULL) ||
            (f && scan_may_move(&fx.scan, f)))
            fail_msg("%s, with %d of %u: kind %d", fx.layout->name, tiles[i].content, tiles[i].tile,
                     f ? (int)f->kind : 0);
        if (kind == SCAN_TILE_SWAPPED)
            assert_int_equal(f->tile, tiles[i].tile);
        assert_int_equal(fx.scan.tiles, 2 + (kind == SCAN_FINE || kind == SCAN_TILE_LONG ||
                                             kind == SCAN_TILE_SHORT));
        if (fx.layout == BUNDLE && kind != SCAN_TILE_TYPE)
            assert_int_equal(detect_archive(fx.archive), 0);
        /* Only behind pictures of one length does a longer file shift the bytes. */
        assert_int_equal(refused(&fx),
                         kind != SCAN_FINE && (kind != SCAN_TILE_LONG || fx.layout == OLDJPEG));
        end(&fx);
    }
}

/* A copy of a tile that is there and damaged is as good as a copy of none. */
static void copies_of_damaged_tiles_stay(void **state)
{
    static const struct {
        const struct layout *layout;
        enum content content;
        const char *copy;
    } copies[] = {
        {PLAIN, TOO_LONG, "00/0001 (1)"},        {OLD, TOO_SHORT, "00/0001 (1)"},
        {OLDJPEG, TOO_SHORT, "00/0001 (1).jpg"}, {OLDJPEG, TOO_LONG, "00/0001 (1).jpg"},
        {JPEG, BAD_TAG, "00/0001 (1).jpg"},      {JPEG, CUT_HEAD, "00/0001.JPG"},
        {JPEG, OF_ANOTHER, "IMG_1.jpg"},         {BUNDLE, TOO_LONG, "bands/1 (1)"},
        {BUNDLE, TOO_LONG, "bands/01"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(copies); i++) {
        struct fixture fx;

        if (!available(copies[i].layout))
            continue;
        begin(&fx, copies[i].layout);
        put(&fx, copies[i].copy, A_TILE, 1);
        scan(&fx);
        assert_true(scan_may_move(&fx.scan, find(&fx, copies[i].copy)));
        put_tile(&fx, copies[i].content, 1);
        scan(&fx);
        assert_int_equal(count(&fx), 2);
        assert_true(find(&fx, copies[i].copy)->lone);
        assert_false(scan_may_move(&fx.scan, find(&fx, copies[i].copy)));
        end(&fx);
    }
}

static void a_changed_picture_is_found_by_reading(void **state)
{
    struct scan_finding *f;
    struct fixture fx;

    (void)state;
    begin(&fx, JPEG);
    put_tile(&fx, BAD_PICTURE, 1);
    put(&fx, "00/0001 (1).jpg", A_TILE, 1);
    scan(&fx);
    assert_int_equal(count(&fx), 1);
    f = find(&fx, "00/0001 (1).jpg");
    assert_true(scan_may_move(&fx.scan, f));
    assert_int_equal(reread_tiles(&fx.scan, NULL, NULL), 0);
    assert_int_equal(count(&fx), 2);
    assert_int_equal(find(&fx, "00/0001.jpg")->kind, SCAN_PICTURE_CHANGED);
    assert_true(scan_still(&fx.scan, find(&fx, "00/0001.jpg")));
    assert_false(scan_may_move(&fx.scan, find(&fx, "00/0001.jpg")));
    /* It is not known to be the worse one any more. */
    assert_false(scan_may_move(&fx.scan, find(&fx, "00/0001 (1).jpg")));
    end(&fx);
}

/* --- two kinds of names ---------------------------------------------------- */

static void mixture(const struct layout *layout, const char *both, const char *other,
                    const char *third)
{
    const struct scan_finding *f;
    struct fixture fx;

    begin(&fx, layout);
    put(&fx, both, BYTES, 0);
    put(&fx, other, BYTES, 0);
    put(&fx, third, BYTES, 0);
    put_tile(&fx, A_TILE, 4);
    put_tile(&fx, A_TILE, 5);
    scan(&fx);
    assert_ptr_equal(fx.scan.layout, layout);
    f = find(&fx, "");
    assert_non_null(f);
    assert_int_equal(f->kind, SCAN_LAYOUTS_MIXED);
    assert_int_equal(f->both, 1);
    assert_int_equal(f->size, 3);
    assert_int_equal(f->want, 2);
    assert_true(scan_still(&fx.scan, f));
    assert_false(scan_may_move(&fx.scan, f));
    assert_false(find(&fx, both)->lone);
    assert_true(find(&fx, other)->lone);
    assert_int_equal(count(&fx), 4);
    assert_true(fx.scan.rivals_filled);
    write_file(&fx, both, "", 0);
    write_file(&fx, other, "", 0);
    scan(&fx);
    assert_true(fx.scan.rivals_filled);
    write_file(&fx, third, "", 0);
    scan(&fx);
    assert_false(fx.scan.rivals_filled);
    end(&fx);
}

static void tiles_by_two_kinds_of_names_are_counted(void **state)
{
    (void)state;
    mixture(OLD, "00/0001.jpg", "00/0002.jpg", "00/0003.jpg");
    mixture(OLDJPEG, "00/0001", "00/0002", "00/0003");
    mixture(JPEG, "00/0001", "00/0002", "00/0003");
}

/* Other names make no mixture, though one in upper case is refused, too; nor do strays in format 2.
 */
static void not_all_pictures_make_a_mixture(void **state)
{
    struct fixture fx;

    (void)state;
    begin(&fx, OLD);
    put(&fx, "0001.jpg", BYTES, 0);
    put(&fx, "00/0001.JPG", BYTES, 0);
    put(&fx, "00/0008.jpg", BYTES, 0);
    put(&fx, "00/0101.jpg", BYTES, 0);
    assert_int_equal(mkdirat(fx.archive->dirfd, "01", 0755), 0);
    put(&fx, "01/0001.jpg", BYTES, 0);
    scan(&fx);
    assert_false(has(&fx, SCAN_LAYOUTS_MIXED));
    assert_int_equal(find(&fx, "01/0001.jpg")->kind, SCAN_LAYOUT);
    assert_int_equal(count(&fx), 5);
    archive_close(fx.archive);
    assert_int_equal(archive_open(fx.temp.path, fx.archive), -ENOTSUP);
    assert_int_equal(archive_open_dir(fx.temp.path, fx.archive), 0);
    assert_int_equal(unlinkat(fx.archive->dirfd, "00/0001.JPG", 0), 0);
    archive_close(fx.archive);
    assert_int_equal(archive_open(fx.temp.path, fx.archive), 0);
    end(&fx);
    begin(&fx, PLAIN);
    put(&fx, "00/0001.jpg", BYTES, 0);
    scan(&fx);
    assert_false(has(&fx, SCAN_LAYOUTS_MIXED));
    end(&fx);
}

static void pictures_of_all_lengths(void **state)
{
    struct fixture fx;
    char *file = calloc(1, 2 * TILE);

    (void)state;
    assert_non_null(file);
    begin(&fx, OLDJPEG);
    write_file(&fx, "00/0000.jpg", file, TILE + 1000);
    write_file(&fx, "00/0001.jpg", file, TILE + 2000);
    scan(&fx);
    assert_int_equal(count(&fx), 1);
    assert_true(has(&fx, SCAN_HEADS_UNKNOWN));
    archive_close(fx.archive);
    assert_int_equal(archive_open(fx.temp.path, fx.archive), -EBADMSG);
    scan(&fx);
    /* Most agree. */
    write_file(&fx, "00/0002.jpg", file, TILE + 2000);
    write_file(&fx, "00/0003.jpg", file, TILE + 1500);
    scan(&fx);
    assert_int_equal(fx.archive->head, 2000);
    assert_int_equal(count(&fx), 2);
    assert_int_equal(find(&fx, "00/0000.jpg")->kind, SCAN_TILE_SHORT);
    assert_int_equal(find(&fx, "00/0000.jpg")->picture, 0);
    /* And one whole picture knows better. */
    put_tile(&fx, A_TILE, 4);
    scan(&fx);
    assert_int_equal(fx.archive->head, HEADS);
    assert_int_equal(count(&fx), 4);
    /* Which picture a file of a wrong length begins with. */
    memcpy(file, picture, sizeof(picture) - 1);
    write_file(&fx, "00/0000.jpg", file, sizeof(picture) - 1 + TILE);
    put_tile(&fx, TOO_LONG, 1);
    put_tile(&fx, TOO_SHORT, 2);
    scan(&fx);
    assert_int_equal(find(&fx, "00/0000.jpg")->kind, SCAN_TILE_SHORT);
    assert_int_equal(find(&fx, "00/0000.jpg")->picture, sizeof(picture) - 1);
    assert_int_equal(find(&fx, "00/0001.jpg")->kind, SCAN_TILE_LONG);
    assert_int_equal(find(&fx, "00/0001.jpg")->picture, HEADS);
    assert_int_equal(find(&fx, "00/0002.jpg")->kind, SCAN_TILE_SHORT);
    assert_int_equal(find(&fx, "00/0002.jpg")->picture, HEADS);
    free(file);
    end(&fx);
}

/* --- what keeps a repair from moving ----------------------------------------- */

static bool moves(struct fixture *fx, const char *path)
{
    scan(fx);
    assert_non_null(find(fx, path));
    return scan_may_move(&fx->scan, find(fx, path));
}

/* It may be the one that is missing, renamed. */
static void a_directory_stays_while_a_folder_is_missing(void **state)
{
    struct fixture fx;

    (void)state;
    begin_empty(&fx, OLD);
    put(&fx, "photos", FOLDER, 0);
    put(&fx, "stray", BYTES, 0);
    assert_false(moves(&fx, "photos"));
    assert_true(moves(&fx, "stray"));
    assert_int_equal(mkdirat(fx.archive->dirfd, "00", 0755), 0);
    assert_true(moves(&fx, "photos"));
    end(&fx);
}

static void an_interrupted_reindex_comes_first(void **state)
{
    struct fixture fx;
    struct owner owner;

    (void)state;
    begin(&fx, JPEG);
    put(&fx, "holiday.jpg", NO_TAG, 0);
    assert_true(moves(&fx, "holiday.jpg"));
    assert_int_equal(owner_take(&owner, fx.archive, "", false), 0);
    write_file(&fx, FORMAT_REINDEX_NAME, "", 0);
    scan_release(&fx.scan);
    assert_int_equal(scan_run(fx.archive, &fx.scan), 0); /* scan() would give up the lock */
    assert_null(find(&fx, FORMAT_REINDEX_NAME));         /* it is under way */
    owner_drop(&owner);
    assert_false(moves(&fx, FORMAT_REINDEX_NAME));
    assert_int_equal(find(&fx, FORMAT_REINDEX_NAME)->kind, SCAN_REINDEX_UNFINISHED);
    assert_true(scan_still(&fx.scan, find(&fx, FORMAT_REINDEX_NAME)));
    assert_false(moves(&fx, "holiday.jpg"));
    assert_int_equal(unlinkat(fx.archive->dirfd, FORMAT_REINDEX_NAME, 0), 0);
    assert_false(scan_still(&fx.scan, find(&fx, FORMAT_REINDEX_NAME)));
    assert_true(moves(&fx, "holiday.jpg"));
    end(&fx);
}

/* --- without an index ------------------------------------------------------ */

static void a_lost_index_is_missed_on_every_layout(void **state)
{
    const struct layout *layout, *guess;
    struct fixture fx;

    (void)state;
    for (unsigned n = 0; (layout = nth(n)); n++) {
        begin(&fx, layout);
        put(&fx, "stray", BYTES, 0);
        if (layout != BUNDLE)
            put(&fx, "bands", FOLDER, 0); /* no reason to take it for a bundle */
        assert_int_equal(unlinkat(fx.archive->dirfd, layout->index, 0), 0);
        if (layout->spare_index)
            assert_int_equal(unlinkat(fx.archive->dirfd, layout->spare_index, 0), 0);
        scan(&fx);
        guess = layout == PLAIN ? OLD : layout;
        if (fx.scan.layout != guess || fx.scan.indexed || fx.scan.tiles != 2)
            fail_msg("%s: %u tiles, as %s", layout->name, fx.scan.tiles, fx.scan.layout->name);
        assert_int_equal(find(&fx, layout->index)->kind, SCAN_INDEX_MISSING);
        assert_false(scan_may_move(&fx.scan, find(&fx, "stray")));
        assert_int_equal(count(&fx), layout == BUNDLE ? 2 : 3);
        write_file(&fx, layout->index, "<nonsense", 9);
        scan(&fx);
        assert_int_equal(find(&fx, layout->index)->kind, SCAN_INDEX_DAMAGED);
        end(&fx);
    }
}

static void without_an_index_pictures_still_tell(void **state)
{
    struct fixture fx;

    (void)state;
    begin(&fx, JPEG);
    assert_int_equal(unlinkat(fx.archive->dirfd, FORMAT_INDEX_NAME, 0), 0);
    put_tile(&fx, CUT_HEAD, 2);
    put(&fx, "00/0003.jpg", A_TILE, 4);
    put(&fx, "IMG_1.jpg", A_TILE, 5);
    put_tile(&fx, TOO_LONG, 6);
    scan(&fx);
    assert_int_equal(count(&fx), 4);
    assert_int_equal(find(&fx, "00/0002.jpg")->kind, SCAN_TILE_CUT);
    assert_int_equal(find(&fx, "00/0003.jpg")->kind, SCAN_TILE_SWAPPED);
    assert_int_equal(find(&fx, "IMG_1.jpg")->kind, SCAN_TILE_MISPLACED);
    assert_int_equal(find(&fx, "IMG_1.jpg")->tile, 5);
    end(&fx);
}

/* --- a sparse bundle ------------------------------------------------------- */

#ifdef HAVE_LIBPLIST

static void replace(struct fixture *fx, const char *name, uint64_t size, uint64_t tile_size)
{
    struct fixture other = {.layout = BUNDLE, .archive = &other.temp.archive};
    char text[FORMAT_INDEX_MAX];
    size_t len;

    assert_int_equal(geometry_init(&other.geometry, size, tile_size), 0);
    tempstore_make(&other.temp);
    make_archive(&other);
    assert_int_equal(
        io_read_file(other.archive->dirfd, FORMAT_BUNDLE_INDEX, text, sizeof(text), &len), 0);
    write_file(fx, name, text, len);
    end(&other);
}

static const char too_large[] =
    "<plist version=\"1.0\"><dict><key>band-size</key><integer>512</integer>"
    "<key>bundle-backingstore-version</key><integer>1</integer><key>diskimage-bundle-type</key>"
    "<string>com.apple.diskimage.sparsebundle</string><key>size</key>"
    "<integer>4611686018427387904</integer></dict></plist>";

static void the_files_of_a_bundle(void **state)
{
    struct fixture fx;

    (void)state;
    begin(&fx, BUNDLE);
    put(&fx, "bands/8", BYTES, 0);
    assert_int_equal(unlinkat(fx.archive->dirfd, "Info.plist", 0), 0);
    scan(&fx);
    assert_true(fx.scan.indexed);
    assert_int_equal(fx.scan.tiles, 2);
    assert_int_equal(count(&fx), 2);
    assert_int_equal(find(&fx, "Info.plist")->kind, SCAN_INDEX_MISSING);
    /* The copy may be older than the image. */
    assert_false(scan_may_move(&fx.scan, find(&fx, "bands/8")));
    write_file(&fx, "Info.plist", "<nonsense", 9);
    scan(&fx);
    assert_true(fx.scan.indexed);
    assert_int_equal(find(&fx, "Info.plist")->kind, SCAN_INDEX_DAMAGED);
    replace(&fx, "Info.plist", 4 * TILE, TILE);
    scan(&fx);
    assert_int_equal(find(&fx, "Info.bckup")->kind, SCAN_SPARE_DIFFERS);
    assert_int_equal(find(&fx, "Info.bckup")->size, 8 * TILE);
    assert_int_equal(find(&fx, "Info.bckup")->want, 4 * TILE);
    assert_false(scan_may_move(&fx.scan, find(&fx, "bands/8")));
    write_file(&fx, "Info.plist", too_large, sizeof(too_large) - 1);
    scan(&fx);
    assert_int_equal(find(&fx, "Info.plist")->kind, SCAN_INDEX_UNUSABLE);
    assert_null(find(&fx, "Info.bckup"));
    assert_false(fx.scan.indexed);
    replace(&fx, "Info.plist", 4 * TILE, TILE);
    write_file(&fx, "Info.bckup", "<nonsense", 9);
    scan(&fx);
    assert_int_equal(find(&fx, "Info.bckup")->kind, SCAN_SPARE_DAMAGED);
    assert_true(scan_may_move(&fx.scan, find(&fx, "bands/8")));
    assert_false(scan_may_move(&fx.scan, find(&fx, "Info.bckup")));
    assert_int_equal(unlinkat(fx.archive->dirfd, "Info.bckup", 0), 0);
    scan(&fx);
    assert_int_equal(find(&fx, "Info.bckup")->kind, SCAN_SPARE_MISSING);
    assert_int_equal(count(&fx), 1);
    end(&fx);
}

static void an_index_in_the_place_of_another(void **state)
{
    struct fixture fx;

    (void)state;
    begin(&fx, BUNDLE);
    write_file(&fx, "Info.plist", "1 65536 8\n", 10);
    scan(&fx);
    assert_int_equal(count(&fx), 1);
    assert_int_equal(find(&fx, "Info.plist")->kind, SCAN_INDEX_DAMAGED);
    replace(&fx, "Info.plist", 8 * TILE, TILE);
    write_file(&fx, "Info.bckup", "1 65536 8\n", 10);
    scan(&fx);
    assert_int_equal(count(&fx), 1);
    assert_int_equal(find(&fx, "Info.bckup")->kind, SCAN_SPARE_DAMAGED);
    replace(&fx, "Info.bckup", 8 * TILE, 2 * TILE);
    scan(&fx);
    assert_int_equal(count(&fx), 1);
    assert_int_equal(find(&fx, "Info.bckup")->kind, SCAN_SPARE_DIFFERS);
    /* By the name of its index it is known as a bundle. */
    write_file(&fx, "Info.plist", "<nonsense", 9);
    write_file(&fx, "Info.bckup", "<nonsense", 9);
    assert_int_equal(renameat(fx.archive->dirfd, "bands", fx.archive->dirfd, "mapped"), 0);
    scan(&fx);
    assert_ptr_equal(fx.scan.layout, BUNDLE);
    assert_int_equal(count(&fx), 3);
    end(&fx);
}

static void a_bundle_without_its_folder(void **state)
{
    struct fixture fx;

    (void)state;
    begin(&fx, BUNDLE);
    assert_int_equal(renameat(fx.archive->dirfd, "bands", fx.archive->dirfd, "mapped"), 0);
    scan(&fx);
    assert_int_equal(count(&fx), 1);
    assert_int_equal(find(&fx, "bands")->kind, SCAN_FOLDER_MISSING);
    assert_true(scan_still(&fx.scan, find(&fx, "bands")));
    put(&fx, "b2", FOLDER, 0);
    assert_false(moves(&fx, "b2"));
    put(&fx, "bands copy", FOLDER, 0);
    assert_false(moves(&fx, "bands copy"));
    archive_close(fx.archive);
    assert_int_equal(archive_open(fx.temp.path, fx.archive), -ENOENT);
    end(&fx);
}

static void the_token_of_a_bundle(void **state)
{
    struct fixture fx;

    (void)state;
    begin(&fx, BUNDLE);
    write_file(&fx, "token", "encrcdsa and a key", 18);
    scan(&fx);
    assert_int_equal(count(&fx), 1);
    assert_int_equal(find(&fx, "token")->kind, SCAN_TOKEN_ENCRYPTED);
    assert_false(scan_may_move(&fx.scan, find(&fx, "token")));
    assert_int_equal(unlinkat(fx.archive->dirfd, "token", 0), 0);
    scan(&fx);
    assert_int_equal(find(&fx, "token")->kind, SCAN_TOKEN_MISSING);
    put(&fx, "token", FOLDER, 0);
    scan(&fx);
    assert_int_equal(find(&fx, "token")->kind, SCAN_TOKEN_UNREADABLE);
    assert_int_equal(count(&fx), 1);
    end(&fx);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wrong_with_good_archives),
        cmocka_unit_test(strays_are_told_and_only_copies_stay),
        cmocka_unit_test(what_a_mount_refuses_is_found_and_stays),
        cmocka_unit_test(copies_of_damaged_tiles_stay),
        cmocka_unit_test(a_changed_picture_is_found_by_reading),
        cmocka_unit_test(tiles_by_two_kinds_of_names_are_counted),
        cmocka_unit_test(not_all_pictures_make_a_mixture),
        cmocka_unit_test(pictures_of_all_lengths),
        cmocka_unit_test(a_directory_stays_while_a_folder_is_missing),
        cmocka_unit_test(an_interrupted_reindex_comes_first),
        cmocka_unit_test(a_lost_index_is_missed_on_every_layout),
        cmocka_unit_test(without_an_index_pictures_still_tell),
#ifdef HAVE_LIBPLIST
        cmocka_unit_test(the_files_of_a_bundle),
        cmocka_unit_test(the_token_of_a_bundle),
        cmocka_unit_test(an_index_in_the_place_of_another),
        cmocka_unit_test(a_bundle_without_its_folder),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
