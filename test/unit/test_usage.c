/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is stored, when a look at a tile fails or several ask at once. The store
 * is one in memory whose stat can be made to fail, and to wait.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "image/image.h"
#include "store/fault.h"
#include "store/mem.h"

#define BLOCK 4096
#define TILE UINT64_C(65536)
#define NTILES 16
#define SECTORS (BLOCK / 512)

static struct store *fault; /* owned by img */
static struct image *img;

/* fault with another stat, which waits at the gate while that is closed. */
static const struct store_ops *plain_ops;
static struct store_ops gated_ops;
static atomic_bool closed;
static sem_t at_gate, gate;
static time_t dated; /* what it says of tile 0 */

static int gated_stat(struct store *st, uint32_t tile, const struct store_place *place,
                      struct store_stat *out)
{
    int rc;

    if (atomic_exchange(&closed, false)) {
        sem_post(&at_gate);
        while (sem_wait(&gate))
            ;
    }
    rc = plain_ops->stat(st, tile, place, out);
    if (tile == 0 && dated)
        out->mtime = (struct timespec){dated, 0};
    return rc;
}

static void use_gated(void)
{
    gated_ops = *plain_ops;
    gated_ops.stat = gated_stat;
    fault->ops = &gated_ops;
}

static int setup(void **state)
{
    struct geometry geo;

    assert_int_equal(geometry_init(&geo, NTILES * TILE, TILE), 0);
    assert_int_equal(mem_open(&geo, NTILES, &fault), 0);
    assert_int_equal(fault_open(fault, &fault), 0);
    plain_ops = fault->ops;
    assert_int_equal(image_open(fault, false, &img), 0);
    atomic_store(&closed, false);
    dated = 0;
    sem_init(&at_gate, 0, 0);
    sem_init(&gate, 0, 0);
    alarm(120);
    return 0;
}

static int teardown(void **state)
{
    alarm(0);
    sem_destroy(&at_gate);
    sem_destroy(&gate);
    return image_close(img);
}

/* The first nblocks blocks of a tile get data. */
static void fill(uint32_t tile, unsigned nblocks)
{
    static char bytes[TILE];

    memset(bytes, 'x', sizeof(bytes));
    assert_int_equal(image_write(img, tile * TILE, bytes, (size_t)nblocks * BLOCK), 0);
}

static void assert_usage(uint32_t tiles, uint64_t nblocks)
{
    struct image_usage usage;

    assert_int_equal(image_usage(img, 0, &usage), 0);
    assert_true(usage.complete);
    assert_int_equal(usage.tiles, tiles);
    assert_int_equal(usage.blocks, nblocks * SECTORS);
}

/* The stat may fail, but then nobody is told that the number is exact. */
static void assert_no_false_claim(uint64_t nblocks)
{
    struct image_usage usage;

    if (image_usage(img, 0, &usage) == 0)
        assert_true(!usage.complete || usage.blocks == nblocks * SECTORS);
}

static void failed_stat_is_tried_again(void **state)
{
    assert_int_equal(image_count(img), 0);
    fill(0, 1);
    fault_set(fault, FAULT_STAT, EIO, 0, 1);
    assert_no_false_claim(1);
    assert_usage(1, 1);
    fill(0, 3);
    assert_usage(1, 3);
}

/* The tiles after the one that cannot be looked at count all the same. */
static void failed_stat_among_others(void **state)
{
    assert_int_equal(image_count(img), 0);
    for (uint32_t tile = 0; tile < 4; tile++)
        fill(tile, 2);
    fault_set(fault, FAULT_STAT, EIO, 1, 2);
    assert_no_false_claim(8);
    assert_usage(4, 8);
    fault_set(fault, FAULT_STAT, EACCES, 0, 3);
    fill(1, 4);
    for (unsigned i = 0; i < 3; i++)
        assert_no_false_claim(10);
    assert_usage(4, 10);
}

/* Removed after its stat failed: it must not be counted for ever, nor looked for. */
static void tile_that_goes_after_a_failed_stat(void **state)
{
    assert_int_equal(image_count(img), 0);
    fill(0, 1);
    fill(1, 1);
    fault_set(fault, FAULT_STAT, EIO, 0, 2);
    assert_no_false_claim(2);
    assert_int_equal(image_zero(img, 0, TILE), 0);
    fault_set(fault, FAULT_STAT, 0, 0, 0);
    assert_usage(1, 1);
}

struct asker {
    pthread_t thread;
    sem_t done;
    int rc;
    struct image_usage usage;
};

static void *ask(void *arg)
{
    struct asker *a = arg;

    a->rc = image_usage(img, 0, &a->usage);
    sem_post(&a->done);
    return NULL;
}

static void start(struct asker *a)
{
    memset(a, 0, sizeof(*a));
    sem_init(&a->done, 0, 0);
    assert_int_equal(pthread_create(&a->thread, NULL, ask, a), 0);
}

static void assert_asker(struct asker *a, uint32_t tiles, uint64_t nblocks)
{
    assert_int_equal(pthread_join(a->thread, NULL), 0);
    sem_destroy(&a->done);
    assert_int_equal(a->rc, 0);
    assert_true(a->usage.complete);
    assert_int_equal(a->usage.tiles, tiles);
    assert_int_equal(a->usage.blocks, nblocks * SECTORS);
}

/*
 * first               second
 * takes the tiles
 * that were written,
 * looks at one ...
 *                     finds none that was written; must not answer with what
 *                     was known before the first began
 * ... and is done
 */
static void two_at_once_are_exact(void **state)
{
    struct asker first, second;
    struct timespec until;

    assert_int_equal(image_count(img), 0);
    for (uint32_t tile = 0; tile < 4; tile++)
        fill(tile, 2);
    use_gated();
    atomic_store(&closed, true);
    start(&first);
    while (sem_wait(&at_gate))
        ;
    start(&second);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++; /* time to go wrong; who waits for the first is right */
    sem_timedwait(&second.done, &until);
    sem_post(&gate);
    assert_asker(&first, 4, 8);
    assert_asker(&second, 4, 8);
    fault->ops = plain_ops;
}

/* --- when it changed ------------------------------------------------------------ */

static struct image_usage told(void)
{
    struct image_usage usage;

    assert_int_equal(image_usage(img, 0, &usage), 0);
    return usage;
}

static bool same(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static const struct timespec monday = {1000000000, 5}, tuesday = {1000086400, 6};

static void times_that_were_set_stay_until_a_change(void **state)
{
    struct image_usage was, is;

    fill(0, 1);
    assert_int_equal(image_count(img), 0);
    was = told();
    fill(1, 1); /* before: not to be taken for a change after it */
    assert_int_equal(image_set_times(img, &tuesday, &monday), 0);
    is = told();
    assert_true(same(&is.mtime, &monday));
    assert_true(same(&is.atime, &tuesday));
    assert_true(later(&is.ctime, &was.mtime));
    assert_int_equal(image_set_times(img, NULL, &tuesday), 0);
    assert_int_equal(image_flush(img), 0);
    assert_int_equal(image_count(img), 0);
    is = told();
    assert_true(same(&is.mtime, &tuesday));
    assert_true(same(&is.atime, &tuesday));
    fill(1, 1);
    is = told();
    assert_true(later(&is.mtime, &was.mtime));
    assert_true(same(&is.atime, &is.mtime));
    assert_true(same(&is.ctime, &is.mtime));
}

/* However the image changes, and whatever was set. */
static void each_change_ends_what_was_set(void **state)
{
    const struct timespec future = {.tv_sec = time(NULL) + 1000000}, now = {.tv_sec = time(NULL)};
    const struct timespec set[] = {monday, future, now};

    assert_int_equal(image_count(img), 0);
    for (unsigned i = 0; i < 3 * 4; i++) {
        struct image_usage is;

        fill(5, 2);
        assert_int_equal(image_set_times(img, NULL, &set[i / 4]), 0);
        is = told();
        assert_true(same(&is.mtime, &set[i / 4]));
        if (i % 4 == 0)
            fill(5, 1);
        else if (i % 4 == 1)
            fill(6, 1);
        else
            assert_int_equal(image_zero(img, 5 * TILE, i % 4 == 2 ? BLOCK : TILE), 0);
        is = told();
        assert_false(same(&is.mtime, &set[i / 4]));
        assert_true(is.mtime.tv_sec >= now.tv_sec && is.mtime.tv_sec < future.tv_sec);
        assert_int_equal(image_zero(img, 0, NTILES * TILE), 0);
    }
}

/* A tile dated in the future, or by a clock that is behind: who was told a time is told a later
 * one. */
static void each_change_moves_the_time(void **state)
{
    static const time_t off[] = {1000000000, -1000000000, 3, -3};

    use_gated();
    fill(0, 1);
    for (unsigned i = 0; i < sizeof(off) / sizeof(*off); i++) {
        struct image_usage was, is;

        dated = time(NULL) + off[i];
        assert_int_equal(image_count(img), 0);
        was = told();
        assert_true(was.mtime.tv_sec <= time(NULL));
        for (uint32_t tile = 0; tile < 3; tile++) { /* the first is the one that is dated so */
            is = told();
            assert_true(same(&is.mtime, &was.mtime));
            fill(tile, 1);
            is = told();
            assert_true(later(&is.mtime, &was.mtime));
            assert_true(is.mtime.tv_sec <= time(NULL));
            was = is;
        }
    }
    fault->ops = plain_ops;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(failed_stat_is_tried_again),
        TEST(failed_stat_among_others),
        TEST(tile_that_goes_after_a_failed_stat),
        TEST(two_at_once_are_exact),
        TEST(times_that_were_set_stay_until_a_change),
        TEST(each_change_ends_what_was_set),
        TEST(each_change_moves_the_time),
    };

    return cmocka_run_group_tests_name("usage", tests, NULL, NULL) ? 1 : 0;
}
