/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Compacting step by step: what each reason counts, what stays as it is, what fails, and hostile
 * questions. Tiles have several windows. By the linker (--wrap) the file system has no holes where
 * a test wants so.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "base/fs.h"
#include "format/contents.h"
#include "front/control.h"
#include "image/image.h"
#include "store/fault.h"

#define BLOCK 4096
#define TILE (UINT64_C(9) << 20) /* two windows, and a part of one */
#define NTILES 4
#define LAST (UINT64_C(5) << 20) /* bytes of the last one */
#define SIZE ((NTILES - 1) * TILE + LAST)
#define MIB(n) ((uint64_t)(n) << 20)

int __real_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
    __attribute__((alias("__wrap_fallocate")));
bool __real_fs_known(int fd);
bool __wrap_fs_known(int fd);

static bool no_holes;

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
    errno = EOPNOTSUPP;
    return no_holes && mode & FALLOC_FL_PUNCH_HOLE ? -1 : __real_fallocate(fd, mode, off, len);
}

bool __wrap_fs_known(int fd)
{
    return !no_holes && __real_fs_known(fd);
}

static struct {
    struct tempstore temp;
    struct store *fault;
    struct image *img;
} s;

static void open_image(bool read_only)
{
    tempstore_must(fault_open(tempstore_open(&s.temp, read_only, 64), &s.fault) == 0, "fault");
    tempstore_must(image_open(s.fault, read_only, &s.img) == 0, "image");
}

static int setup(void **state)
{
    struct geometry geo;

    memset(&s, 0, sizeof(s));
    no_holes = false;
    tempstore_must(geometry_init(&geo, SIZE, TILE) == 0, "geometry");
    tempstore_make(&s.temp);
    tempstore_create(&s.temp, &geo);
    open_image(false);
    return 0;
}

static void close_image(void)
{
    (void)!image_close(s.img);
    tempstore_close(&s.temp);
}

static int teardown(void **state)
{
    no_holes = false;
    close_image();
    tempstore_remove(&s.temp);
    return 0;
}

static void reopen(bool read_only)
{
    close_image();
    open_image(read_only);
}

static void fill(uint64_t off, uint64_t len, int byte)
{
    unsigned char *bytes = malloc(len);

    tempstore_must(bytes != NULL, "memory");
    memset(bytes, byte, len);
    assert_int_equal(image_write(s.img, off, bytes, len), 0);
    free(bytes);
}

static void look_at(uint32_t tile, struct stat *st)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/00/%04u", s.temp.path, (unsigned)tile);
    if (stat(path, st))
        memset(st, 0, sizeof(*st));
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_blocks == b->st_blocks &&
           memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0;
}

/* The sums of all steps; error is the first, in tile met, and removed counts tiles. */
struct sums {
    struct image_compact all;
    unsigned steps, removed, errors;
};

static struct sums compact(bool dry)
{
    struct image_compact step = {.dry = dry};
    struct sums sums = {.all.met = IMAGE_NO_TILE};

    while (step.tile < NTILES) {
        assert_int_equal(image_compact(s.img, &step), 0);
        sums.steps++;
        assert_true(sums.steps < 100);
        sums.all.stored += step.stored;
        sums.all.data += step.data;
        sums.all.holes += step.holes;
        sums.all.tails += step.tails;
        sums.all.small += step.small;
        sums.all.fixed += step.fixed;
        sums.all.held += step.held;
        sums.all.freed += step.freed;
        sums.removed += step.removed;
        if (step.error && !sums.errors++) {
            sums.all.error = step.error;
            sums.all.met = step.met;
        }
    }
    return sums;
}

static void assert_nothing_left(void)
{
    struct sums sums = compact(false);

    assert_int_equal(sums.all.holes + sums.all.tails + sums.all.freed + sums.removed, 0);
}

static void runs_are_counted_by_their_reason(void **state)
{
    struct stat st;
    struct sums dry, sums;

    fill(0, TILE, 'x');
    fill(MIB(1), 16384, 0);         /* as short as is worth a hole */
    fill(MIB(2), 12288, 0);         /* shorter */
    fill(MIB(4) - 40960, 81920, 0); /* across the windows of 4 MiB before the end, 1 and 5 MiB */
    fill(MIB(5) - 4096, 8192, 0);
    fill(TILE - 6 * MIB(1) / 4, 6 * MIB(1) / 4, 0); /* more than one window of the end */
    dry = compact(true);
    look_at(0, &st);
    assert_int_equal(st.st_size, TILE);
    sums = compact(false);
    look_at(0, &st);
    assert_int_equal(sums.all.holes, 16384 + 81920 + 8192);
    assert_int_equal(sums.all.small, 12288);
    assert_int_equal(sums.all.tails, 6 * MIB(1) / 4);
    assert_int_equal(st.st_size, TILE - 6 * MIB(1) / 4);
    assert_int_equal(sums.all.freed, sums.all.holes + sums.all.tails);
    assert_int_equal(sums.all.data, TILE - sums.all.freed - 12288);
    assert_int_equal(dry.all.holes, sums.all.holes);
    assert_int_equal(dry.all.tails, sums.all.tails);
    assert_int_equal(dry.all.small, sums.all.small);
    assert_int_equal(dry.all.freed, 0);
    assert_nothing_left();
}

static void tiles_of_zeros_go(void **state)
{
    struct stat st;
    struct sums sums;

    fill(TILE, TILE, 'x');
    fill(TILE, TILE, 0);
    fill((NTILES - 1) * TILE, LAST, 'x');
    fill((NTILES - 1) * TILE, LAST, 0);
    sums = compact(false);
    assert_int_equal(sums.removed, 2);
    assert_int_equal(sums.all.freed, TILE + LAST);
    look_at(1, &st);
    assert_int_equal(st.st_nlink, 0);
    assert_nothing_left();
}

/* Such a file is left by a crash, or by another program. */
static void a_tile_of_holes_goes(void **state)
{
    char path[PATH_MAX + 32];

    fill(TILE, BLOCK, 'x');
    snprintf(path, sizeof(path), "%s/00/0002", s.temp.path);
    assert_int_equal(layouts_write(path, "", 0), 0);
    assert_int_equal(truncate(path, TILE), 0);
    assert_int_equal(compact(false).removed, 1);
    assert_int_equal(access(path, F_OK), -1);
}

static void reserved_space_stays(void **state)
{
    struct stat before, after;

    fill(0, BLOCK, 'x');
    assert_int_equal(image_allocate(s.img, 0, TILE), 0);
    assert_int_equal(image_allocate(s.img, TILE, TILE), 0);
    look_at(0, &before);
    assert_true(before.st_blocks * 512 >= (off_t)TILE);
    assert_nothing_left();
    look_at(0, &after);
    assert_true(is_same(&before, &after));
    look_at(1, &after);
    assert_true(after.st_blocks * 512 >= (off_t)TILE);
}

static void without_holes_ends_are_cut_all_the_same(void **state)
{
    struct stat before, after;
    struct sums sums;

    fill(0, TILE, 'x');
    fill(MIB(1), MIB(1), 0);
    fill(TILE, TILE, 'x');
    fill(TILE + MIB(1), MIB(8), 0);
    fill(2 * TILE, TILE, 'x');
    fill(2 * TILE, TILE, 0);
    assert_int_equal(image_flush(s.img), 0);
    look_at(0, &before);
    no_holes = true;
    sums = compact(false);
    assert_int_equal(sums.all.fixed, MIB(1));
    assert_int_equal(sums.all.holes, 0);
    assert_int_equal(sums.all.tails, MIB(8) + TILE);
    assert_int_equal(sums.removed, 1);
    look_at(0, &after);
    assert_true(is_same(&before, &after));
    assert_false(store_noted(s.fault, 3));
    look_at(1, &after);
    assert_int_equal(after.st_size, MIB(1));
    assert_nothing_left();
}

static void what_fails_in_a_tile_ends_with_it(void **state)
{
    struct sums sums;

    for (uint32_t tile = 0; tile < 3; tile++) {
        fill(tile * TILE, TILE, 'x');
        fill(tile * TILE, MIB(8), 0);
    }
    fault_set(s.fault, FAULT_READ, EIO, 60, 1); /* a read of the second tile */
    sums = compact(false);
    assert_int_equal(sums.errors, 1);
    assert_int_equal(sums.all.error, -EIO);
    assert_int_equal(sums.all.met, 1);
    assert_true(sums.all.holes >= 2 * MIB(8) && sums.all.holes < 3 * MIB(8));
    fault_set(s.fault, FAULT_ZERO, ENOSPC, 0, 1);
    sums = compact(false);
    assert_int_equal(sums.errors, 1);
    assert_int_equal(sums.all.error, -ENOSPC);
    fault_set(s.fault, FAULT_NOTE, EIO, 0, 1);
    fault_set(s.fault, FAULT_NEXT, EIO, 1, 1);
    sums = compact(false);
    assert_int_equal(sums.all.error, -EIO);
    assert_int_equal(sums.all.met, IMAGE_NO_TILE);
    fault_set(s.fault, FAULT_NOTE, 0, 0, 0);
    sums = compact(false);
    assert_int_equal(sums.errors, 0);
    assert_nothing_left();
}

/* A snapshot is taken between the look at a tile and its change: nothing is unshared. */
static void a_tile_that_becomes_held_is_left(void **state)
{
    struct sums sums;

    fill(0, TILE, 'x');
    fill(0, MIB(1), 0);
    fault_set(s.fault, FAULT_ZERO, EMLINK, 0, UINT64_MAX);
    sums = compact(false);
    assert_int_equal(sums.errors, 0);
    assert_int_equal(sums.all.held, MIB(1));
    assert_int_equal(sums.all.holes, 0);
    fault_set(s.fault, FAULT_ZERO, 0, 0, 0);
    assert_int_equal(compact(false).all.holes, MIB(1));
}

static void places_that_are_none_are_refused(void **state)
{
    static const struct image_compact wrong[] = {
        {.tile = NTILES + 1},
        {.tile = UINT32_MAX},
        {.tile = NTILES, .left = 1},
        {.tile = 0, .left = TILE + 1},
        {.tile = NTILES - 1, .left = LAST + 1},
        {.tile = 0, .left = UINT64_MAX},
    };

    fill(0, TILE, 'x');
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct image_compact step = wrong[i];

        assert_int_equal(image_compact(s.img, &step), -EINVAL);
    }
    /* Any other is one, whoever made it up. */
    for (uint64_t left = 1; left <= TILE; left = left * 3 + 1) {
        struct image_compact step = {.tile = 0, .left = left};

        assert_int_equal(image_compact(s.img, &step), 0);
        assert_int_equal(step.error, 0);
        assert_true(step.left < left);
    }
}

static void read_only_images_are_looked_at(void **state)
{
    struct image_compact step = {.tile = 0};

    fill(0, TILE, 'x');
    fill(0, MIB(1), 0);
    reopen(true);
    assert_int_equal(image_compact(s.img, &step), -EROFS);
    assert_int_equal(compact(true).all.holes, MIB(1));
}

static int call(bool writer, uint32_t flags, struct control_compact *told)
{
    struct control_compact asked = {.flags = flags};
    struct control_server server = {.img = s.img, .archive_fd = -1};

    return control_answer(&server, writer, (unsigned)CONTROL_COMPACT, &asked, sizeof(asked), told,
                          sizeof(*told));
}

static void a_control_call_is_a_step(void **state)
{
    struct control_compact told;

    fill(0, TILE, 'x');
    fill(TILE - MIB(1), MIB(1), 0);
    assert_int_equal(call(false, 0, &told), -EBADF);
    assert_int_equal(call(true, CONTROL_COMPACT_REMOVED, &told), -EINVAL);
    assert_int_equal(call(true, CONTROL_COMPACT_DRY, &told), 0);
    assert_int_equal(told.tails, MIB(1));
    assert_int_equal(told.freed, 0);
    assert_int_equal(call(true, 0, &told), 0);
    assert_int_equal(told.freed, MIB(1));
    assert_int_equal(told.tile, 0);
    assert_int_equal(told.left, MIB(5));
    assert_int_equal(told.stored, TILE);
    assert_int_equal(told.block, BLOCK);
}

static void contents_are_known_by_their_signatures(void **state)
{
    static const struct {
        const char *bytes, *name;
        size_t len, off;
        bool encrypted;
    } known[] = {
        {"LUKS\xba\xbe", "LUKS", 6, 0, true},  {"-FVE-FS-", "BitLocker", 8, 3, true},
        {"encrcdsa", "FileVault", 8, 0, true}, {"CS\x01\x00", "FileVault", 4, 88, true},
        {"XFSB", "XFS", 4, 0, false},          {"_BHRfS_M", "Btrfs", 8, 65600, false},
        {"\x53\xef", "ext4", 2, 1080, false},
    };
    unsigned char *bytes = calloc(1, CONTENTS_BYTES);

    tempstore_must(bytes != NULL, "memory");
    assert_null(contents_find(bytes, CONTENTS_BYTES));
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        size_t end = known[i].off + known[i].len;

        memset(bytes, 0, CONTENTS_BYTES);
        memcpy(bytes + known[i].off, known[i].bytes, known[i].len);
        assert_string_equal(contents_find(bytes, CONTENTS_BYTES)->name, known[i].name);
        assert_true(contents_find(bytes, end)->encrypted == known[i].encrypted);
        assert_null(contents_find(bytes, end - 1));
    }
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_are_counted_by_their_reason),
        TEST(tiles_of_zeros_go),
        TEST(a_tile_of_holes_goes),
        TEST(reserved_space_stays),
        TEST(without_holes_ends_are_cut_all_the_same),
        TEST(what_fails_in_a_tile_ends_with_it),
        TEST(a_tile_that_becomes_held_is_left),
        TEST(places_that_are_none_are_refused),
        TEST(read_only_images_are_looked_at),
        TEST(a_control_call_is_a_step),
        cmocka_unit_test(contents_are_known_by_their_signatures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
