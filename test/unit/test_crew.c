/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Threads that serve a fake device: a counter of requests that wait to be asked
 * for. What a request is like, and how long answering it takes, the test says.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/compiler.h"
#include "front/crew.h"

#define NTHREADS 4
#define MANY 1000 /* requests, more than it takes to make it calm */
#define PATIENCE_MS 5000

static struct crew crew;
static pthread_t threads[NTHREADS];
static struct mutex mutex = {PTHREAD_MUTEX_INITIALIZER};
static pthread_cond_t coming = PTHREAD_COND_INITIALIZER;
static unsigned waiting GUARDED; /* mutex: requests that nobody has yet */
static atomic_bool closed;
static atomic_uint answered;
static atomic_uint only;  /* answered by a thread that asked alone */
static atomic_bool stuck; /* the next answer does not come while this is true */
static atomic_bool large; /* requests are not quick */

/* As a read of the device: false when it is closed. */
static bool receive(void)
{
    bool got;

    mutex_lock(&mutex);
    while (!waiting && !atomic_load(&closed))
        mutex_wait(&mutex, &coming);
    got = waiting > 0;
    if (got)
        waiting--;
    mutex_unlock(&mutex);
    return got;
}

static void *serve(void *unused)
{
    struct crew_place place = {0};
    bool alone;

    while (crew_ask(&crew, &place, &alone)) {
        if (!receive()) {
            crew_withdraw(&crew);
            crew_end(&crew);
            break;
        }
        crew_begin(&crew, !atomic_load(&large), false);
        if (atomic_exchange(&stuck, false))
            while (!atomic_load(&stuck))
                usleep(1000);
        if (alone)
            atomic_fetch_add(&only, 1);
        atomic_fetch_add(&answered, 1);
        crew_finish(&crew, false);
    }
    return NULL;
}

static int start_crew(void **unused)
{
    crew_init(&crew);
    mutex_lock(&mutex);
    waiting = 0;
    mutex_unlock(&mutex);
    atomic_store(&closed, false);
    atomic_store(&answered, 0);
    atomic_store(&only, 0);
    atomic_store(&stuck, false);
    atomic_store(&large, false);
    for (int i = 0; i < NTHREADS; i++)
        if (pthread_create(&threads[i], NULL, serve, NULL))
            return -1;
    return 0;
}

static int stop_crew(void **unused)
{
    atomic_store(&stuck, true); /* after a failure somebody may still wait */
    mutex_lock(&mutex);
    atomic_store(&closed, true);
    pthread_cond_broadcast(&coming);
    mutex_unlock(&mutex);
    for (int i = 0; i < NTHREADS; i++)
        pthread_join(threads[i], NULL);
    crew_release(&crew);
    return 0;
}

static void come(unsigned n)
{
    mutex_lock(&mutex);
    waiting += n;
    pthread_cond_broadcast(&coming);
    mutex_unlock(&mutex);
}

static void eventually(const atomic_uint *what, unsigned value)
{
    for (int ms = 0; ms < PATIENCE_MS && atomic_load(what) != value; ms++)
        usleep(1000);
    assert_int_equal(atomic_load(what), value);
}

static void one_after_the_other(unsigned n)
{
    unsigned before = atomic_load(&answered);

    for (unsigned i = 1; i <= n; i++) {
        come(1);
        eventually(&answered, before + i);
    }
    eventually(&crew.under_way, 0);
}

static void make_calm(void)
{
    one_after_the_other(200);
    assert_true(atomic_load(&crew.calm));
    eventually(&crew.asking, 1);
}

static void all_ask_at_first(void **unused)
{
    eventually(&crew.asking, NTHREADS);
    assert_false(atomic_load(&crew.calm));
}

static void one_asks_when_calm(void **unused)
{
    make_calm();
    atomic_store(&only, 0);
    one_after_the_other(100);
    assert_int_equal(atomic_load(&only), 100);
}

static void a_large_request_makes_it_busy(void **unused)
{
    make_calm();
    atomic_store(&large, true);
    one_after_the_other(1);
    eventually(&crew.asking, NTHREADS);
}

static void large_requests_never_make_it_calm(void **unused)
{
    atomic_store(&large, true);
    one_after_the_other(200);
    assert_false(atomic_load(&crew.calm));
}

static void a_stuck_leader_is_noticed(void **unused)
{
    unsigned before;

    make_calm();
    before = atomic_load(&answered);
    atomic_store(&stuck, true);
    come(1);
    eventually(&crew.asking, NTHREADS - 1);
    come(10);
    eventually(&answered, before + 10); /* by the others */
    atomic_store(&stuck, true);
    eventually(&answered, before + 11);
}

static void the_watch_sleeps_when_idle(void **unused)
{
    make_calm();
    assert_true(atomic_load(&crew.watched));
    for (int ms = 0; ms < PATIENCE_MS && atomic_load(&crew.watched); ms++)
        usleep(1000);
    assert_false(atomic_load(&crew.watched));
    one_after_the_other(1);
    assert_true(atomic_load(&crew.watched)); /* and is awake again */
}

static void each_request_is_answered_once(void **unused)
{
    unsigned seed = 1, total = 0;

    for (unsigned i = 0; i < MANY; i++) {
        unsigned n = rand_r(&seed) % 100 == 0 ? 50 : 1;

        atomic_store(&large, rand_r(&seed) % 300 == 0);
        come(n);
        total += n;
        if (rand_r(&seed) % 20)
            eventually(&answered, total);
    }
    eventually(&answered, total);
    eventually(&crew.under_way, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_ask_at_first, start_crew, stop_crew),
        cmocka_unit_test_setup_teardown(one_asks_when_calm, start_crew, stop_crew),
        cmocka_unit_test_setup_teardown(a_large_request_makes_it_busy, start_crew, stop_crew),
        cmocka_unit_test_setup_teardown(large_requests_never_make_it_calm, start_crew, stop_crew),
        cmocka_unit_test_setup_teardown(a_stuck_leader_is_noticed, start_crew, stop_crew),
        cmocka_unit_test_setup_teardown(the_watch_sleeps_when_idle, start_crew, stop_crew),
        cmocka_unit_test_setup_teardown(each_request_is_answered_once, start_crew, stop_crew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
