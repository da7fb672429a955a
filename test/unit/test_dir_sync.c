/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A flush that cannot open the folders it has to sync, and what a flush must not
 * ask for. The linker (--wrap) notes which directories the program brought to
 * disk, and how often it asked for the times of a file.
 */
#include <sys/resource.h>

#include "dirimage.h"

#define DIRS_MAX 64

/* The directories synced since setup. */
static ino_t synced[DIRS_MAX];
static unsigned nsynced;
static bool all_synced;
static unsigned times_asked;

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) __attribute__((alias("__wrap_fstat")));
int __real_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx);
int __real_syncfs(int fd);
int __wrap_syncfs(int fd);

int __wrap_fsync(int fd)
{
    int rc = __real_fsync(fd);
    struct stat st;

    if (rc == 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && nsynced < DIRS_MAX)
        synced[nsynced++] = st.st_ino;
    return rc;
}

int __wrap_syncfs(int fd)
{
    int rc = __real_syncfs(fd);

    all_synced |= rc == 0;
    return rc;
}

int __wrap_fstat(int fd, struct stat *st)
{
    times_asked++;
    return __real_fstat64(fd, st);
}

int __wrap_statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx)
{
    times_asked += (mask & (STATX_MTIME | STATX_CTIME)) != 0;
    return __real_statx(dirfd, path, flags, mask, stx);
}

static int setup(void **state)
{
    dirimage_setup(state);
    nsynced = 0;
    all_synced = false;
    return 0;
}

static bool is_synced(struct dirimage *d, const char *name)
{
    struct stat st;

    assert_int_equal(lstat(dirimage_file(d, name), &st), 0);
    for (unsigned i = 0; i < nsynced; i++)
        if (synced[i] == st.st_ino)
            return true;
    return all_synced;
}

/* With 0 no more descriptor can be had; those there are stay. Returns the limit before. */
static rlim_t limit_descriptors(rlim_t most)
{
    struct rlimit limit;
    rlim_t before;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return before;
}

/* Nothing was lost by the failure, so the image must stay usable and the next flush make it good.
 */
static void flush_without_a_descriptor(void **state)
{
    struct dirimage *d = *state;
    rlim_t before;
    int rc;

    for (uint32_t tile = 0; tile < NTILES; tile += 1024)
        assert_int_equal(dirimage_fill(d, tile, 'x', BLOCK), 0);
    before = limit_descriptors(0);
    rc = image_flush(d->img);
    limit_descriptors(before);
    if (rc == 0)
        assert_true(is_synced(d, ".") && is_synced(d, "00") && is_synced(d, "03"));
    assert_false(image_failed(d->img));
    assert_int_equal(image_flush(d->img), 0);
    assert_true(is_synced(d, "."));
    assert_true(is_synced(d, "00"));
    assert_true(is_synced(d, "01"));
    assert_true(is_synced(d, "02"));
    assert_true(is_synced(d, "03"));
    assert_int_equal(dirimage_fill(d, 1, 'y', BLOCK), 0);
    assert_int_equal(dirimage_fill(d, 1024, 'y', BLOCK), 0);
    assert_int_equal(dirimage_close(d), 0);
}

/* Reads and writes that need a descriptor fail meanwhile, and only meanwhile. */
static void tiles_without_a_descriptor(void **state)
{
    struct dirimage *d = *state;
    int to_read, to_write, to_create;
    rlim_t before;
    char byte;

    assert_int_equal(dirimage_fill(d, 0, 'x', BLOCK), 0);
    assert_int_equal(dirimage_close(d), 0);
    dirimage_open(d, false);
    before = limit_descriptors(0);
    to_read = image_read(d->img, 0, &byte, 1);
    to_write = image_write(d->img, 0, "y", 1);
    to_create = image_write(d->img, 5 * TILE, "y", 1);
    limit_descriptors(before);
    assert_int_equal(to_read, -EMFILE);
    assert_int_equal(to_write, -EMFILE);
    assert_int_equal(to_create, -EMFILE);
    dirimage_expect(d, 0, 'x', BLOCK);
    assert_int_equal(image_write(d->img, 0, "y", 1), 0);
    assert_int_equal(image_write(d->img, 5 * TILE, "y", 1), 0);
    assert_int_equal(dirimage_close(d), 0);
}

/* Whoever needs a descriptor gets one of a file that nobody uses just then. */
static void few_descriptors_are_shared(void **state)
{
    struct dirimage *d = *state;
    struct image_usage usage;
    struct stat st;
    rlim_t most = 3, before;

    for (rlim_t fd = 3; fd < 64; fd++) /* as many as there are open, and six more */
        most = fstat((int)fd, &st) == 0 ? fd + 1 : most;
    before = limit_descriptors(most + 6);
    for (uint32_t tile = 0; tile < MAX_OPEN; tile++)
        assert_int_equal(dirimage_fill(d, tile, 'x', BLOCK), 0);
    assert_int_equal(image_count(d->img), 0);
    for (uint32_t tile = 0; tile < MAX_OPEN; tile++) {
        dirimage_expect(d, tile * TILE, 'x', BLOCK);
        assert_int_equal(dirimage_fill(d, 1024 * (tile % 4) + tile, 'y', BLOCK), 0);
    }
    for (uint32_t tile = 0; tile < MAX_OPEN; tile++)
        assert_int_equal(image_zero(d->img, tile * TILE, TILE), 0);
    assert_int_equal(image_usage(d->img, 0, &usage), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(dirimage_close(d), 0);
    limit_descriptors(before);
}

/* See io_links(). */
static void a_sync_asks_for_no_times(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'x', BLOCK), 0);
    assert_int_equal(image_flush(d->img), 0);
    times_asked = 0;
    assert_int_equal(dirimage_fill(d, 0, 'y', BLOCK), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(times_asked, 0);
    assert_int_equal(dirimage_close(d), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, dirimage_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(flush_without_a_descriptor),
        TEST(tiles_without_a_descriptor),
        TEST(few_descriptors_are_shared),
        TEST(a_sync_asks_for_no_times),
    };

    return cmocka_run_group_tests_name("dir sync", tests, NULL, NULL) ? 1 : 0;
}
