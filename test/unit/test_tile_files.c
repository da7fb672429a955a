/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The image and its tile files as others see and change them: permissions,
 * files that vanish, reserved space, times of access.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>

#include "dirimage.h"

#define NOBODY 65534
#define LONG_AGO 1000000000

/* What the child of the next test finds; its exit code. */
static int write_after_chmod(struct dirimage *d)
{
    char byte;
    int bad = 0;

    dirimage_make(d);
    bad |= dirimage_fill(d, 0, 'A', BLOCK) != 0;
    bad |= dirimage_close(d) != 0;
    bad |= chmod(dirimage_file(d, "00/0000"), 0444) != 0;
    dirimage_open(d, false);
    bad |= (image_read(d->img, 0, &byte, 1) != 0 || byte != 'A') << 1;
    bad |= (image_write(d->img, 0, "B", 1) != -EACCES) << 2;
    bad |= (image_zero(d->img, 0, 1) != -EACCES) << 2;
    bad |= chmod(dirimage_file(d, "00/0000"), 0644) != 0;
    bad |= (image_write(d->img, 0, "B", 1) != 0) << 3;
    bad |= (image_read(d->img, 0, &byte, 1) != 0 || byte != 'B') << 4;
    bad |= (dirimage_close(d) != 0) << 5;
    tempstore_remove(&d->temp);
    return bad;
}

/* As root permissions mean nothing: drop to somebody else, in a process of its own. */
static void no_permission_is_not_for_ever(void **state)
{
    static struct dirimage d;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (geteuid() == 0 && (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY)))
            _exit(99);
        _exit(write_after_chmod(&d));
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* What is written into a file without a name will never be found again. */
static void removed_while_open(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', BLOCK), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(unlink(dirimage_file(d, "00/0000")), 0);
    (void)!dirimage_fill(d, 0, 'B', BLOCK); /* may be told here, must be told below */
    assert_int_equal(image_flush(d->img), -EIO);
    assert_true(image_failed(d->img));
}

/* As a mirror does that writes a new file and renames it. */
static void replaced_while_open(void **state)
{
    struct dirimage *d = *state;
    char other[PATH_MAX + 64];
    int fd;

    assert_int_equal(dirimage_fill(d, 0, 'A', BLOCK), 0);
    assert_int_equal(image_flush(d->img), 0);
    snprintf(other, sizeof(other), "%s/00/new", d->temp.path);
    fd = open(other, O_WRONLY | O_CREAT | O_EXCL, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "C", 1), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(rename(other, dirimage_file(d, "00/0000")), 0);
    (void)!dirimage_fill(d, 0, 'B', BLOCK);
    assert_int_equal(image_flush(d->img), -EIO);
    assert_true(image_failed(d->img));
}

static void removed_by_ourselves(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'A', BLOCK), 0);
    assert_int_equal(image_zero(d->img, 0, TILE), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(dirimage_fill(d, 0, 'B', BLOCK), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(image_zero(d->img, 0, TILE), 0);
    assert_int_equal(dirimage_fill(d, 0, 'C', BLOCK), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_false(image_failed(d->img));
    dirimage_expect(d, 0, 'C', BLOCK);
}

/* Not a new tile of zeros in the place of the lost one. */
static void allocate_in_a_vanished_tile(void **state)
{
    struct dirimage *d = *state;
    char byte;

    assert_int_equal(dirimage_fill(d, 0, 'A', BLOCK), 0);
    assert_int_equal(dirimage_close(d), 0);
    dirimage_open(d, false);
    assert_int_equal(image_count(d->img), 0);
    assert_int_equal(unlink(dirimage_file(d, "00/0000")), 0);
    assert_int_equal(image_allocate(d->img, BLOCK, BLOCK), -EIO);
    assert_int_equal(access(dirimage_file(d, "00/0000"), F_OK), -1);
    assert_int_equal(image_read(d->img, 0, &byte, 1), -EIO);
}

/* Space promised to one part is not given back because another is zeroed. */
static void zero_keeps_what_is_reserved(void **state)
{
    struct dirimage *d = *state;
    struct stat st;
    int rc = image_allocate(d->img, 0, TILE);

    if (rc == -EOPNOTSUPP) {
        print_message("# the file system cannot reserve space\n");
        skip();
    }
    assert_int_equal(rc, 0);
    assert_int_equal(image_zero(d->img, 0, BLOCK), 0);
    assert_int_equal(lstat(dirimage_file(d, "00/0000"), &st), 0);
    assert_true((uint64_t)st.st_blocks * 512 >= TILE - BLOCK);
    dirimage_expect(d, 0, 0, TILE);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(image_zero(d->img, 0, TILE), 0);
    assert_int_equal(access(dirimage_file(d, "00/0000"), F_OK), -1);
}

static uint64_t occupied(struct dirimage *d, const char *name)
{
    struct stat st;

    assert_int_equal(lstat(dirimage_file(d, name), &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* Zeros that keep their space: of data and of what is only reserved, a hole stays one. */
static void blank_keeps_what_is_occupied(void **state)
{
    struct dirimage *d = *state;
    uint64_t before;

    assert_int_equal(dirimage_fill(d, 0, 'x', TILE), 0);
    assert_int_equal(dirimage_fill(d, 2, 'x', BLOCK), 0);
    assert_int_equal(image_write(d->img, 3 * TILE - BLOCK, "x", 1), 0);
    assert_int_equal(image_flush(d->img), 0);
    before = occupied(d, "00/0002");
    assert_int_equal(image_zero_keep(d->img, 0, 3 * TILE), 0);
    assert_int_equal(image_flush(d->img), 0);
    assert_true(occupied(d, "00/0000") >= TILE);
    assert_int_equal(access(dirimage_file(d, "00/0001"), F_OK), -1);
    assert_int_equal(occupied(d, "00/0002"), before);
    dirimage_expect(d, 0, 0, TILE);
    dirimage_expect(d, 2 * TILE, 0, TILE);
    if (image_allocate(d->img, TILE, TILE) == 0) {
        assert_int_equal(image_zero_keep(d->img, TILE, TILE), 0);
        assert_true(occupied(d, "00/0001") >= TILE);
    }
}

static void blank_clears_exactly_the_range(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'a', TILE), 0);
    assert_int_equal(dirimage_fill(d, 2, 'c', TILE), 0);
    assert_int_equal(image_zero_keep(d->img, TILE / 2 + 1, 2 * TILE), 0);
    dirimage_expect(d, 0, 'a', TILE / 2 + 1);
    dirimage_expect(d, TILE / 2 + 1, 0, TILE / 2 - 1);
    dirimage_expect(d, TILE, 0, TILE);
    dirimage_expect(d, 2 * TILE, 0, TILE / 2 + 1);
    dirimage_expect(d, 2 * TILE + TILE / 2 + 1, 'c', TILE / 2 - 1);
    assert_int_equal(image_zero_keep(d->img, NTILES * TILE, 1), 0);
    assert_int_equal(image_zero_keep(d->img, 2 * TILE, UINT64_MAX), 0);
    dirimage_expect(d, 2 * TILE, 0, TILE);
}

/* With nothing reserved, a tile goes with its last data. */
static void zero_of_all_parts_removes_the_tile(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'x', TILE), 0);
    assert_int_equal(dirimage_fill(d, 1, 'x', TILE), 0);
    for (uint64_t off = 0; off < TILE; off += TILE / 4)
        assert_int_equal(image_zero(d->img, off, TILE / 4), 0);
    assert_int_equal(access(dirimage_file(d, "00/0000"), F_OK), -1);
    assert_int_equal(image_flush(d->img), 0);
    for (uint64_t end = TILE; end > 0; end -= TILE / 4)
        assert_int_equal(image_zero(d->img, TILE + end - TILE / 4, TILE / 4), 0);
    assert_int_equal(access(dirimage_file(d, "00/0001"), F_OK), -1);
}

static void make_old(const char *path)
{
    struct timespec times[2] = {{.tv_sec = LONG_AGO}, {.tv_sec = LONG_AGO}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static time_t last_read(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st.st_atim.tv_sec;
}

/* Whether the file system notes who reads: not when it is mounted noatime. */
static bool reading_leaves_a_trace(struct dirimage *d)
{
    const char *path = dirimage_file(d, FORMAT_INDEX_NAME);
    char byte;
    int fd;

    make_old(path);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, &byte, 1), 1);
    close(fd);
    return last_read(path) != LONG_AGO;
}

/* All that a read-only mount does by itself or is asked to do. */
static void use_read_only(struct dirimage *d)
{
    struct image_usage usage;
    uint64_t found;
    char byte;

    dirimage_open(d, true);
    assert_int_equal(image_count(d->img), 0);
    assert_int_equal(image_usage(d->img, 0, &usage), 0);
    assert_int_equal(usage.tiles, 2);
    assert_int_equal(image_read(d->img, 0, &byte, 1), 0);
    assert_int_equal(byte, 'x');
    assert_int_equal(image_read(d->img, TILE, &byte, 1), 0);
    assert_int_equal(image_seek(d->img, TILE, STORE_DATA, &found), 0);
    assert_int_equal(found, 5 * TILE);
    assert_int_equal(image_flush(d->img), 0);
    assert_int_equal(dirimage_close(d), 0);
}

static void assert_no_trace(struct dirimage *d)
{
    static const char *const names[] = {".", FORMAT_INDEX_NAME, "00", "00/0000", "00/0005"};

    if (!reading_leaves_a_trace(d)) {
        print_message("# the file system is mounted noatime\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        make_old(dirimage_file(d, names[i]));
    use_read_only(d);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (last_read(dirimage_file(d, names[i])) != LONG_AGO)
            fail_msg("'%s' was seen to be read", names[i]);
}

static void read_only_leaves_no_trace(void **state)
{
    struct dirimage *d = *state;

    assert_int_equal(dirimage_fill(d, 0, 'x', TILE), 0);
    assert_int_equal(dirimage_fill(d, 5, 'x', TILE), 0);
    assert_int_equal(dirimage_close(d), 0);
    assert_no_trace(d);
}

/* There the folders are read at opening, too. */
static void read_only_leaves_no_trace_in_the_original(void **state)
{
    struct dirimage *d = *state;
    FILE *index;

    assert_int_equal(dirimage_fill(d, 0, 'x', TILE), 0);
    assert_int_equal(dirimage_fill(d, 5, 'x', TILE), 0);
    assert_int_equal(dirimage_close(d), 0);
    index = fopen(dirimage_file(d, FORMAT_INDEX_NAME), "w");
    assert_non_null(index);
    fprintf(index, "1 %d 10", (int)TILE);
    assert_int_equal(fclose(index), 0);
    assert_no_trace(d);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, dirimage_setup, dirimage_teardown)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_permission_is_not_for_ever),
    TEST(removed_while_open),
    TEST(replaced_while_open),
    TEST(removed_by_ourselves),
    TEST(allocate_in_a_vanished_tile),
    TEST(zero_keeps_what_is_reserved),
    TEST(blank_keeps_what_is_occupied),
    TEST(blank_clears_exactly_the_range),
    TEST(zero_of_all_parts_removes_the_tile),
    TEST(read_only_leaves_no_trace),
    TEST(read_only_leaves_no_trace_in_the_original),
};

/* File systems differ in what they tell of reserved space, so also in memory. */
static int run_in_memory(void)
{
    static const char dir[] = "/dev/shm";

    if (access(dir, W_OK)) {
        print_message("# no '%s' to run these tests in\n", dir);
        return 0;
    }
    tempstore_must(setenv("TMPDIR", dir, 1) == 0, "TMPDIR");
    return cmocka_run_group_tests_name("tile files in memory", tests, NULL, NULL);
}

int main(void)
{
    int failed = cmocka_run_group_tests_name("tile files", tests, NULL, NULL);

    return failed + run_in_memory() ? 1 : 0;
}
