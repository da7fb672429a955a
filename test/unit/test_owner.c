/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record of who writes, when another host writes one beside ours: there
 * flock(2) does not reach. The linker (--wrap) lets the other host act at the
 * worst moment.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "base/compiler.h"
#include "base/log.h"
#include "owner/owner.h"
#include "owner/owner_record.h"

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
    assert_int_equal(owner_record_read(&temp.archive, &taken), 0);
    confined = true;
    assert_int_equal(owner_made_mountpoint(&owner), 0);
    assert_int_equal(owner_record_read(&temp.archive, &noted), 0);
    assert_true(noted.made_mountpoint);
    noted.made_mountpoint = false;
    assert_memory_equal(&noted, &taken, sizeof(taken));
    owner_drop(&owner);
    confined = false;
    assert_int_equal(owner_record_read(&temp.archive, &noted), -ENOENT);
}

/* --- what a record tells ------------------------------------------------------ */

#define GONE 0x7ffffff0 /* no process has that number */

/* local, exclusive: of the archive where the record is found */
static const struct {
    const char *what;
    const char *machine, *host, *boot, *namespaces; /* NULL: ours */
    bool alive, was_local, local, exclusive;
    enum owner_state state;
} writers[] = {
    {"a crash, seen by its flock", NULL, NULL, NULL, NULL, false, true, true, true, OWNER_DEAD},
    {"a crash, seen by its PID", NULL, NULL, NULL, NULL, false, false, false, false, OWNER_DEAD},
    {"in use", NULL, NULL, NULL, NULL, true, false, false, false, OWNER_ALIVE},
    {"in use through bindfs, the disk here", NULL, NULL, NULL, NULL, true, false, true, true,
     OWNER_ALIVE},
    {"in use on the disk, bindfs here", NULL, NULL, NULL, NULL, true, true, false, false,
     OWNER_ALIVE},
    {"a copy of what is in use", NULL, NULL, NULL, NULL, true, true, true, true, OWNER_ALIVE},
    {"a reboot", NULL, NULL, "b", NULL, false, true, true, true, OWNER_DEAD},
    {"a reboot, only looked at", NULL, NULL, "b", NULL, true, true, true, false, OWNER_DEAD},
    {"a reboot, host renamed", NULL, "h", "b", NULL, false, true, true, true, OWNER_DEAD},
    {"a clone over a network", NULL, "h", "b", NULL, false, false, false, false, OWNER_ELSEWHERE},
    {"a clone over a network, same name", NULL, NULL, "b", NULL, false, false, false, false,
     OWNER_ELSEWHERE},
    {"a clone over a network, our disk", NULL, "h", "b", NULL, false, false, true, true,
     OWNER_ELSEWHERE},
    {"a clone with the disk, we over a network", NULL, "h", "b", NULL, false, true, false, false,
     OWNER_ELSEWHERE},
    {"a container through bindfs", NULL, NULL, NULL, "1:2", false, false, false, false,
     OWNER_ELSEWHERE},
    {"a container through bindfs, the disk here", NULL, NULL, NULL, "1:2", false, false, true, true,
     OWNER_ELSEWHERE},
    {"a dead container", NULL, NULL, NULL, "1:2", false, true, true, true, OWNER_DEAD},
    {"a container, only looked at", NULL, NULL, NULL, "1:2", false, true, true, false,
     OWNER_ELSEWHERE},
    {"namespaces that nobody knows", NULL, NULL, NULL, "-", false, false, true, true,
     OWNER_ELSEWHERE},
    {"a boot that nobody knows", NULL, NULL, "-", NULL, false, false, true, true, OWNER_ELSEWHERE},
    {"another machine", "m", NULL, NULL, NULL, false, true, true, true, OWNER_ELSEWHERE},
    {"old, a crash", NULL, NULL, NULL, "", false, false, true, true, OWNER_DEAD},
    {"old, in use", NULL, NULL, NULL, "", true, false, true, true, OWNER_ALIVE},
    {"old, a reboot", NULL, NULL, "b", "", false, false, true, true, OWNER_DEAD},
    {"old, a reboot, over a network", NULL, NULL, "b", "", false, false, false, false,
     OWNER_ELSEWHERE},
    {"old, a PID that is not seen, over a network", NULL, NULL, NULL, "", false, false, false,
     false, OWNER_ELSEWHERE},
};

static void set(char *to, const char *value)
{
    if (value)
        strcpy(to, value);
}

static void only_who_is_certainly_dead_is_dead(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        struct record record;
        enum owner_state found;

        writer_self(&record, MOUNTPOINT);
        set(record.machine, writers[i].machine);
        set(record.host, writers[i].host);
        set(record.boot, writers[i].boot);
        set(record.namespaces, writers[i].namespaces);
        record.local = writers[i].was_local;
        record.pid = writers[i].alive ? getppid() : GONE;
        record.start = 0;
        found = writer_state(&record, writers[i].local, writers[i].exclusive);
        if (found != writers[i].state)
            fail_msg("%s: %d", writers[i].what, (int)found);
    }
}

/* --- who has it without a record of its own ----------------------------------------------- */

static char said[2 * PATH_MAX];

static void take_line(void *arg, enum log_level level, const char *text)
{
    if (level == LOG_LEVEL_ERROR)
        snprintf(said, sizeof(said), "%s", text);
}

/* A process that holds the flock in that mode until the pipe *fd is closed. */
static pid_t hold(int mode, int *fd)
{
    int ready[2], end[2];
    char byte = 0;
    pid_t pid;

    tempstore_must(pipe(ready) == 0 && pipe(end) == 0, "pipe");
    pid = fork();
    if (pid == 0) {
        int dir = open(temp.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        close(end[1]);
        _exit(dir < 0 || flock(dir, mode) || write(ready[1], &byte, 1) != 1 ||
              read(end[0], &byte, 1) < 0);
    }
    close(end[0]);
    close(ready[1]);
    tempstore_must(pid > 0 && read(ready[0], &byte, 1) == 1, "the holder");
    close(ready[0]);
    *fd = end[1];
    return pid;
}

static void a_starting_writer_is_told_from_a_reader(void **state)
{
    static const struct {
        int mode;
        const char *before, *after;
    } holders[] = {
        {LOCK_EX, "in use by process", ", which is just starting or finishing"},
        {LOCK_SH, "in use read-only by process", ""},
    };

    log_sink(take_line, NULL);
    for (size_t i = 0; i < ARRAY_LEN(holders); i++) {
        char wanted[100];
        int fd, status;
        pid_t pid = hold(holders[i].mode, &fd);

        owner_holder_tell(&temp.archive);
        close(fd);
        waitpid(pid, &status, 0);
        snprintf(wanted, sizeof(wanted), "%s %d%s", holders[i].before, (int)pid, holders[i].after);
        if (status || !strstr(said, wanted))
            fail_msg("holder %d: '%s' instead of '%s'", status, said, wanted);
    }
    log_sink(NULL, NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(own_record_comes_and_goes),           TEST(drop_leaves_the_record_of_another),
        TEST(reader_leaves_the_record_of_another), TEST(take_does_not_overwrite_a_record),
        TEST(take_after_the_other_has_gone),       TEST(later_calls_need_the_archive_alone),
        TEST(only_who_is_certainly_dead_is_dead),  TEST(a_starting_writer_is_told_from_a_reader),
    };

    return cmocka_run_group_tests_name("owner", tests, NULL, NULL) ? 1 : 0;
}
