/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Zeros in place in one file, on file systems that lie or can do little: by the
 * linker (--wrap) they tell of holes where there are data, and refuse fallocate(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "archive/tilefile.h"

#define BLOCK 4096
#define SIZE (16 * BLOCK)

off_t __real_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek(int fd, off_t off, int whence);
off_t __wrap_lseek64(int fd, off_t off, int whence) __attribute__((alias("__wrap_lseek")));
int __real_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
    __attribute__((alias("__wrap_fallocate")));

bool __wrap_fs_known(int fd);

static bool all_holes;     /* SEEK_DATA finds none */
static int seek_error;     /* of SEEK_DATA and SEEK_HOLE */
static int allocate_error; /* of fallocate(2) */

off_t __wrap_lseek(int fd, off_t off, int whence)
{
    errno = all_holes ? ENXIO : seek_error;
    if ((whence == SEEK_DATA && all_holes) || seek_error)
        return -1;
    return __real_lseek(fd, off, whence);
}

/* One that lies is none of those that are believed. */
bool __wrap_fs_known(int fd)
{
    return !all_holes;
}

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
    errno = allocate_error;
    return allocate_error ? -1 : __real_fallocate(fd, mode, off, len);
}

/* Whatever the file system tells, a range of data and holes reads as zeros, and nothing else. */
static void check(void)
{
    static const char zeros[SIZE];
    char want[SIZE] = {0}, got[SIZE];
    FILE *file = tmpfile();
    int fd;

    assert_non_null(file);
    fd = fileno(file);
    memset(want, 'x', 3 * BLOCK);
    memset(want + 10 * BLOCK, 'y', 6 * BLOCK);
    assert_int_equal(pwrite(fd, want, 3 * BLOCK, 0), 3 * BLOCK);
    assert_int_equal(pwrite(fd, want + 10 * BLOCK, 6 * BLOCK, 10 * BLOCK), 6 * BLOCK);
    memset(want + 100, 0, SIZE - BLOCK - 100);
    assert_int_equal(tilefile_blank(fd, 100, SIZE - BLOCK), 0);
    assert_int_equal(pread(fd, got, SIZE, 0), SIZE);
    assert_memory_equal(got, want, SIZE);
    assert_int_equal(tilefile_blank(fd, 0, SIZE), 0);
    assert_int_equal(pread(fd, got, SIZE, 0), SIZE);
    assert_memory_equal(got, zeros, SIZE);
    fclose(file);
}

static void as_it_is(void **state)
{
    check();
}

static void data_that_are_told_as_holes(void **state)
{
    all_holes = true;
    check();
    all_holes = false;
}

static void no_holes_at_all(void **state)
{
    seek_error = EINVAL;
    check();
    seek_error = 0;
}

static void no_zeroing_but_by_writing(void **state)
{
    static const int errors[] = {EOPNOTSUPP, ENOSPC, EDQUOT};

    for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
        allocate_error = errors[i];
        check();
    }
    allocate_error = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_it_is),
        cmocka_unit_test(data_that_are_told_as_holes),
        cmocka_unit_test(no_holes_at_all),
        cmocka_unit_test(no_zeroing_but_by_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
