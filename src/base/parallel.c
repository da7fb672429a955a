/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

struct shared {
    uint64_t count;
    int (*work)(void *arg, unsigned thread, uint64_t n);
    void *arg;
    _Atomic uint64_t next;
    atomic_int rc; /* of the first that failed */
};

struct worker {
    struct shared *shared;
    unsigned number;
    pthread_t thread;
};

unsigned parallel_threads(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

    return n < 1 ? 1 : n > PARALLEL_MOST ? PARALLEL_MOST : (unsigned)n;
}

static void *run(void *arg)
{
    const struct worker *worker = arg;
    struct shared *shared = worker->shared;

    while (!atomic_load(&shared->rc)) {
        uint64_t n = atomic_fetch_add(&shared->next, 1);
        int none = 0, rc;

        if (n >= shared->count)
            break;
        rc = shared->work(shared->arg, worker->number, n);
        if (rc)
            atomic_compare_exchange_strong(&shared->rc, &none, rc);
    }
    return NULL;
}

int parallel_each(uint64_t count, int (*work)(void *arg, unsigned thread, uint64_t n), void *arg)
{
    struct shared shared = {.count = count, .work = work, .arg = arg};
    struct worker workers[PARALLEL_MOST];
    unsigned threads = parallel_threads(), started = 1;

    for (unsigned i = 0; i < threads; i++)
        workers[i] = (struct worker){.shared = &shared, .number = i};
    while (started < threads && started < count &&
           !pthread_create(&workers[started].thread, NULL, run, &workers[started]))
        started++;
    run(&workers[0]); /* fewer threads than processors do it, too */
    for (unsigned i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    return atomic_load(&shared.rc);
}
