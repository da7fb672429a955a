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

static int gated_stat(struct store *st, uint32_t tile, const struct store_place *place,
                      struct store_stat *out)
{
    if (atomic_exchange(&closed, false)) {
        sem_post(&at_gate);
        while (sem_wait(&gate))
            ;
    }
    return plain_ops->stat(st, tile, place, out);
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
    gated_ops = *plain_ops;
    gated_ops.stat = gated_stat;
    fault->ops = &gated_ops;
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(failed_stat_is_tried_again),
        TEST(failed_stat_among_others),
        TEST(tile_that_goes_after_a_failed_stat),
        TEST(two_at_once_are_exact),
    };

    return cmocka_run_group_tests_name("usage", tests, NULL, NULL) ? 1 : 0;
}
