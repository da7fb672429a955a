/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tile files that somebody else removes or replaces while the image is in use.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "dirimage.h"

/* The ways to meet tile 0, which holds data. */
static int meet_by_reading(struct dirimage *d)
{
    char byte;

    return image_read(d->img, 0, &byte, 1);
}

static int look_on(void *arg, const void *bytes, size_t len)
{
    return 0;
}

static int meet_by_lending(struct dirimage *d)
{
    int rc = -EAGAIN;

    for (int i = 0; rc == -EAGAIN && i < 64; i++) {
        char buf[TILE];

        (void)!image_read(d->img, TILE, buf, sizeof(buf)); /* another one: this is about lending */
        rc = image_lend(d->img, 0, TILE, look_on, NULL);
    }
    return rc == -EAGAIN ? meet_by_reading(d) : rc; /* a file system that cannot be mapped */
}

static int meet_by_writing(struct dirimage *d)
{
    return image_write(d->img, BLOCK, "B", 1);
}

static int meet_by_zeroing(struct dirimage *d)
{
    return image_zero(d->img, BLOCK, BLOCK);
}

static int meet_by_allocating(struct dirimage *d)
{
    int rc = image_allocate(d->img, BLOCK, BLOCK);

    return rc == -EOPNOTSUPP ? meet_by_reading(d) : rc;
}

static int meet_by_seeking(struct dirimage *d)
{
    uint64_t found;

    return image_seek(d->img, 0, STORE_DATA, &found);
}

static int meet_by_usage(struct dirimage *d)
{
    struct image_usage usage;
    int rc = image_write(d->img, BLOCK, "B", 1);

    return rc ? rc : image_usage(d->img, 0, &usage);
}

static int (*const meet[])(struct dirimage *d) = {
    meet_by_reading, meet_by_lending,    meet_by_writing, meet_by_zeroing,
    meet_by_seeking, meet_by_allocating, meet_by_usage,
};

/* No request may take the tile for one that was never written. */
static void expect_missed(struct dirimage *d)
{
    uint64_t found;
    char byte;

    assert_int_equal(image_read(d->img, 0, &byte, 1), -EIO);
    assert_int_equal(image_write(d->img, 0, "C", 1), -EIO);
    assert_int_equal(image_write(d->img, 0, "", 1), -EIO);
    assert_int_equal(image_zero(d->img, 0, BLOCK), -EIO);
    assert_int_equal(image_allocate(d->img, 0, BLOCK), -EIO);
    assert_int_equal(image_seek(d->img, 0, STORE_DATA, &found), -EIO);
    assert_int_equal(image_seek(d->img, 0, STORE_HOLE, &found), -EIO);
    assert_int_equal(access(dirimage_file(d, "00/0000"), F_OK), -1);
}

/* Nothing was counted: a folder could not be listed, or the count has not come so far. */
static void what_was_met_is_missed(void **state)
{
    struct dirimage *d = *state;
    char byte;

    for (size_t i = 0; i < ARRAY_LEN(meet); i++) {
        assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
        assert_int_equal(dirimage_close(d), 0);
        dirimage_open(d, false);
        assert_int_equal(meet[i](d), 0);
        assert_int_equal(image_flush(d->img), 0);
        dirimage_evict(d);
        assert_int_equal(unlink(dirimage_file(d, "00/0000")), 0);
        expect_missed(d);
        /* All of it may go: then it is absent as any other. */
        assert_int_equal(image_zero(d->img, 0, TILE), 0);
        assert_int_equal(image_read(d->img, 0, &byte, 1), 0);
        assert_int_equal(byte, 0);
        assert_int_equal(image_flush(d->img), 0);
    }
}

/* As above, where nothing is written. */
static void what_was_read_is_missed_read_only(void **state)
{
    struct dirimage *d = *state;
    char byte;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    dirimage_evict(d);
    assert_int_equal(dirimage_close(d), 0);
    dirimage_open(d, true);
    assert_int_equal(image_read(d->img, 0, &byte, 1), 0);
    for (uint32_t tile = 1; tile <= 2 * MAX_OPEN; tile++)
        assert_int_equal(image_read(d->img, tile * TILE, &byte, 1), 0);
    assert_int_equal(unlink(dirimage_file(d, "00/0000")), 0);
    assert_int_equal(image_read(d->img, 0, &byte, 1), -EIO);
}

/* What we removed ourselves is no loss. */
static void what_we_removed_is_zeros(void **state)
{
    struct dirimage *d = *state;

    for (size_t i = 0; i < ARRAY_LEN(meet); i++) {
        assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
        assert_int_equal(meet[i](d), 0);
        for (uint64_t off = 0; i % 2 && off < TILE; off += BLOCK)
            assert_int_equal(image_zero(d->img, off, BLOCK), 0);
        assert_int_equal(image_zero(d->img, 0, TILE), 0);
        dirimage_evict(d);
        dirimage_expect(d, 0, 0, TILE);
        assert_int_equal(dirimage_fill(d, 0, 'B', BLOCK), 0);
        dirimage_expect(d, 0, 'B', BLOCK);
    }
}

/* As mirrors do: a new file, renamed over the tile's. */
static void replace_tile(struct dirimage *d, const char *name, const char *bytes)
{
    char other[PATH_MAX + 64];
    int fd;

    snprintf(other, sizeof(other), "%s/00/new", d->temp.path);
    fd = open(other, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    assert_int_equal(close(fd), 0);
    assert_int_equal(rename(other, dirimage_file(d, name)), 0);
}

/* How the process has the tile's file open: O_RDONLY, O_RDWR, or -1. */
static int open_mode(struct dirimage *d, const char *name)
{
    struct stat want, st;
    int mode = -1;

    assert_int_equal(lstat(dirimage_file(d, name), &want), 0);
    for (int fd = 0; fd < 256; fd++)
        if (fstat(fd, &st) == 0 && st.st_ino == want.st_ino && st.st_dev == want.st_dev) {
            assert_int_equal(mode, -1); /* once only */
            mode = fcntl(fd, F_GETFL) & O_ACCMODE;
        }
    return mode;
}

/* Reading asks for no more; what is written is read again, also where it was mapped before. */
static void reads_do_not_ask_to_write(void **state)
{
    struct dirimage *d = *state;
    uint64_t found;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(dirimage_close(d), 0);
    dirimage_open(d, false);
    dirimage_expect(d, 0, 'A', TILE);
    assert_int_equal(meet_by_lending(d), 0);
    assert_int_equal(image_seek(d->img, 0, STORE_HOLE, &found), 0);
    assert_int_equal(open_mode(d, "00/0000"), O_RDONLY);
    assert_int_equal(image_write(d->img, 0, "B", 1), 0);
    assert_int_equal(open_mode(d, "00/0000"), O_RDWR);
    dirimage_expect(d, 0, 'B', 1);
    dirimage_expect(d, 1, 'A', TILE - 1);
    assert_int_equal(image_write(d->img, 1, "B", 1), 0);
    assert_int_equal(open_mode(d, "00/0000"), O_RDWR);
    assert_int_equal(image_flush(d->img), 0);
    dirimage_evict(d);
    dirimage_expect(d, 0, 'B', 2);
    assert_int_equal(open_mode(d, "00/0000"), O_RDONLY);
    assert_int_equal(image_zero(d->img, 0, BLOCK), 0);
    dirimage_expect(d, 0, 0, BLOCK);
}

/* Bytes that were read from one file must not meet bytes that are written to another. */
static void what_was_replaced_since_it_was_read_is_not_written(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', TILE), 0);
    assert_int_equal(dirimage_close(d), 0);
    dirimage_open(d, false);
    dirimage_expect(d, 0, 'A', TILE);
    replace_tile(d, "00/0000", "C");
    assert_int_equal(image_write(d->img, 0, "B", 1), -EIO);
    assert_int_equal(image_zero(d->img, 0, BLOCK), -EIO);
    assert_int_equal(image_write(d->img, 0, "B", 1), -EIO);
    assert_int_equal(dirimage_close(d), -EIO);
    dirimage_open(d, false);
    dirimage_expect(d, 0, 'C', 1);
    assert_int_equal(image_write(d->img, 0, "B", 1), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, dirimage_setup, dirimage_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_was_met_is_missed),
        TEST(what_was_read_is_missed_read_only),
        TEST(what_we_removed_is_zeros),
        TEST(reads_do_not_ask_to_write),
        TEST(what_was_replaced_since_it_was_read_is_not_written),
    };

    return cmocka_run_group_tests_name("behind our back", tests, NULL, NULL) ? 1 : 0;
}
