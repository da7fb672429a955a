/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What other programs make of tile files must never look like zeros: names that
 * mean a tile and are none, before an archive is opened and while it is in use,
 * and files that are cut while they are open.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../note.h"
#include "../tempstore.h"
#include "base/compiler.h"
#include "base/log.h"
#include "image/image.h"

#define TILE UINT64_C(65536)
#define NTILES 11000 /* so that a folder's name has a letter, 0a */

static struct tempstore temp;

static const char *in_archive(const char *name)
{
    static char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", temp.path, name);
    return path;
}

/* Opened, with one tile, the last. */
static struct store *begin(const struct layout *layout)
{
    struct geometry geo;
    struct store *st;

    assert_int_equal(geometry_init(&geo, NTILES * TILE, TILE), 0);
    tempstore_make(&temp);
    tempstore_create_as(&temp, &geo, layout);
    st = tempstore_open(&temp, false, 64);
    note_all(st);
    assert_int_equal(store_create(st, NTILES - 1), 0);
    return st;
}

static void end(struct store *st)
{
    store_close(st);
    tempstore_remove(&temp);
}

static void plant(const char *name)
{
    char folder[LAYOUT_PATH];
    int fd;

    snprintf(folder, sizeof(folder), "%.*s", (int)strcspn(name, "/"), name);
    assert_true(mkdir(in_archive(folder), 0755) == 0 || errno == EEXIST);
    fd = open(in_archive(name), O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

/* --- before it is opened ------------------------------------------------------ */

static const struct {
    const char *name;
    int jpeg, original, original_jpeg;
} names[] = {
    {"00/0001.JPG", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"00/0001.Jpg", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"00/0001.jpeg", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"00/0001.JPEG", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"00/000A.jpg", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"00/00vV.JPG", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"00/000A", 0, -ENOTSUP, -ENOTSUP}, /* of jpeg that tile alone is refused */
    {"0A/0a00.jpg", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"0A/0A00.JPG", -ENOTSUP, -ENOTSUP, -ENOTSUP},
    {"0A/0a00", 0, -ENOTSUP, -ENOTSUP},
    {"00/0001", 0, 0, -ENOTSUP},
    {"00/0001.jpg", 0, -ENOTSUP, 0},
    /* in nobody's way */
    {"00/000A.jpg.tmp", 0, 0, 0},
    {"00/0001 (1).JPG", 0, 0, 0},
    {"00/0001.JPG.jpg", 0, 0, 0},
    {"00/0001.jpe", 0, 0, 0},
    {"00/001.JPG", 0, 0, 0},
    {"00/0100.JPG", 0, 0, 0}, /* in a wrong folder */
    {"vv/vvvv.JPG", 0, 0, 0}, /* past the end */
    {"0A/notes.JPG", 0, 0, 0},
    {"VV/0a00.jpg", 0, 0, 0},
    {"ABC/0a00.jpg", 0, 0, 0},
};

static void try_names(const struct layout *layout, size_t column)
{
    store_close(begin(layout));
    tempstore_close(&temp);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const int *row = &names[i].jpeg;
        int rc;

        if (access(in_archive(names[i].name), F_OK) == 0)
            continue;
        plant(names[i].name);
        rc = archive_open(temp.path, &temp.archive);
        if (!rc)
            tempstore_close(&temp);
        if (rc != row[column])
            fail_msg("%s: '%s': %d", layout->name, names[i].name, rc);
        assert_int_equal(unlink(in_archive(names[i].name)), 0);
    }
    tempstore_remove(&temp);
}

static void names_that_mean_a_tile_are_refused(void **state)
{
    (void)state;
    try_names(&layout_jpeg, 0);
    try_names(&layout_original, 1);
    try_names(&layout_original_jpeg, 2);
}

/* They say nothing, and nobody lists them. */
static void plain_tiles_are_not_listed(void **state)
{
    (void)state;
    store_close(begin(&layout_plain));
    tempstore_close(&temp);
    plant("00/000A");
    plant("00/0001.JPG");
    assert_int_equal(archive_open(temp.path, &temp.archive), 0);
    tempstore_remove(&temp);
}

/* --- while it is open ---------------------------------------------------------- */

/* Tile 10 is there by a name of somebody else. */
static void assert_unusable(struct store *st)
{
    struct store_stat stat;
    uint64_t off;
    uint32_t found;
    bool empty;
    char byte;

    assert_int_equal(store_read(st, 10, 0, &byte, 1), -EIO);
    assert_int_equal(store_write(st, 10, 0, "x", 1), -EIO);
    assert_int_equal(store_create(st, 10), -EIO);
    assert_int_equal(store_remove(st, 10), -EIO);
    assert_int_equal(store_zero(st, 10, 0, TILE, &empty), -EIO);
    assert_int_equal(store_stat(st, 10, &stat), -EIO);
    assert_int_equal(store_seek(st, 10, 0, STORE_DATA, &off), -EIO);
    assert_int_equal(store_seek(st, 10, 0, STORE_HOLE, &off), -EIO);
    /* So that nobody who looks for data passes it over. */
    for (uint32_t tile = 0; tile <= 10; tile++) {
        assert_int_equal(store_next(st, tile, store_geometry(st)->ntiles, &found), 0);
        assert_int_equal(found, 10);
    }
    assert_int_equal(store_next(st, 11, store_geometry(st)->ntiles, &found), 0);
    assert_int_equal(found, NTILES - 1);
}

static void rivals_are_present_and_unusable(void **state)
{
    const struct layout *layout;

    (void)state;
    for (unsigned i = 0; (layout = layouts_nth(i)); i++) {
        struct store *st = begin(layout);
        char path[LAYOUT_PATH];

        for (unsigned n = 0; layout->rival_path && layout->rival_path(10, n, path); n++) {
            plant(path);
            assert_unusable(st);
            assert_int_equal(unlink(in_archive(path)), 0);
        }
        end(st);
    }
}

/* The first tiles are absent: a copy that looks for data must come upon the error. */
static void a_sparse_copy_is_told(void **state)
{
    struct store *st = begin(&layout_jpeg);
    struct image *img;
    uint64_t found;

    (void)state;
    plant("00/0001");
    assert_int_equal(image_open(st, false, &img), 0);
    assert_int_equal(image_seek(img, 0, STORE_DATA, &found), -EIO);
    assert_int_equal(unlink(in_archive("00/0001")), 0);
    assert_int_equal(image_seek(img, 0, STORE_DATA, &found), -ENXIO);
    assert_int_equal(image_close(img), 0);
    tempstore_remove(&temp);
}

/* Where names are tried instead of listed, too. */
static void rivals_before_many_tiles_are_found(void **state)
{
    struct store *st = begin(&layout_jpeg);
    uint32_t found;

    (void)state;
    for (uint32_t tile = 11; tile < 43; tile++)
        assert_int_equal(store_create(st, tile), 0);
    assert_int_equal(store_next(st, 0, store_geometry(st)->ntiles, &found), 0);
    assert_int_equal(found, 11);
    plant("00/000a.JPG");
    assert_int_equal(store_next(st, 10, store_geometry(st)->ntiles, &found), 0);
    assert_int_equal(found, 10);
    end(st);
}

/* --- cut while it is open --------------------------------------------------------- */

static int use(void *arg, const void *bytes, size_t len)
{
    (void)arg, (void)bytes, (void)len;
    return 0;
}

/* Its last bytes are read from a mapping by now, where there is one. */
static void warm_up(struct store *st)
{
    static char buf[TILE];

    for (int i = 0; i < 3; i++) {
        int rc = store_lend(st, 3, 0, TILE, use, NULL);

        assert_true(rc == 0 || rc == -EAGAIN);
        assert_int_equal(store_read(st, 3, 0, buf, TILE), 0);
        assert_int_equal(buf[TILE - 1], 'x');
    }
}

static off_t size_of(const char *name)
{
    struct stat stat;

    assert_int_equal(lstat(in_archive(name), &stat), 0);
    return stat.st_size;
}

static void cut_to(const struct layout *layout, off_t size)
{
    struct store *st = begin(layout);
    static char buf[TILE];
    char path[LAYOUT_PATH];
    uint64_t found;
    bool empty;
    int rc;

    memset(buf, 'x', TILE);
    assert_int_equal(store_create(st, 3), 0);
    assert_int_equal(store_write(st, 3, 0, buf, TILE), 0);
    warm_up(st);
    layout->tile_path(3, path);
    assert_int_equal(truncate(in_archive(path), size), 0);
    assert_int_equal(store_read(st, 3, TILE - 1, buf, 1), -EIO);
    assert_int_equal(store_read(st, 3, 0, buf, TILE), -EIO);
    rc = store_lend(st, 3, TILE - 4096, 4096, use, NULL);
    assert_true(rc == -EAGAIN || rc == -EIO);
    /* Within what the file had, behind it, whole, and zeros. */
    assert_int_equal(store_write(st, 3, TILE - 1, "y", 1), -EIO);
    assert_int_equal(store_write(st, 3, 0, "y", 1), -EIO);
    memset(buf, 0, TILE);
    assert_int_equal(store_write(st, 3, 0, buf, TILE), -EIO);
    assert_int_equal(store_zero(st, 3, 4096, TILE - 4096, &empty), -EIO);
    assert_int_equal(store_zero(st, 3, 0, TILE, &empty), -EIO);
    assert_int_equal(store_allocate(st, 3, 0, TILE), -EIO);
    assert_int_equal(store_seek(st, 3, TILE - 1, STORE_DATA, &found), -EIO);
    assert_int_equal(store_seek(st, 3, TILE - 1, STORE_HOLE, &found), -EIO);
    assert_int_equal(size_of(path), size);
    end(st);
}

static void a_cut_tile_stays_an_error(void **state)
{
    (void)state;
    cut_to(&layout_jpeg, 0);
    cut_to(&layout_jpeg, 1000); /* what it says of itself is still there */
    cut_to(&layout_jpeg, FORMAT_JPEG_ALIGN - 1);
    cut_to(&layout_original, TILE - 1);
    cut_to(&layout_original_jpeg, COVER_2017 + TILE - 1);
}

/* Nothing but its picture: a tile of zeros, and longer again by a write. */
static void a_tile_of_zeros_is_not_cut(void **state)
{
    struct store *st = begin(&layout_jpeg);
    char buf[16];

    (void)state;
    assert_int_equal(store_create(st, 3), 0);
    assert_int_equal(size_of("00/0003.jpg"), FORMAT_JPEG_ALIGN);
    assert_int_equal(store_read(st, 3, 100, buf, sizeof(buf)), 0);
    assert_int_equal(buf[0], 0);
    assert_int_equal(store_write(st, 3, 100, "x", 1), 0);
    assert_int_equal(store_read(st, 3, 100, buf, sizeof(buf)), 0);
    assert_int_equal(buf[0], 'x');
    end(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_mean_a_tile_are_refused),
        cmocka_unit_test(plain_tiles_are_not_listed),
        cmocka_unit_test(rivals_are_present_and_unusable),
        cmocka_unit_test(a_sparse_copy_is_told),
        cmocka_unit_test(rivals_before_many_tiles_are_found),
        cmocka_unit_test(a_cut_tile_stays_an_error),
        cmocka_unit_test(a_tile_of_zeros_is_not_cut),
    };

    if (log_open("/dev/null") == 0) /* what is refused here is told by its error */
        log_detach();
    return cmocka_run_group_tests_name("rivals", tests, NULL, NULL);
}
