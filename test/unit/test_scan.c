/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What passes while it is looked at, and what stays; what a repair does when it is
 * in the way. The linker (--wrap) lets folders fail and go at the right moment.
 */
#include "check/scan.h"
#include "check/scan_kinds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "base/io.h"
#include "check/repair.h"
#include "check/reread.h"
#include "owner/owner.h"

#define TILE 65536

struct fixture {
    struct tempstore temp;
    struct archive *archive; /* temp's */
    struct scan scan;
};

static void make(struct fixture *fx, const char *name, size_t len)
{
    int fd = openat(fx->archive->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    FILE *f = fdopen(fd, "w");

    assert_non_null(f);
    for (size_t i = 0; i < len; i++)
        fputc('x', f);
    assert_int_equal(fclose(f), 0);
}

static void make_dir(struct fixture *fx, const char *name)
{
    assert_int_equal(mkdirat(fx->archive->dirfd, name, 0755), 0);
}

static void take_away(struct fixture *fx, const char *name)
{
    assert_int_equal(unlinkat(fx->archive->dirfd, name, 0), 0);
}

/* Opening folder "01" fails so many times with this; with ENOENT it goes first. */
static int open_error, open_errors;
/* And listing it with that. */
static int list_error, list_errors;

int __real_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd);
int __wrap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd);
struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
struct dirent *__real_readdir64(DIR *dir);
struct dirent *__wrap_readdir64(DIR *dir);

int __wrap_io_open(int dirfd, const char *path, int flags, mode_t mode, int *fd)
{
    if (strcmp(path, "01") || open_errors == 0)
        return __real_io_open(dirfd, path, flags, mode, fd);
    open_errors--;
    *fd = -1;
    if (open_error == ENOENT)
        assert_int_equal(unlinkat(dirfd, path, AT_REMOVEDIR), 0);
    return -open_error;
}

static bool listing_fails(DIR *dir)
{
    char path[64], target[4096] = "";

    snprintf(path, sizeof(path), "/proc/self/fd/%d", dirfd(dir));
    if (list_errors == 0 || readlink(path, target, sizeof(target) - 1) < 3 ||
        strcmp(target + strlen(target) - 3, "/01"))
        return false;
    list_errors--;
    errno = list_error;
    return true;
}

struct dirent *__wrap_readdir(DIR *dir)
{
    return listing_fails(dir) ? NULL : __real_readdir(dir);
}

struct dirent *__wrap_readdir64(DIR *dir)
{
    return listing_fails(dir) ? NULL : __real_readdir64(dir);
}

/* An archive of 8 tiles, of which 0 exists. */
static int setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));
    struct geometry geo;

    assert_non_null(fx);
    assert_int_equal(geometry_init(&geo, 8 * TILE, TILE), 0);
    tempstore_make(&fx->temp);
    tempstore_create(&fx->temp, &geo);
    fx->archive = &fx->temp.archive;
    assert_int_equal(archive_open_dir(fx->temp.path, fx->archive), 0);
    make_dir(fx, "00");
    make(fx, "00/0000", TILE);
    *state = fx;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fx = *state;

    scan_release(&fx->scan);
    archive_close(fx->archive);
    tempstore_remove(&fx->temp);
    free(fx);
    return 0;
}

/* The findings that are none of the notes. */
static size_t count(const struct scan *scan)
{
    size_t n = 0;

    for (size_t i = 0; i < scan->n; i++)
        n += !scan_kinds_note(scan->list[i].kind);
    return n;
}

static const struct scan_finding *find(const struct scan *scan, const char *path)
{
    for (size_t i = 0; i < scan->n; i++)
        if (!strcmp(scan->list[i].path, path))
            return &scan->list[i];
    return NULL;
}

static void what_has_gone_is_not_reported(void **state)
{
    struct fixture *fx = *state;

    make_dir(fx, "01");
    make_dir(fx, "00/0001");
    make(fx, "00/0002", TILE + 1);
    make(fx, "00/.syncthing.0003.tmp", 1);
    make(fx, "01/stray", 1);
    make(fx, "stays", 1);
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    assert_int_equal(count(&fx->scan), 5);
    assert_int_equal(unlinkat(fx->archive->dirfd, "00/0001", AT_REMOVEDIR), 0);
    make(fx, "00/0002", TILE);
    take_away(fx, "00/.syncthing.0003.tmp");
    take_away(fx, "01/stray");
    assert_int_equal(unlinkat(fx->archive->dirfd, "01", AT_REMOVEDIR), 0);
    scan_again(&fx->scan);
    assert_int_equal(count(&fx->scan), 1);
    assert_non_null(find(&fx->scan, "stays"));
}

static void a_folder_that_goes_meanwhile_is_no_failure(void **state)
{
    struct fixture *fx = *state;

    make_dir(fx, "01");
    open_error = ENOENT;
    open_errors = 1;
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    assert_int_equal(open_errors, 0);
    assert_int_equal(count(&fx->scan), 0);
}

static void a_folder_that_can_be_listed_after_all_is_not_reported(void **state)
{
    struct fixture *fx = *state;

    make_dir(fx, "01");
    open_error = list_error = EIO;
    open_errors = 1;
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    assert_int_equal(count(&fx->scan), 1);
    scan_again(&fx->scan);
    assert_int_equal(count(&fx->scan), 0);
    scan_release(&fx->scan);

    list_errors = 2;
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    scan_again(&fx->scan);
    assert_int_equal(list_errors, 0);
    assert_int_equal(count(&fx->scan), 1);
    assert_int_equal(find(&fx->scan, "01")->kind, SCAN_FOLDER_UNREADABLE);
}

static void a_tile_that_was_trimmed_is_not_unreadable(void **state)
{
    struct fixture *fx = *state;

    make(fx, "00/0001", TILE);
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    assert_int_equal(fx->scan.tiles, 2);
    take_away(fx, "00/0001");
    assert_int_equal(reread_tiles(&fx->scan, NULL, NULL), 0);
    scan_again(&fx->scan);
    assert_int_equal(count(&fx->scan), 0);
}

static void a_live_writer_may_have_temporary_files(void **state)
{
    struct fixture *fx = *state;
    struct owner owner;

    make(fx, "00/0001.tmp", 1);
    assert_int_equal(owner_take(&owner, fx->archive, "", false), 0);
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    assert_true(fx->scan.in_use);
    assert_int_equal(count(&fx->scan), 0);
    scan_release(&fx->scan);
    owner_drop(&owner);
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    assert_int_equal(count(&fx->scan), 1);
    assert_int_equal(find(&fx->scan, "00/0001.tmp")->kind, SCAN_TEMPORARY);
}

/* The list has grown, and each finding leads to its file. */
static void many_strays_go_one_by_one(void **state)
{
    struct fixture *fx = *state;
    struct repair repair;

    for (int i = 0; i < 100; i++) {
        char name[32];

        snprintf(name, sizeof(name), "00/stray%d", i);
        make(fx, name, 1);
    }
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    scan_again(&fx->scan);
    assert_int_equal(count(&fx->scan), 100);
    assert_int_equal(repair_open(fx->archive, &repair), 0);
    for (size_t i = 0; i < fx->scan.n; i++) {
        struct scan_finding *f = &fx->scan.list[i];
        struct stat st;

        if (scan_kinds_note(f->kind))
            continue;
        assert_true(scan_may_move(&fx->scan, f));
        assert_true(scan_still(&fx->scan, f));
        assert_int_equal(repair_move(&repair, f), 0);
        assert_int_equal(fstatat(fx->archive->dirfd, f->moved, &st, 0), 0);
        assert_false(scan_still(&fx->scan, f));
    }
    repair_close(&repair);
    scan_release(&fx->scan);
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    assert_int_equal(count(&fx->scan), 0);
}

static void a_move_never_replaces(void **state)
{
    struct fixture *fx = *state;
    struct repair repair;
    struct scan_finding *f;
    char path[128];
    struct stat st;

    make(fx, "stray", 1);
    assert_int_equal(scan_run(fx->archive, &fx->scan), 0);
    f = (struct scan_finding *)find(&fx->scan, "stray");
    assert_int_equal(repair_open(fx->archive, &repair), 0);
    snprintf(path, sizeof(path), "%s/stray", repair.path);
    make(fx, path, 2);
    assert_int_equal(repair_move(&repair, f), -EEXIST);
    assert_null(f->moved);
    assert_int_equal(fstatat(fx->archive->dirfd, path, &st, 0), 0);
    assert_int_equal(st.st_size, 2);
    assert_int_equal(fstatat(fx->archive->dirfd, "stray", &st, 0), 0);
    repair_close(&repair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_gone_is_not_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_goes_meanwhile_is_no_failure, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_can_be_listed_after_all_is_not_reported,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_tile_that_was_trimmed_is_not_unreadable, setup, teardown),
        cmocka_unit_test_setup_teardown(a_live_writer_may_have_temporary_files, setup, teardown),
        cmocka_unit_test_setup_teardown(many_strays_go_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_move_never_replaces, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
