/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests that meet at the worst moment. The linker (--wrap) lets a test stop
 * a system call of one thread until another thread has done its part, so each
 * race below happens every time.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

#include "dirimage.h"

#define LONG_MS 20000 /* for what must come */
#define SHORT_MS 500  /* for what may have to wait for us */

enum moment { BEFORE_SYNC, BEFORE_PUNCH, BEFORE_CUT, AFTER_UNLINK, NMOMENTS };

/* What to do there, once. */
static void (*_Atomic todo[NMOMENTS])(void);

static _Atomic(ino_t) watched; /* BEFORE_SYNC and syncs mean the file of that number */
static atomic_uint syncs;
static _Thread_local bool stop_at_size; /* the next time this thread asks for a file's size */
static sem_t stopped, go_on;
static struct dirimage *image; /* of the running test */

int __real_fstat(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) __attribute__((alias("__wrap_fstat")));
int __wrap_fdatasync(int fd);
int __real_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate(int fd, int mode, off_t off, off_t len);
int __wrap_fallocate64(int fd, int mode, off_t off, off_t len)
    __attribute__((alias("__wrap_fallocate")));
int __real_ftruncate(int fd, off_t len);
int __wrap_ftruncate(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len) __attribute__((alias("__wrap_ftruncate")));
int __real_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);

/* False when nobody posted in time. */
static bool wait_for(sem_t *sem, unsigned ms)
{
    struct timespec until;
    int rc;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    do {
        rc = sem_timedwait(sem, &until);
    } while (rc && errno == EINTR);
    return rc == 0;
}

static void at(enum moment moment)
{
    void (*fn)(void) = atomic_exchange(&todo[moment], NULL);

    if (fn)
        fn();
}

int __wrap_fstat(int fd, struct stat *st)
{
    int rc = __real_fstat(fd, st);

    if (stop_at_size && rc == 0 && S_ISREG(st->st_mode)) {
        stop_at_size = false;
        sem_post(&stopped);
        /* Whoever asks under a lock of the cache cannot be waited for. */
        wait_for(&go_on, 2 * SHORT_MS);
    }
    return rc;
}

/* The disk is not needed here, only who asks for it. */
int __wrap_fdatasync(int fd)
{
    struct stat st;

    if (__real_fstat(fd, &st) == 0 && st.st_ino == atomic_load(&watched)) {
        at(BEFORE_SYNC);
        atomic_fetch_add(&syncs, 1);
    }
    return 0;
}

int __wrap_fallocate(int fd, int mode, off_t off, off_t len)
{
    if (mode & FALLOC_FL_PUNCH_HOLE)
        at(BEFORE_PUNCH);
    return __real_fallocate(fd, mode, off, len);
}

int __wrap_ftruncate(int fd, off_t len)
{
    at(BEFORE_CUT);
    return __real_ftruncate(fd, len);
}

int __wrap_unlinkat(int dirfd, const char *name, int flags)
{
    int rc = __real_unlinkat(dirfd, name, flags);
    int err = errno;

    at(AFTER_UNLINK);
    errno = err;
    return rc;
}

/* Runs beside whoever starts it. */
static struct beside {
    pthread_t thread;
    sem_t done;
    int (*fn)(void);
    int rc;
} beside;

static void *run_beside(void *unused)
{
    beside.rc = beside.fn();
    sem_post(&beside.done);
    return NULL;
}

/* Gives fn time to end; if it has to wait for its starter, it goes on behind it. */
static void start_beside(int (*fn)(void))
{
    beside.fn = fn;
    beside.rc = -1;
    sem_init(&beside.done, 0, 0);
    tempstore_must(pthread_create(&beside.thread, NULL, run_beside, NULL) == 0, "thread");
    wait_for(&beside.done, SHORT_MS);
}

static int end_beside(void)
{
    pthread_join(beside.thread, NULL);
    sem_destroy(&beside.done);
    return beside.rc;
}

static int setup(void **state)
{
    dirimage_setup(state);
    image = *state;
    for (enum moment moment = 0; moment < NMOMENTS; moment++)
        atomic_store(&todo[moment], NULL);
    atomic_store(&watched, 0);
    sem_init(&stopped, 0, 0);
    sem_init(&go_on, 0, 0);
    alarm(120);
    return 0;
}

static int teardown(void **state)
{
    alarm(0);
    sem_destroy(&stopped);
    sem_destroy(&go_on);
    return dirimage_teardown(state);
}

/* Tile 0's file is the one that counts. */
static void watch(void)
{
    struct stat st;

    assert_int_equal(lstat(dirimage_file(image, "00/0000"), &st), 0);
    atomic_store(&watched, st.st_ino);
    atomic_store(&syncs, 0);
}

static int flush(void)
{
    return image_flush(image->img);
}

static void *read_slowly(void *unused)
{
    static char bytes[BLOCK];

    stop_at_size = true;
    return image_read(image->img, 0, bytes, sizeof(bytes)) == 0 ? bytes : NULL;
}

/*
 * reader              writer
 * opens tile 0,
 * its file is short
 *                     fills tile 0: the file is long
 *                     closes it, touching other tiles
 * puts its descriptor
 * into the cache
 *
 * The cache must not believe now that the file is short: what lies behind its
 * end is not written and not punched, for it is zeros already.
 */
static void enter_with_an_old_size(void)
{
    pthread_t reader;
    void *result;

    assert_int_equal(dirimage_fill(image, 0, 'x', 1), 0);
    dirimage_evict(image);
    assert_int_equal(pthread_create(&reader, NULL, read_slowly, NULL), 0);
    assert_true(wait_for(&stopped, LONG_MS));
    assert_int_equal(dirimage_fill(image, 0, 'D', TILE), 0);
    dirimage_evict(image);
    sem_post(&go_on);
    assert_int_equal(pthread_join(reader, &result), 0);
    assert_non_null(result);
}

static void zeros_are_written_over_data(void **state)
{
    static const char zeros[BLOCK];

    enter_with_an_old_size();
    assert_int_equal(image_write(image->img, 2 * BLOCK, zeros, BLOCK), 0);
    dirimage_expect(image, 2 * BLOCK, 0, BLOCK);
    dirimage_expect(image, 3 * BLOCK, 'D', TILE - 3 * BLOCK);
}

static void data_are_punched_out(void **state)
{
    enter_with_an_old_size();
    assert_int_equal(image_zero(image->img, 4 * BLOCK, BLOCK), 0);
    dirimage_expect(image, 4 * BLOCK, 0, BLOCK);
    dirimage_expect(image, 5 * BLOCK, 'D', TILE - 5 * BLOCK);
}

static void the_tail_is_cut_off(void **state)
{
    enter_with_an_old_size();
    assert_int_equal(image_zero(image->img, BLOCK, TILE - BLOCK), 0);
    dirimage_expect(image, 0, 'D', BLOCK);
    dirimage_expect(image, BLOCK, 0, TILE - BLOCK);
}

static void flush_here(void)
{
    tempstore_must(image_flush(image->img) == 0, "flush");
}

/*
 * trim                flush               others
 * finds tile 0's file
 *                     syncs it: clean
 * punches a hole
 *                                         push it out of the cache
 *                     (again) must find
 *                     the hole durable
 */
static void zero_beside_a_flush(enum moment moment, uint64_t off, uint64_t len)
{
    unsigned before;

    assert_int_equal(dirimage_fill(image, 0, 'D', TILE), 0);
    watch();
    atomic_store(&todo[moment], flush_here);
    assert_int_equal(image_zero(image->img, off, len), 0);
    assert_null(atomic_load(&todo[moment])); /* it did come by */
    before = atomic_load(&syncs);
    assert_int_equal(before, 1);
    dirimage_evict(image);
    assert_int_equal(image_flush(image->img), 0);
    assert_true(atomic_load(&syncs) > before);
}

static void punch_beside_a_flush_is_durable(void **state)
{
    zero_beside_a_flush(BEFORE_PUNCH, 0, BLOCK);
}

static void cut_beside_a_flush_is_durable(void **state)
{
    zero_beside_a_flush(BEFORE_CUT, BLOCK, TILE - BLOCK);
}

static int remove_tile(void)
{
    return image_zero(image->img, 0, TILE);
}

static int remove_and_make(void)
{
    int rc = remove_tile();

    return rc ? rc : dirimage_fill(image, 0, 'n', BLOCK);
}

static void remove_here(void)
{
    start_beside(remove_tile);
}

static void remove_and_make_here(void)
{
    start_beside(remove_and_make);
}

static void start_flush_here(void)
{
    start_beside(flush);
}

/* A file that we removed ourselves is no damage, whenever the flush comes upon it. */
static void removal_while_flush_syncs(void **state)
{
    assert_int_equal(dirimage_fill(image, 0, 'D', TILE), 0);
    watch();
    atomic_store(&todo[BEFORE_SYNC], remove_here);
    assert_int_equal(image_flush(image->img), 0);
    assert_null(atomic_load(&todo[BEFORE_SYNC]));
    assert_int_equal(end_beside(), 0);
    assert_int_equal(image_flush(image->img), 0);
    dirimage_expect(image, 0, 0, TILE);
}

static void new_file_while_flush_syncs_the_old(void **state)
{
    assert_int_equal(dirimage_fill(image, 0, 'D', TILE), 0);
    watch();
    atomic_store(&todo[BEFORE_SYNC], remove_and_make_here);
    assert_int_equal(image_flush(image->img), 0);
    assert_null(atomic_load(&todo[BEFORE_SYNC]));
    assert_int_equal(end_beside(), 0);
    assert_int_equal(image_flush(image->img), 0);
    dirimage_expect(image, 0, 'n', BLOCK);
    dirimage_expect(image, BLOCK, 0, TILE - BLOCK);
}

/* The name is gone, and the cache has not been told yet. */
static void flush_right_after_the_unlink(void **state)
{
    assert_int_equal(dirimage_fill(image, 0, 'D', TILE), 0);
    watch();
    atomic_store(&todo[AFTER_UNLINK], start_flush_here);
    assert_int_equal(remove_tile(), 0);
    assert_null(atomic_load(&todo[AFTER_UNLINK]));
    assert_int_equal(end_beside(), 0);
    assert_int_equal(image_flush(image->img), 0);
}

static void removal_while_eviction_syncs(void **state)
{
    assert_int_equal(dirimage_fill(image, 0, 'D', TILE), 0);
    watch();
    atomic_store(&todo[BEFORE_SYNC], remove_here);
    dirimage_evict(image);
    assert_null(atomic_load(&todo[BEFORE_SYNC]));
    assert_int_equal(end_beside(), 0);
    assert_int_equal(image_flush(image->img), 0);
    dirimage_expect(image, 0, 0, TILE);
}

/* Somebody else removed it, though, and its bytes with it: the next flush must not say "done". */
static void foreign_removal_before_eviction(void **state)
{
    assert_int_equal(dirimage_fill(image, 0, 'D', TILE), 0);
    assert_int_equal(unlink(dirimage_file(image, "00/0000")), 0);
    dirimage_evict(image);
    assert_int_equal(image_flush(image->img), -EIO);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(zeros_are_written_over_data),
        TEST(data_are_punched_out),
        TEST(the_tail_is_cut_off),
        TEST(punch_beside_a_flush_is_durable),
        TEST(cut_beside_a_flush_is_durable),
        TEST(removal_while_flush_syncs),
        TEST(new_file_while_flush_syncs_the_old),
        TEST(flush_right_after_the_unlink),
        TEST(removal_while_eviction_syncs),
        TEST(foreign_removal_before_eviction),
    };

    return cmocka_run_group_tests_name("dir races", tests, NULL, NULL) ? 1 : 0;
}
