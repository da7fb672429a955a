/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests that wait for space. The disk is a fake one: it is full or it is
 * not, and keeps what it was asked and what was answered.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "front/parking.h"

#define MAX 1024
#define NTHREADS 4
#define EACH 200
#define UNANSWERED 1

struct fake {
    atomic_uint room;  /* so many more requests succeed */
    atomic_bool shows; /* statvfs(2) tells when room was made */
    atomic_int error;  /* what a request with room gets instead */
    atomic_uint attempts;
    atomic_int results[MAX]; /* by handle */
    atomic_bool given_up[MAX];
    atomic_bool stuck[MAX]; /* needs what room does not help with */
    atomic_uint answered;
    atomic_uint order[MAX]; /* the handle that was answered as the n-th */
    atomic_bool wrong;      /* a request was not as it was parked */
};

static struct fake *disk;
static struct parking *parking;

static size_t number(const struct parking_request *request)
{
    return (size_t)((atomic_int *)request->handle - disk->results);
}

static bool as_parked(const struct parking_request *request)
{
    char wanted[32];

    snprintf(wanted, sizeof(wanted), "request %zu", number(request));
    if (request->off != number(request) * 4096)
        return false;
    return request->len == sizeof(wanted) && !strcmp(request->data, wanted);
}

static int attempt(void *arg, const struct parking_request *request)
{
    assert_ptr_equal(arg, disk);
    atomic_fetch_add(&disk->attempts, 1);
    if (!as_parked(request))
        atomic_store(&disk->wrong, true);
    if (atomic_load(&disk->room) == 0 || atomic_load(&disk->stuck[number(request)]))
        return number(request) % 2 ? -ENOSPC : -EDQUOT;
    atomic_fetch_sub(&disk->room, 1);
    return atomic_load(&disk->error);
}

static void answer(void *arg, const struct parking_request *request, int rc)
{
    if (atomic_exchange(&disk->results[number(request)], rc) != UNANSWERED)
        atomic_store(&disk->wrong, true); /* a second time */
    atomic_store(&disk->order[atomic_load(&disk->answered)], (unsigned)number(request));
    atomic_fetch_add(&disk->answered, 1);
}

static bool given_up(void *arg, const struct parking_request *request)
{
    return atomic_load(&disk->given_up[number(request)]);
}

static int space(void *arg, struct statvfs *out)
{
    *out = (struct statvfs){.f_bfree = atomic_load(&disk->shows) ? atomic_load(&disk->room) : 0};
    return 0;
}

static const struct parking_ops ops = {attempt, answer, given_up, space};

static void start(bool wait, unsigned seconds)
{
    struct parking_config config = {
        .ops = &ops, .arg = disk, .name = "archive", .wait = wait, .seconds = seconds};

    assert_int_equal(parking_new(&config, &parking), 0);
}

static int setup(void **state)
{
    disk = calloc(1, sizeof(*disk));
    if (!disk)
        return -1;
    for (size_t i = 0; i < MAX; i++)
        atomic_init(&disk->results[i], UNANSWERED);
    atomic_init(&disk->shows, true);
    parking = NULL;
    alarm(60);
    return 0;
}

static int teardown(void **state)
{
    bool wrong;

    parking_free(parking);
    wrong = atomic_load(&disk->wrong);
    free(disk);
    alarm(0);
    return wrong ? -1 : 0;
}

/* Parks request n. */
static bool take(size_t n)
{
    char data[32];
    struct parking_request request = {
        .handle = &disk->results[n], .data = data, .off = n * 4096, .len = sizeof(data)};
    bool taken;

    snprintf(data, sizeof(data), "request %zu", n);
    taken = parking_take(parking, &request);
    memset(data, 'x', sizeof(data)); /* the caller's memory is the caller's again */
    return taken;
}

static void await_answers(unsigned n)
{
    while (atomic_load(&disk->answered) < n)
        usleep(1000);
}

static int result(size_t n)
{
    return atomic_load(&disk->results[n]);
}

static unsigned waiting(void)
{
    struct parking_state now;

    parking_look(parking, &now);
    return now.requests;
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void waits_and_goes_on_in_order(void **state)
{
    struct parking_state now;
    time_t before = time(NULL);

    start(true, PARKING_FOREVER);
    for (size_t n = 0; n < 5; n++)
        assert_true(take(n));
    usleep(500000);
    assert_int_equal(atomic_load(&disk->answered), 0);
    parking_look(parking, &now);
    assert_int_equal(now.requests, 5);
    assert_true(now.bytes > 3 * 32 && now.bytes < 4096);
    assert_true(now.since >= before && now.since <= time(NULL));
    atomic_store(&disk->room, 3);
    await_answers(3);
    usleep(300000);
    assert_int_equal(waiting(), 2);
    atomic_store(&disk->room, 9);
    await_answers(5);
    for (size_t n = 0; n < 5; n++) {
        assert_int_equal(result(n), 0);
        assert_int_equal(atomic_load(&disk->order[n]), n);
    }
    parking_look(parking, &now);
    assert_int_equal(now.requests, 0);
    assert_int_equal(now.bytes, 0);
}

static void a_full_disk_is_only_asked_for_its_space(void **state)
{
    start(true, PARKING_FOREVER);
    assert_true(take(0));
    usleep(1000000);
    assert_int_equal(atomic_load(&disk->attempts), 1);
}

static void space_that_does_not_show_is_found(void **state)
{
    start(true, PARKING_FOREVER);
    atomic_store(&disk->shows, false);
    assert_true(take(0));
    usleep(300000);
    atomic_store(&disk->room, 1);
    await_answers(1);
    assert_int_equal(result(0), 0);
}

static void one_that_lacks_something_else_holds_up_no_other(void **state)
{
    start(true, PARKING_FOREVER);
    atomic_store(&disk->shows, false);
    atomic_store(&disk->stuck[0], true);
    assert_true(take(0));
    assert_true(take(1));
    assert_true(take(2));
    usleep(300000);
    atomic_store(&disk->room, MAX);
    await_answers(2);
    assert_int_equal(result(1), 0);
    assert_int_equal(result(2), 0);
    atomic_store(&disk->stuck[0], false);
    await_answers(3);
    assert_int_equal(result(0), 0);
    assert_int_equal(waiting(), 0);
}

static void another_error_is_an_answer(void **state)
{
    start(true, PARKING_FOREVER);
    atomic_store(&disk->error, -EIO);
    assert_true(take(0) && take(1));
    usleep(100000);
    atomic_store(&disk->room, 2);
    await_answers(2);
    assert_int_equal(result(0), -EIO);
    assert_int_equal(result(1), -EIO);
}

static void what_is_given_up_goes_and_nothing_else(void **state)
{
    start(true, PARKING_FOREVER);
    for (size_t n = 0; n < 4; n++)
        assert_true(take(n));
    atomic_store(&disk->given_up[0], true);
    atomic_store(&disk->given_up[3], true);
    await_answers(2);
    assert_int_equal(result(0), -EINTR);
    assert_int_equal(result(3), -EINTR);
    assert_true(take(4)); /* behind the new last one */
    atomic_store(&disk->room, 9);
    await_answers(5);
    assert_int_equal(atomic_load(&disk->order[2]), 1);
    assert_int_equal(atomic_load(&disk->order[3]), 2);
    assert_int_equal(atomic_load(&disk->order[4]), 4);
}

static void time_is_up_without_progress(void **state)
{
    double begin = seconds();

    start(true, 1);
    assert_true(take(0) && take(1));
    usleep(600000);
    assert_int_equal(atomic_load(&disk->answered), 0);
    atomic_store(&disk->room, 1); /* progress of one is patience for all */
    await_answers(1);
    assert_int_equal(result(0), 0);
    await_answers(2);
    assert_int_equal(result(1), -ENOSPC);
    assert_true(seconds() - begin > 1.5);
}

static void error_mode_takes_nothing(void **state)
{
    start(false, PARKING_FOREVER);
    assert_false(take(0));
    assert_int_equal(waiting(), 0);
}

static void memory_is_bounded(void **state)
{
    struct parking_request huge = {.handle = &disk->results[0], .data = "", .len = PARKING_MAX};

    start(true, PARKING_FOREVER);
    assert_false(parking_take(parking, &huge)); /* not even looked at: it is no such memory */
    huge.len = UINT64_MAX - 4096;
    assert_false(parking_take(parking, &huge));
    assert_true(take(0));
    assert_int_equal(waiting(), 1);
    atomic_store(&disk->room, 1);
    await_answers(1);
}

static void the_end_answers_all(void **state)
{
    start(true, PARKING_FOREVER);
    for (size_t n = 0; n < 3; n++)
        assert_true(take(n));
    usleep(50000);
    parking_free(parking);
    parking = NULL;
    for (size_t n = 0; n < 3; n++)
        assert_int_equal(result(n), -EIO);
}

static void *park_many(void *arg)
{
    size_t first = (size_t)(uintptr_t)arg;

    for (size_t n = first; n < first + EACH; n++) {
        if (!take(n))
            atomic_store(&disk->wrong, true);
        if (n % 16 == 0)
            atomic_store(&disk->given_up[n], true);
        if (n % 8 == 0)
            atomic_fetch_add(&disk->room, 5);
    }
    return NULL;
}

static void many_threads(void **state)
{
    pthread_t all[NTHREADS];

    start(true, PARKING_FOREVER);
    for (size_t i = 0; i < NTHREADS; i++)
        assert_int_equal(pthread_create(&all[i], NULL, park_many, (void *)(uintptr_t)(i * EACH)),
                         0);
    for (unsigned i = 0; i < NTHREADS; i++)
        pthread_join(all[i], NULL);
    atomic_store(&disk->room, MAX);
    await_answers(NTHREADS * EACH);
    assert_int_equal(waiting(), 0);
    for (size_t n = 0; n < NTHREADS * EACH; n++)
        assert_true(result(n) == 0 || (n % 16 == 0 && result(n) == -EINTR));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(waits_and_goes_on_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_is_only_asked_for_its_space, setup, teardown),
        cmocka_unit_test_setup_teardown(space_that_does_not_show_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_lacks_something_else_holds_up_no_other, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_error_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_given_up_goes_and_nothing_else, setup, teardown),
        cmocka_unit_test_setup_teardown(time_is_up_without_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(error_mode_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_answers_all, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
