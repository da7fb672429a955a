/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A drive is opened by what the archive is once its lock is held, not by what it was
 * before. The linker (--wrap) lets somebody else change the archive at the worst
 * moments: while we wait for the flock, and where that does not reach everybody,
 * until our record is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "archive/archive_index.h"
#include "base/compiler.h"
#include "base/log.h"
#include "drive/drive.h"

#define TILE UINT64_C(65536)
#define NTILES 16

static struct tempstore temp;
static void (*while_waiting)(void); /* done once, before an flock is granted */
static void (*before_record)(void); /* done once, before our record has its name */
static bool shared_elsewhere;       /* the file system is not of this kernel alone */

int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __real_renameat2(int from, const char *name, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *name, int to, const char *new, unsigned flags);
bool __real_fs_local(int fd);
bool __wrap_fs_local(int fd);

static void act(void (**what)(void))
{
    void (*now)(void) = *what;

    *what = NULL;
    if (now)
        now();
}

int __wrap_flock(int fd, int operation)
{
    if (operation & (LOCK_EX | LOCK_SH))
        act(&while_waiting);
    return __real_flock(fd, operation);
}

int __wrap_renameat2(int from, const char *name, int to, const char *new, unsigned flags)
{
    if (strcmp(new, "lock") == 0)
        act(&before_record);
    return __real_renameat2(from, name, to, new, flags);
}

bool __wrap_fs_local(int fd)
{
    return !shared_elsewhere && __real_fs_local(fd);
}

static const char *in_archive(const char *name)
{
    static char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", temp.path, name);
    return path;
}

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0644);

    tempstore_must(fd >= 0 && close(fd) == 0, path);
}

/* --- what the other one does ------------------------------------------------ */

/* A reindex that is killed between two renames. */
static void leave_mark(void)
{
    tempstore_must(mkdir(in_archive(FORMAT_PRIVATE_DIR), 0755) == 0 || errno == EEXIST, "mkdir");
    make_file(in_archive(FORMAT_REINDEX_NAME));
}

static void write_index(uint64_t size)
{
    struct archive other = {.dirfd = open(temp.path, O_RDONLY | O_DIRECTORY)};
    struct geometry geo;

    tempstore_must(other.dirfd >= 0 && geometry_init(&geo, size, TILE) == 0, temp.path);
    strcpy(other.path, temp.path);
    tempstore_must(layouts_index(&layout_plain, &geo, &other.index) == 0, "uuid");
    tempstore_must(unlink(in_archive(FORMAT_INDEX_NAME)) == 0, "unlink");
    tempstore_must(archive_index_write(&other) == 0, "index");
    close(other.dirfd);
}

static void resize(void)
{
    write_index(2 * NTILES * TILE);
}

static void remove_index(void)
{
    tempstore_must(unlink(in_archive(FORMAT_INDEX_NAME)) == 0, "unlink");
}

static void move_away(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s.old", temp.path);
    tempstore_must(rename(temp.path, path) == 0, path);
}

static void replace_all(void)
{
    struct geometry geo;

    move_away();
    tempstore_must(geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_create(&temp, &geo);
}

/* The index does not say which of two kinds the tiles are. */
static void make_pictures(void)
{
    struct geometry geo;

    tempstore_must(geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_must(tree_remove(temp.path) == 0, temp.path);
    tempstore_must(layouts_make_original(temp.path, &layout_original_jpeg, &geo, 0, COVER_2017) ==
                       0,
                   temp.path);
}

/* --- opening ---------------------------------------------------------------- */

static void begin(const struct layout *layout)
{
    struct geometry geo;

    shared_elsewhere = false;
    while_waiting = before_record = NULL;
    tempstore_make(&temp);
    tempstore_must(geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_create_as(&temp, &geo, layout);
}

static void end(void)
{
    assert_null(while_waiting);
    assert_null(before_record);
    tempstore_close(&temp);
    tempstore_must(tree_remove(temp.base) == 0, temp.base);
}

static int open_drive(struct drive *drive, enum drive_reach reach, bool read_only)
{
    struct drive_config config = {
        .path = temp.path,
        .mountpoint = "",
        .reach = reach,
        .read_only = read_only,
        .max_open = DIR_OPEN_MIN,
    };

    return drive_open(drive, &config);
}

/* Nothing is held, and no trace of us is left. */
static void assert_free(void)
{
    int fd = open(temp.path, O_RDONLY | O_DIRECTORY);

    if (fd >= 0)
        assert_int_equal(__real_flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
    assert_int_equal(access(in_archive(FORMAT_LOCK_NAME), F_OK), -1);
}

static void refuse(void (*change)(void), int expected)
{
    for (int way = 0; way < 3; way++) {
        struct drive drive;

        begin(&layout_plain);
        while_waiting = change;
        assert_int_equal(open_drive(&drive, way ? DRIVE_IMAGE : DRIVE_STORE, way == 2), expected);
        assert_free();
        end();
    }
}

static void a_reindex_that_ends_while_we_wait_is_seen(void **state)
{
    (void)state;
    refuse(leave_mark, -EBUSY);
}

static void an_archive_that_goes_while_we_wait_is_refused(void **state)
{
    (void)state;
    refuse(move_away, -ESTALE);
    refuse(replace_all, -ESTALE);
    refuse(remove_index, -ENOENT);
}

static void the_index_is_that_of_after_the_wait(void **state)
{
    struct drive drive;

    (void)state;
    begin(&layout_plain);
    while_waiting = resize;
    assert_int_equal(open_drive(&drive, DRIVE_IMAGE, false), 0);
    assert_int_equal(image_size(drive.img), 2 * NTILES * TILE);
    assert_int_equal(drive_close(&drive), 0);
    assert_free();
    end();
}

static void the_kind_of_tiles_is_that_of_after_the_wait(void **state)
{
    struct drive drive;

    (void)state;
    begin(&layout_original);
    while_waiting = make_pictures;
    /* Made anew, the directory is another one. */
    assert_int_equal(open_drive(&drive, DRIVE_IMAGE, true), -ESTALE);
    assert_int_equal(open_drive(&drive, DRIVE_IMAGE, true), 0);
    assert_ptr_equal(drive.archive.index.layout, &layout_original_jpeg);
    assert_int_equal(drive_close(&drive), 0);
    end();
}

/* Another host may change it until it can see our record. */
static void where_flock_does_not_reach_it_is_read_again(void **state)
{
    struct drive drive;

    (void)state;
    begin(&layout_plain);
    shared_elsewhere = true;
    before_record = leave_mark;
    assert_int_equal(open_drive(&drive, DRIVE_IMAGE, false), -EBUSY);
    assert_free();
    end();
    begin(&layout_plain);
    shared_elsewhere = true;
    before_record = resize;
    assert_int_equal(open_drive(&drive, DRIVE_IMAGE, false), 0);
    assert_int_equal(image_size(drive.img), 2 * NTILES * TILE);
    assert_int_equal(drive_close(&drive), 0);
    end();
}

/* As a mount did once: what these tests are there to see. */
static void the_wrong_order_is_seen(void **state)
{
    struct owner owner;

    (void)state;
    begin(&layout_plain);
    while_waiting = leave_mark;
    assert_int_equal(archive_open(temp.path, &temp.archive), 0);
    assert_int_equal(owner_take(&owner, &temp.archive, "", false), 0);
    assert_int_equal(access(in_archive(FORMAT_REINDEX_NAME), F_OK), 0); /* and nobody has asked */
    owner_drop(&owner);
    end();
}

/* --- closing ---------------------------------------------------------------- */

static void an_archive_that_is_refused_gets_no_trace(void **state)
{
    struct drive drive;

    (void)state;
    begin(&layout_plain);
    remove_index();
    assert_int_equal(open_drive(&drive, DRIVE_IMAGE, false), -ENOENT);
    assert_int_equal(access(in_archive(FORMAT_PRIVATE_DIR), F_OK), -1);
    assert_free();
    end();
}

static void the_record_goes_with_the_drive(void **state)
{
    struct drive drive;

    (void)state;
    begin(&layout_plain);
    assert_int_equal(open_drive(&drive, DRIVE_IMAGE, false), 0);
    assert_int_equal(drive_finish(&drive), 0);
    assert_int_equal(access(in_archive(FORMAT_LOCK_NAME), F_OK), 0);
    assert_int_equal(drive_close(&drive), 0);
    assert_free();
    end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reindex_that_ends_while_we_wait_is_seen),
        cmocka_unit_test(an_archive_that_goes_while_we_wait_is_refused),
        cmocka_unit_test(the_index_is_that_of_after_the_wait),
        cmocka_unit_test(the_kind_of_tiles_is_that_of_after_the_wait),
        cmocka_unit_test(where_flock_does_not_reach_it_is_read_again),
        cmocka_unit_test(the_wrong_order_is_seen),
        cmocka_unit_test(an_archive_that_is_refused_gets_no_trace),
        cmocka_unit_test(the_record_goes_with_the_drive),
    };

    if (log_open("/dev/null") == 0) /* what is refused here is told by its error */
        log_detach();
    return cmocka_run_group_tests_name("drive", tests, NULL, NULL) ? 1 : 0;
}
