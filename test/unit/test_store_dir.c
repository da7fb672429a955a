/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directory store: the shared suite for every layout, and what only files
 * can do to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../note.h"
#include "../tempstore.h"
#include "base/zero.h"
#include "conformance.h"
#include "image/image.h"
#include "store/dir.h"

#define TILE 65536
#define NTILES 2000
#define MAX_OPEN 64
#define NOBODY 65534

/* One archive at a time. */
static struct tempstore temp;

static struct store *open_layout(const struct geometry *geo, const struct layout *layout)
{
    tempstore_make(&temp);
    tempstore_create_as(&temp, geo, layout);
    return tempstore_open(&temp, false, MAX_OPEN);
}

#define OPEN(layout)                                               \
    static struct store *open_##layout(const struct geometry *geo) \
    {                                                              \
        return open_layout(geo, &layout_##layout);                 \
    }

OPEN(plain)
OPEN(jpeg)
OPEN(original)
OPEN(original_jpeg)
OPEN(bundle)

static void close_dir(struct store *st)
{
    store_close(st);
    tempstore_remove(&temp);
}

static int setup(void **state)
{
    struct geometry geo;

    if (geometry_init(&geo, (uint64_t)NTILES * TILE, TILE))
        return -1;
    *state = open_plain(&geo);
    return 0;
}

static int teardown(void **state)
{
    close_dir(*state);
    return 0;
}

/* An archive as the original wrote them: ten tiles of 64 KiB. */
static int setup_original(void **state)
{
    char name[PATH_MAX + 64];
    FILE *index;

    tempstore_make(&temp);
    snprintf(name, sizeof(name), "%s/" FORMAT_INDEX_NAME, temp.path);
    if (mkdir(temp.path, 0755) || !(index = fopen(name, "w")))
        return -1;
    fprintf(index, "1 %d 10", TILE);
    if (fclose(index))
        return -1;
    *state = tempstore_open(&temp, false, MAX_OPEN);
    return 0;
}

/* The path of something inside the archive. */
static const char *in_archive(const char *name)
{
    static char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", temp.path, name);
    return path;
}

/* A file of len bytes 'x' as somebody else would put it there. */
static void plant(const char *name, size_t len)
{
    char folder[3] = {name[0], name[1], 0};
    char *bytes = malloc(len + 1);
    int fd;

    assert_non_null(bytes);
    memset(bytes, 'x', len);
    assert_true(mkdir(in_archive(folder), 0755) == 0 || errno == EEXIST);
    fd = open(in_archive(name), O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(close(fd), 0);
    free(bytes);
}

static uint64_t size_of(const char *name)
{
    struct stat stat;

    assert_int_equal(lstat(in_archive(name), &stat), 0);
    return stat.st_size;
}

/* Something stands where tile 0 should be: every way to it fails, and not with "absent". */
static void assert_unusable(struct store *st)
{
    char buf[16];
    struct store_stat stat;
    uint64_t off;
    uint32_t found;
    bool empty;
    int rc[] = {
        store_read(st, 0, 0, buf, sizeof(buf)),
        store_write(st, 0, 0, "x", 1),
        store_create(st, 0),
        store_zero(st, 0, 0, TILE, &empty),
        store_allocate(st, 0, 0, TILE),
        store_seek(st, 0, 0, STORE_DATA, &off),
        store_seek(st, 0, 0, STORE_HOLE, &off),
    };

    for (size_t i = 0; i < ARRAY_LEN(rc); i++) {
        assert_int_not_equal(rc[i], 0);
        assert_int_not_equal(rc[i], -ENOENT);
    }
    /* These may say that something is there. */
    assert_int_not_equal(store_stat(st, 0, &stat), -ENOENT);
    assert_int_not_equal(store_next(st, 0, store_geometry(st)->ntiles, &found), -ENOENT);
}

static void tile_that_is_a_directory(void **state)
{
    assert_int_equal(mkdir(in_archive("00"), 0755), 0);
    assert_int_equal(mkdir(in_archive("00/0000"), 0755), 0);
    assert_unusable(*state);
    assert_int_not_equal(store_remove(*state, 0), -ENOENT);
}

static void tile_that_is_a_symbolic_link(void **state)
{
    plant("00/0001", TILE);
    assert_int_equal(symlink("0001", in_archive("00/0000")), 0);
    assert_unusable(*state);
}

static void tile_that_is_a_dangling_link(void **state)
{
    assert_int_equal(mkdir(in_archive("00"), 0755), 0);
    assert_int_equal(symlink("nowhere", in_archive("00/0000")), 0);
    assert_unusable(*state);
}

/* Opening it must not wait for a writer that never comes. */
static void tile_that_is_a_fifo(void **state)
{
    assert_int_equal(mkdir(in_archive("00"), 0755), 0);
    assert_int_equal(mkfifo(in_archive("00/0000"), 0644), 0);
    alarm(20);
    assert_unusable(*state);
    alarm(0);
}

static void folder_that_is_a_file(void **state)
{
    int fd = open(in_archive("00"), O_WRONLY | O_CREAT, 0644);

    assert_true(fd >= 0);
    close(fd);
    assert_unusable(*state);
}

static void folder_that_is_a_symbolic_link(void **state)
{
    plant("01/0000", TILE);
    assert_int_equal(symlink("01", in_archive("00")), 0);
    assert_unusable(*state);
}

/* Tile 256 in the wrong folder and tile 2047 of 2000 are among them. */
static void foreign_names_are_no_tiles(void **state)
{
    uint32_t found;

    plant("00/notes.txt", 1);
    plant("00/000w", 1);
    plant("00/0000~", 1);
    plant("00/00000", 1);
    plant("01/0080", 1);
    plant("01/01vv", 1);
    plant("zz/zzzz", 1);
    assert_int_equal(store_next(*state, 0, store_geometry(*state)->ntiles, &found), -ENOENT);
}

/* Format 2: a file ends where its data ends. */
static void missing_tail_reads_as_zeros(void **state)
{
    char buf[200];
    struct store_stat stat;
    uint64_t found;

    plant("00/0000", 100);
    assert_int_equal(store_read(*state, 0, 0, buf, sizeof(buf)), 0);
    assert_true(buf[0] == 'x' && buf[99] == 'x' && zero_is(buf + 100, 100));
    memset(buf, 1, sizeof(buf));
    assert_int_equal(store_read(*state, 0, TILE - 200, buf, sizeof(buf)), 0);
    assert_true(zero_is(buf, sizeof(buf)));
    assert_int_equal(store_stat(*state, 0, &stat), 0);
    assert_int_equal(stat.bytes, 100);
    assert_int_equal(store_seek(*state, 0, 0, STORE_HOLE, &found), 0);
    assert_true(found >= 100 && found <= 4096);
    assert_int_equal(store_seek(*state, 0, 8192, STORE_DATA, &found), 0);
    assert_int_equal(found, TILE);
    assert_int_equal(store_write(*state, 0, 300, "y", 1), 0);
    assert_int_equal(store_read(*state, 0, 100, buf, 200), 0);
    assert_true(zero_is(buf, 200));
    assert_int_equal(store_read(*state, 0, 300, buf, 1), 0);
    assert_int_equal(buf[0], 'y');
}

/* What a mirror has to move shrinks with the data. */
static void tiles_stay_short(void **state)
{
    bool empty;

    assert_int_equal(store_create(*state, 0), 0);
    assert_int_equal(store_write(*state, 0, 0, "data", 4), 0);
    assert_int_equal(size_of("00/0000"), 4);
    assert_int_equal(store_write(*state, 0, 20000, "data", 4), 0);
    assert_int_equal(size_of("00/0000"), 20004);
    assert_int_equal(store_zero(*state, 0, 8192, TILE - 8192, &empty), 0);
    assert_false(empty);
    assert_true(size_of("00/0000") <= 8192);
}

/* Another program must not be able to sneak a longer tile in. */
static void longer_than_a_tile(void **state)
{
    char buf[16];

    plant("00/0000", TILE + 1000);
    assert_int_equal(store_read(*state, 0, TILE - 16, buf, 16), 0);
    assert_int_equal(buf[15], 'x');
}

/* Format 1: there every tile is whole, so a short one has lost data. */
static void short_tile_of_the_original_is_eio(void **state)
{
    char *buf = malloc(TILE);
    uint64_t found;
    bool empty;

    assert_non_null(buf);
    plant("00/0000", TILE - 1);
    assert_int_equal(store_read(*state, 0, 0, buf, TILE), -EIO);
    assert_int_equal(store_read(*state, 0, TILE - 10, buf, 10), -EIO);
    assert_int_equal(store_seek(*state, 0, TILE - 1, STORE_DATA, &found), -EIO);
    assert_int_equal(store_seek(*state, 0, 0, STORE_HOLE, &found), -EIO);
    /* Writing past the cut would turn what is missing into zeros. */
    assert_int_equal(store_write(*state, 0, TILE - 1, "x", 1), -EIO);
    assert_int_equal(store_zero(*state, 0, 0, 1, &empty), -EIO);
    assert_int_equal(size_of("00/0000"), TILE - 1);
    plant("00/0001", 0);
    assert_int_equal(store_read(*state, 1, 0, buf, 1), -EIO);
    plant("00/0002", TILE);
    assert_int_equal(store_read(*state, 2, 0, buf, TILE), 0);
    assert_int_equal(buf[TILE - 1], 'x');
    free(buf);
}

static void tiles_of_the_original_keep_their_size(void **state)
{
    bool empty;

    assert_int_equal(store_create(*state, 3), 0);
    assert_int_equal(size_of("00/0003"), TILE);
    assert_int_equal(store_write(*state, 3, 5, "x", 1), 0);
    assert_int_equal(size_of("00/0003"), TILE);
    assert_int_equal(store_zero(*state, 3, 4096, TILE - 4096, &empty), 0);
    assert_false(empty);
    assert_int_equal(size_of("00/0003"), TILE);
    assert_int_equal(store_zero(*state, 3, 0, TILE, &empty), 0);
    assert_true(empty);
}

static void rival_of_the_jpeg_variant_is_eio(void **state)
{
    struct store_stat stat;
    uint64_t found;
    char byte;

    plant("00/0000.jpg", TILE);
    assert_int_equal(store_read(*state, 0, 0, &byte, 1), -EIO);
    assert_int_equal(store_write(*state, 0, 0, &byte, 1), -EIO);
    assert_int_equal(store_create(*state, 0), -EIO);
    assert_int_equal(store_stat(*state, 0, &stat), -EIO);
    assert_int_equal(store_seek(*state, 0, 0, STORE_HOLE, &found), -EIO);
    assert_int_equal(store_read(*state, 1, 0, &byte, 1), -ENOENT);
}

/* Without it the archive would have another layout at the next mount. */
static void tile_that_tells_the_layout_stays(void **state)
{
    struct store *st;
    struct geometry geo;
    bool empty;
    char byte;

    assert_int_equal(geometry_init(&geo, 10 * TILE, TILE), 0);
    tempstore_make(&temp);
    tempstore_create_as(&temp, &geo, &layout_original_jpeg);
    temp.planted[0] = '\0';
    st = tempstore_open(&temp, false, MAX_OPEN);
    note_all(st);
    assert_int_equal(store_remove(st, 0), -EBUSY);
    assert_int_equal(store_write(st, 0, 5, "x", 1), 0);
    assert_int_equal(store_zero(st, 0, 0, TILE, &empty), 0);
    assert_false(empty);
    assert_int_equal(store_read(st, 0, 5, &byte, 1), 0);
    assert_int_equal(byte, 0);
    assert_int_equal(store_create(st, 1), 0);
    assert_int_equal(store_zero(st, 1, 0, TILE, &empty), 0);
    assert_true(empty);
    assert_int_equal(store_remove(st, 1), 0);
    store_close(st);
    tempstore_close(&temp);
    st = tempstore_open(&temp, false, MAX_OPEN);
    assert_ptr_equal(temp.archive.index.layout, &layout_original_jpeg);
    close_dir(st);
}

/* The image above it reads as zeros all the same. */
static void image_without_data_keeps_its_layout(void **state)
{
    struct geometry geo;
    struct image *img;
    char bytes[16];

    assert_int_equal(geometry_init(&geo, 10 * TILE, TILE), 0);
    tempstore_make(&temp);
    tempstore_create_as(&temp, &geo, &layout_original_jpeg);
    temp.planted[0] = '\0';
    assert_int_equal(image_open(tempstore_open(&temp, false, MAX_OPEN), false, &img), 0);
    assert_int_equal(image_write(img, TILE - 3, "abcdef", 6), 0);
    assert_int_equal(image_zero(img, 0, 10 * TILE), 0);
    assert_int_equal(image_read(img, TILE - 3, bytes, 6), 0);
    assert_true(zero_is(bytes, 6));
    assert_int_equal(image_close(img), 0);
    assert_int_equal(size_of("00/0000.jpg"), COVER_2017 + TILE);
    assert_int_not_equal(access(in_archive("00/0001.jpg"), F_OK), 0);
    tempstore_remove(&temp);
}

static int count_descriptors(void)
{
    int n = 0;

    for (int fd = 0; fd < 4096; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void descriptors_are_bounded(void **state)
{
    struct geometry geo;
    struct store *st;
    int before, most = 0;

    assert_int_equal(geometry_init(&geo, 5000 * 512, 512), 0);
    st = open_plain(&geo);
    before = count_descriptors();
    for (uint32_t tile = 0; tile < 5000; tile++) {
        assert_int_equal(store_create(st, tile), 0);
        assert_int_equal(store_write(st, tile, 0, &tile, sizeof(tile)), 0);
        if (tile % 250 == 0 && count_descriptors() > most)
            most = count_descriptors();
    }
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t tile = i * 7 % 5000, got;

        assert_int_equal(store_read(st, tile, 0, &got, sizeof(got)), 0);
        assert_int_equal(got, tile);
        if (i % 250 == 0 && count_descriptors() > most)
            most = count_descriptors();
    }
    assert_true(most <= before + MAX_OPEN);
    assert_int_equal(store_flush_entries(st), 0);
    close_dir(st);
    assert_true(count_descriptors() < before);
}

/* What the child of as_nobody() finds; its exit code. */
static int read_without_permission(void)
{
    struct store *st = tempstore_open(&temp, true, MAX_OPEN);
    struct image *img;
    char byte;
    int bad = 0;

    bad |= store_read(st, 0, 0, &byte, 1) != -EACCES;
    bad |= store_read(st, 1024, 0, &byte, 1) != -EACCES;
    bad |= image_open(st, true, &img) != 0;
    bad |= image_read(img, 0, &byte, 1) != -EACCES;
    bad |= image_read(img, (uint64_t)1024 * TILE, &byte, 1) != -EACCES;
    bad |= image_close(img) != 0;
    return bad;
}

/* As root permissions mean nothing: drop to somebody else, in a process of its own. */
static int as_nobody(int (*fn)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
            _exit(2);
        _exit(fn());
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Tile 0: its folder is closed. Tile 1024: its file is. */
static void no_permission_is_eacces(void **state)
{
    plant("00/0000", 100);
    plant("01/0100", 100);
    assert_int_equal(chmod(temp.base, 0755), 0);
    assert_int_equal(chmod(temp.path, 0755), 0);
    assert_int_equal(chmod(in_archive("mosaicfs.index"), 0644), 0);
    assert_int_equal(chmod(in_archive("00"), 0), 0);
    assert_int_equal(chmod(in_archive("01/0100"), 0), 0);
    tempstore_close(&temp);
    store_close(*state);
    assert_int_equal(as_nobody(read_without_permission), 0);
    assert_int_equal(chmod(in_archive("00"), 0755), 0);
    *state = tempstore_open(&temp, false, MAX_OPEN);
}

/* Everything is still there when the archive is opened again. */
static void content_survives_reopening(void **state)
{
    uint32_t tile, got;

    for (tile = 0; tile < NTILES; tile += 99) {
        assert_int_equal(store_create(*state, tile), 0);
        assert_int_equal(store_write(*state, tile, tile, &tile, sizeof(tile)), 0);
    }
    store_close(*state);
    tempstore_close(&temp);
    *state = tempstore_open(&temp, true, MAX_OPEN);
    for (tile = 0; tile < NTILES; tile += 99) {
        assert_int_equal(store_read(*state, tile, tile, &got, sizeof(got)), 0);
        assert_int_equal(got, tile);
        assert_int_equal(store_next(*state, tile, store_geometry(*state)->ntiles, &got), 0);
        assert_int_equal(got, tile);
    }
}

/* A tile file that somebody took away is damage, not a hole. */
static void vanished_tile_is_eio(void **state)
{
    struct store *st = *state;
    struct image *img;
    uint64_t found;
    char byte;

    plant("00/0003", 100);
    plant("00/0005", 100);
    assert_int_equal(image_open(st, false, &img), 0);
    assert_int_equal(image_count(img), 0);
    assert_int_equal(unlink(in_archive("00/0003")), 0);
    assert_int_equal(image_read(img, 3 * TILE, &byte, 1), -EIO);
    assert_int_equal(image_write(img, 3 * TILE, "x", 1), -EIO);
    assert_int_equal(image_write(img, 3 * TILE, "", 1), -EIO);
    assert_int_equal(image_seek(img, 0, STORE_DATA, &found), -EIO);
    assert_int_equal(image_seek(img, 3 * TILE, STORE_HOLE, &found), -EIO);
    assert_int_equal(image_read(img, 5 * TILE, &byte, 1), 0);
    assert_int_equal(byte, 'x');
    assert_int_equal(image_read(img, 4 * TILE, &byte, 1), 0);
    assert_int_equal(byte, 0);
    assert_int_equal(image_close(img), 0);
    *state = NULL;
    tempstore_remove(&temp);
}

static void removed_archive_takes_no_tile(void **state)
{
    char byte;

    assert_int_equal(tree_remove(temp.path), 0);
    assert_int_equal(store_read(*state, 3, 0, &byte, 1), -EIO);
    assert_int_equal(store_create(*state, 3), -EIO);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* A disk that fills up in the middle of a write, played by a limit on the length of files. */
static void write_that_fails_half_way(void **state)
{
    char bytes[16384], got[16384];
    int rc;

    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(store_create(*state, 0), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(8192);
    rc = store_write(*state, 0, 0, bytes, sizeof(bytes));
    limit_files(RLIM_INFINITY);
    assert_int_equal(rc, -EFBIG);
    assert_true(size_of("00/0000") == 8192);
    /* Zeros must go over what was written, though that write failed. */
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(store_write(*state, 0, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(store_read(*state, 0, 0, got, sizeof(got)), 0);
    assert_true(zero_is(got, sizeof(got)));
    memset(bytes, 'y', sizeof(bytes));
    assert_int_equal(store_write(*state, 0, 0, bytes, sizeof(bytes)), 0);
    assert_int_equal(store_read(*state, 0, 0, got, sizeof(got)), 0);
    assert_memory_equal(got, bytes, sizeof(got));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define ORIGINAL(f) cmocka_unit_test_setup_teardown(f, setup_original, teardown)

int main(void)
{
    static const struct conformance layouts[] = {
        {.name = "plain", .sectors = true, .open = open_plain, .close = close_dir},
        {.name = "jpeg",
         .sectors = true,
         .head = FORMAT_JPEG_ALIGN,
         .open = open_jpeg,
         .close = close_dir},
        {.name = "original", .whole = true, .open = open_original, .close = close_dir},
        {.name = "original-jpeg",
         .whole = true,
         .head = COVER_2017,
         .open = open_original_jpeg,
         .close = close_dir},
        {.name = "sparsebundle", .sectors = true, .open = open_bundle, .close = close_dir},
    };
    static const struct CMUnitTest tests[] = {
        TEST(tile_that_is_a_directory),
        TEST(tile_that_is_a_symbolic_link),
        TEST(tile_that_is_a_dangling_link),
        TEST(tile_that_is_a_fifo),
        TEST(folder_that_is_a_file),
        TEST(folder_that_is_a_symbolic_link),
        TEST(foreign_names_are_no_tiles),
        TEST(missing_tail_reads_as_zeros),
        TEST(tiles_stay_short),
        TEST(longer_than_a_tile),
        ORIGINAL(short_tile_of_the_original_is_eio),
        ORIGINAL(tiles_of_the_original_keep_their_size),
        ORIGINAL(rival_of_the_jpeg_variant_is_eio),
        cmocka_unit_test(tile_that_tells_the_layout_stays),
        cmocka_unit_test(image_without_data_keeps_its_layout),
        cmocka_unit_test(descriptors_are_bounded),
        TEST(no_permission_is_eacces),
        TEST(content_survives_reopening),
        cmocka_unit_test_setup(vanished_tile_is_eio, setup),
        TEST(removed_archive_takes_no_tile),
        TEST(write_that_fails_half_way),
    };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_LEN(layouts); i++)
        if (layouts_find(layouts[i].name))
            failed += conformance_run(&layouts[i]);
    return failed + cmocka_run_group_tests_name("dir", tests, NULL, NULL) ? 1 : 0;
}
