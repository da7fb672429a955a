/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A new name where a file system has no RENAME_NOREPLACE, and none of hard links either.
 * The linker (--wrap) takes them away.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tree.h"
#include "base/compiler.h"
#include "base/io.h"

static int no_rename, no_link; /* the error, or 0: they work */

int __real_renameat2(int from, const char *name, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *name, int to, const char *new, unsigned flags);
int __real_linkat(int from, const char *name, int to, const char *new, int flags);
int __wrap_linkat(int from, const char *name, int to, const char *new, int flags);

int __wrap_renameat2(int from, const char *name, int to, const char *new, unsigned flags)
{
    errno = no_rename;
    return no_rename ? -1 : __real_renameat2(from, name, to, new, flags);
}

int __wrap_linkat(int from, const char *name, int to, const char *new, int flags)
{
    errno = no_link;
    return no_link ? -1 : __real_linkat(from, name, to, new, flags);
}

static const struct {
    int no_rename, no_link;
} kinds[] = {
    {0, 0},        {EINVAL, 0},          {ENOSYS, 0},          {EINVAL, EPERM},
    {EINVAL, EIO}, {EINVAL, EOPNOTSUPP}, {EOPNOTSUPP, ENOSYS}, {ENOSYS, EMLINK},
};

static void a_new_name_is_made_and_an_old_one_stays(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        char base[] = "/tmp/mosaicfs-test-XXXXXX";
        char text[8] = "";
        size_t len;
        int fd;

        assert_non_null(mkdtemp(base));
        fd = open(base, O_RDONLY | O_DIRECTORY);
        assert_true(fd >= 0);
        no_rename = kinds[i].no_rename;
        no_link = kinds[i].no_link;
        assert_int_equal(io_replace(fd, "f", "one", 3, IO_NEW), 0);
        assert_int_equal(io_replace(fd, "f", "two", 3, IO_NEW), -EEXIST);
        assert_int_equal(io_read_file(fd, "f", text, sizeof(text), &len), 0);
        assert_string_equal(text, "one");
        assert_int_equal(faccessat(fd, "f.tmp", F_OK, 0), -1);
        assert_int_equal(io_rename_new(fd, "nothing", "g"), -ENOENT);
        close(fd);
        assert_int_equal(tree_remove(base), 0);
    }
}

/* An error of the disk is no lack of the file system. */
static void an_error_of_the_disk_is_told(void **state)
{
    char base[] = "/tmp/mosaicfs-test-XXXXXX";
    int fd;

    (void)state;
    assert_non_null(mkdtemp(base));
    fd = open(base, O_RDONLY | O_DIRECTORY);
    no_rename = EIO;
    no_link = 0;
    assert_int_equal(io_replace(fd, "f", "one", 3, IO_NEW), -EIO);
    no_rename = EINVAL;
    no_link = ENOSPC;
    assert_int_equal(io_replace(fd, "f", "one", 3, IO_NEW), -ENOSPC);
    close(fd);
    assert_int_equal(tree_remove(base), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_name_is_made_and_an_old_one_stays),
        cmocka_unit_test(an_error_of_the_disk_is_told),
    };

    return cmocka_run_group_tests_name("io_move", tests, NULL, NULL) ? 1 : 0;
}
