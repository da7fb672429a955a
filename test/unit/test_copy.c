/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/copy.h"
#include "base/fs.h"

#define LEN (5 << 20)
#define FAR (32 << 20) /* a hole reaches there */

/* The file system has not heard yet of what was written: it tells one hole. */
static bool lags;

off_t __real_lseek64(int fd, off_t off, int whence);
off_t __wrap_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek64(int fd, off_t off, int whence) __attribute__((alias("__wrap_lseek")));
bool __real_fs_known(int fd);
bool __wrap_fs_known(int fd);

off_t __wrap_lseek(int fd, off_t off, int whence)
{
    if (!lags || whence != SEEK_DATA)
        return __real_lseek64(fd, off, whence);
    errno = ENXIO;
    return -1;
}

bool __wrap_fs_known(int fd)
{
    return !lags && __real_fs_known(fd);
}

/* Files without a name, on two file systems where there are two. */
static int new_file(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR, 0600);

    if (fd < 0)
        fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    assert_true(fd >= 0);
    return fd;
}

static char *random_bytes(void)
{
    char *bytes = malloc(LEN);

    assert_non_null(bytes);
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (char)(rand() | 1);
    return bytes;
}

static void check(const char *to_dir, uint64_t to_off)
{
    int from = new_file("/tmp"), to = new_file(to_dir);
    char *bytes = random_bytes(), *got = malloc(LEN);
    struct stat st;

    assert_non_null(got);
    assert_int_equal(pwrite(from, bytes, LEN, 4096), LEN);
    assert_int_equal(pwrite(from, bytes, 1000, FAR), 1000);
    assert_int_equal(copy_range(from, 4096, to, to_off, 2 * FAR), 0);
    assert_int_equal(pread(to, got, LEN, (off_t)to_off), LEN);
    assert_memory_equal(got, bytes, LEN);
    assert_int_equal(pread(to, got, LEN, (off_t)to_off + FAR - 4096), 1000);
    assert_memory_equal(got, bytes, 1000);
    assert_int_equal(fstat(to, &st), 0);
    assert_true(st.st_blocks * 512 < FAR / 2); /* the hole is one there, too */
    close(from);
    close(to);
    free(bytes);
    free(got);
}

static void within_a_file_system(void **state)
{
    check("/tmp", 8192);
    check("/tmp", 78519);
}

static void between_file_systems(void **state)
{
    check("/dev/shm", 8192);
    check("/dev/shm", 78519);
}

static void a_part(void **state)
{
    int from = new_file("/tmp"), to = new_file("/tmp");
    char got[16] = "";

    assert_int_equal(pwrite(from, "0123456789", 10, 0), 10);
    assert_int_equal(copy_range(from, 2, to, 1, 5), 0);
    assert_int_equal(pread(to, got, sizeof(got), 0), 6);
    assert_memory_equal(got,
                        "\0"
                        "23456",
                        6);
    assert_int_equal(copy_range(from, 10, to, 0, 5), 0);
    assert_int_equal(copy_range(from, 0, to, 0, 0), 0);
    close(from);
    close(to);
}

static void where_holes_are_told_that_are_none(void **state)
{
    lags = true;
    check("/tmp", 8192);
    check("/dev/shm", 78519);
    lags = false;
}

static void errors_are_told(void **state)
{
    int from = new_file("/tmp"), to = open("/dev/full", O_WRONLY);
    int writer = open("/dev/null", O_WRONLY);

    assert_int_equal(pwrite(from, "0123456789", 10, 0), 10);
    assert_int_equal(copy_range(from, 0, to, 0, 10), -ENOSPC);
    assert_int_equal(copy_range(writer, 0, from, 0, 10), -EBADF);
    close(from);
    close(to);
    close(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_a_file_system),
        cmocka_unit_test(between_file_systems),
        cmocka_unit_test(a_part),
        cmocka_unit_test(where_holes_are_told_that_are_none),
        cmocka_unit_test(errors_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
