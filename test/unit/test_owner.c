/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record of who writes, when another host writes one beside ours: there
 * flock(2) does not reach. The linker (--wrap) lets the other host act at the
 * worst moment.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "store/owner.h"

#define MOUNTPOINT "/mnt/drive"
#define OTHERS "/mnt/elsewhere"

static struct tempstore temp;
static struct owner owner;   /* the process under test, as it took the archive */
static bool confined;        /* to the archive: what asks for more fails the test */
static const char *arriving; /* the record that appears once the private directory is made */

int __real_mkdirat(int dirfd, const char *name, mode_t mode);
int __wrap_mkdirat(int dirfd, const char *name, mode_t mode);

int __real_gethostname(char *name, size_t len);
int __wrap_gethostname(char *name, size_t len);
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen64(const char *path, const char *mode);
FILE *__wrap_fopen64(const char *path, const char *mode);

int __wrap_gethostname(char *name, size_t len)
{
    assert_false(confined);
    return __real_gethostname(name, len);
}

FILE *__wrap_fopen(const char *path, const char *mode)
{
    assert_false(confined);
    return __real_fopen(path, mode);
}

FILE *__wrap_fopen64(const char *path, const char *mode)
{
    assert_false(confined);
    return __real_fopen64(path, mode);
}

static const char *record_path(void)
{
    static char path[PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/" FORMAT_LOCK_NAME, temp.path);
    return path;
}

static void put_record(const char *text)
{
    FILE *f = fopen(record_path(), "w");

    tempstore_must(f && fputs(text, f) >= 0 && fclose(f) == 0, record_path());
}

int __wrap_mkdirat(int dirfd, const char *name, mode_t mode)
{
    int rc = __real_mkdirat(dirfd, name, mode);
    int err = errno;

    if (arriving && strcmp(name, FORMAT_PRIVATE_DIR) == 0) {
        put_record(arriving);
        arriving = NULL;
    }
    errno = err;
    return rc;
}

static int setup(void **state)
{
    struct geometry geo;

    arriving = NULL;
    confined = false;
    tempstore_make(&temp);
    tempstore_must(geometry_init(&geo, 65536, 65536) == 0, "geometry");
    tempstore_create(&temp, &geo);
    tempstore_must(archive_open(temp.path, &temp.archive) == 0, temp.path);
    return 0;
}

static int teardown(void **state)
{
    tempstore_remove(&temp);
    return 0;
}

/* As this machine would write it, but for the machine's name. */
static const char *foreign(void)
{
    static char text[256];

    snprintf(text, sizeof(text),
             "host elsewhere\nmachine 0123456789abcdef0123456789abcdef\nboot -\npid %d\nstart 1\n"
             "since 1000000000\nmade-mountpoint 0\nmountpoint " OTHERS "\n",
             (int)getpid());
    return text;
}

static void assert_foreign_stands(void)
{
    struct record record;

    assert_int_equal(owner_read(&temp.archive, &record), 0);
    assert_string_equal(record.host, "elsewhere");
    assert_string_equal(record.mountpoint, OTHERS);
}

static void own_record_comes_and_goes(void **state)
{
    struct record record;

    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, false), 0);
    assert_int_equal(owner_read(&temp.archive, &record), 0);
    assert_int_equal(record.pid, getpid());
    assert_string_equal(record.mountpoint, MOUNTPOINT);
    owner_drop(&owner);
    assert_int_equal(owner_read(&temp.archive, &record), -ENOENT);
    assert_int_equal(access(record_path(), F_OK), -1);
}

static void drop_leaves_the_record_of_another(void **state)
{
    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, false), 0);
    put_record(foreign());
    owner_drop(&owner);
    assert_foreign_stands();
}

static void reader_leaves_the_record_of_another(void **state)
{
    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, true), 0);
    assert_int_equal(access(record_path(), F_OK), -1);
    assert_int_equal(__real_mkdirat(temp.archive.dirfd, FORMAT_PRIVATE_DIR, 0755), 0);
    put_record(foreign());
    owner_drop(&owner);
    assert_foreign_stands();
}

/* It was not there when we looked, and is there when we write. */
static void take_does_not_overwrite_a_record(void **state)
{
    arriving = foreign();
    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, false), -EBUSY);
    assert_null(arriving);
    assert_foreign_stands();
}

/* After a refusal, too, the archive is free for whoever comes next. */
static void take_after_the_other_has_gone(void **state)
{
    arriving = foreign();
    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, false), -EBUSY);
    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, false), -EBUSY);
    assert_int_equal(unlink(record_path()), 0);
    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, false), 0);
    owner_drop(&owner);
}

/* From the mount on the daemon can see nothing but the archive. */
static void later_calls_need_the_archive_alone(void **state)
{
    struct record taken, noted;

    assert_int_equal(owner_take(&owner, &temp.archive, MOUNTPOINT, false), 0);
    assert_int_equal(owner_record(&temp.archive, &taken), 0);
    confined = true;
    assert_int_equal(owner_made_mountpoint(&owner), 0);
    assert_int_equal(owner_record(&temp.archive, &noted), 0);
    assert_true(noted.made_mountpoint);
    noted.made_mountpoint = false;
    assert_memory_equal(&noted, &taken, sizeof(taken));
    owner_drop(&owner);
    confined = false;
    assert_int_equal(owner_record(&temp.archive, &noted), -ENOENT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(own_record_comes_and_goes),           TEST(drop_leaves_the_record_of_another),
        TEST(reader_leaves_the_record_of_another), TEST(take_does_not_overwrite_a_record),
        TEST(take_after_the_other_has_gone),       TEST(later_calls_need_the_archive_alone),
    };

    return cmocka_run_group_tests_name("owner", tests, NULL, NULL) ? 1 : 0;
}
