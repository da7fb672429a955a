/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Fields 4 to 21, and the start. */
#define REST " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 0 6283 5 6\n"

static void a_process_may_be_called_anything(void **state)
{
    static const char *const names[] = {"mosaicfs", "", ")", "(a) Z 1 2 3", "a\nb", "\n) R 1 2"};
    struct proc_stat stat;
    char text[256];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(text, sizeof(text), "4711 (%s) S" REST, names[i]);
        assert_true(proc_parse_stat(text, &stat));
        assert_int_equal(stat.state, 'S');
        assert_int_equal(stat.start, 6283);
    }
}

static void a_stat_that_is_cut_is_refused(void **state)
{
    static const char *const texts[] = {"", "1 (a", "1 (a)", "1 (a) ", "1 (a) S", "1 (a) S 1 2 3 "};
    struct proc_stat stat;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (proc_parse_stat(texts[i], &stat))
            fail_msg("taken: '%s'", texts[i]);
}

static void only_flocks_that_are_held_count(void **state)
{
    static const char *const others[] = {
        "",
        "1: POSIX  ADVISORY  WRITE 7 00:2d:17 0 EOF\n",
        "1: -> FLOCK  ADVISORY  WRITE 7 00:2d:17 0 EOF\n",
        "1: FLOCK  ADVISORY  WRITE 7 00:2d\n",
    };
    struct proc_flock lock;

    assert_true(proc_parse_flock("12: FLOCK  ADVISORY  WRITE 7 fe:2d:17 0 EOF\n", &lock));
    assert_int_equal(lock.pid, 7);
    assert_true(lock.exclusive);
    assert_int_equal(lock.maj, 0xfe);
    assert_int_equal(lock.min, 0x2d);
    assert_int_equal(lock.ino, 17);
    assert_true(proc_parse_flock("12: FLOCK  ADVISORY  READ  7 fe:2d:17 0 EOF\n", &lock));
    assert_false(lock.exclusive);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (proc_parse_flock(others[i], &lock))
            fail_msg("taken: '%s'", others[i]);
}

static void a_mount_tells_its_places(void **state)
{
    char line[] =
        "77 28 0:42 /a\\040b /mnt/my\\040drive rw,nosuid shared:3 master:1 - fuse.mosaicfs "
        "/srv/a\\134b ro,user_id=0\n";
    struct proc_mount mount;

    assert_true(proc_parse_mount(line, &mount));
    assert_int_equal(mount.id, 77);
    assert_int_equal(mount.parent, 28);
    assert_string_equal(mount.root, "/a b");
    assert_int_equal(mount.shared, 3);
    assert_int_equal(mount.master, 1);
    assert_int_equal(mount.maj, 0);
    assert_int_equal(mount.min, 42);
    assert_true(mount.read_only);
    assert_string_equal(mount.mountpoint, "/mnt/my drive");
    assert_string_equal(mount.type, "fuse.mosaicfs");
    assert_string_equal(mount.source, "/srv/a\\b");
}

static void what_is_no_mount_is_refused(void **state)
{
    static const char *const lines[] = {
        "\n",
        "77 28 0:42 / /mnt rw\n",
        "77 28 0:42 / /mnt - ext4 /dev/sda rw\n",
        "77 28 42 / /mnt rw - ext4 /dev/sda rw\n",
        "x 28 0:42 / /mnt rw - ext4 /dev/sda rw\n",
        "77 28 0:42 / /mnt rw - \n",
    };
    struct proc_mount mount;
    char line[128];

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        strcpy(line, lines[i]);
        if (proc_parse_mount(line, &mount))
            fail_msg("taken: '%s'", lines[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_may_be_called_anything),
        cmocka_unit_test(a_stat_that_is_cut_is_refused),
        cmocka_unit_test(only_flocks_that_are_held_count),
        cmocka_unit_test(a_mount_tells_its_places),
        cmocka_unit_test(what_is_no_mount_is_refused),
    };

    return cmocka_run_group_tests_name("proc", tests, NULL, NULL) ? 1 : 0;
}
