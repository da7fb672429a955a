/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads and writes are what a ring's thread does itself, as long as they are
 * short: to wake another thread costs as much as most of them. When one took
 * long, its tile is on a disk that is waited for, and the next ones are jobs, so
 * that a disk sees many at once. Everything else is a job.
 *
 * Jobs are made beforehand. When all are taken, the ring's thread waits for one:
 * what a job does never needs another request to be answered.
 *
 * The rings end with the session: libfuse ends them after its own loops only, and
 * the loop of a session that has ended does just that. Requests must not be
 * answered any more then, and their memory is gone. So first a gate is closed:
 * ring threads do nothing behind it but refuse.
 */
#include "front/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/lock.h"
#include "base/log.h"

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 18)

const char *uring_missing(void)
{
    return "mosaicfs was built with a libfuse older than 3.18";
}

int uring_prepare(void)
{
    return -EOPNOTSUPP;
}

int uring_new(struct fuse_front *front, struct uring **out)
{
    return -EOPNOTSUPP;
}

void uring_close(struct uring *uring)
{
}

int uring_free(struct uring *uring)
{
    return 0;
}

char *uring_payload(fuse_req_t req, char *memory)
{
    return memory;
}

#else

#define KERNEL_SWITCH "/sys/module/fuse/parameters/enable_uring"
#define JOBS 256         /* that may wait; after that, the rings wait */
#define SLOW_REQUESTS 32 /* after a slow one that many are jobs */

struct uring {
    /* fixed after new */
    struct fuse_front *front;
    pthread_t threads[FUSE_OPS_THREADS];
    unsigned nthreads;
    /* any thread */
    atomic_int slow;    /* while positive, reads and writes are jobs */
    atomic_uint inside; /* ring threads behind the gate */
    atomic_bool closed; /* the gate */
    atomic_bool told;   /* that requests come */
    /* guarded by mutex */
    struct mutex mutex;
    pthread_cond_t work; /* a job waits, or stopping */
    pthread_cond_t room; /* a job is free again */
    struct uring_job *GUARDED first;
    struct uring_job **GUARDED last; /* where the next one is linked in */
    struct uring_job *GUARDED idle;
    bool GUARDED stopping;
    struct uring_job jobs[JOBS];
};

/* Of liburing. Where libfuse was built without it, nobody defines this. */
extern __attribute__((weak)) int io_uring_queue_init_params(unsigned, void *, void *);

const char *uring_missing(void)
{
    char on = 'N';
    int fd;

    if (!io_uring_queue_init_params)
        return "libfuse was built without liburing";
    fd = open(KERNEL_SWITCH, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return "the kernel has none, or no module fuse";
    if (read(fd, &on, 1) != 1)
        on = 'N';
    close(fd);
    return on == 'Y' ? NULL : "the kernel is told so in " KERNEL_SWITCH;
}

char *uring_payload(fuse_req_t req, char *memory)
{
    size_t len;
    char *payload;

    if (!fuse_req_is_uring(req) || fuse_req_get_payload(req, &payload, &len, NULL))
        return memory;
    return len >= FUSE_OPS_REQUEST_MAX ? payload : memory;
}

static void *wait_for_end(void *arg)
{
    for (;;)
        pause();
    return NULL;
}

/* pthread_cancel(3) opens a library when it is first used. */
int uring_prepare(void)
{
    pthread_t thread;
    int rc = -pthread_create(&thread, NULL, wait_for_end, NULL);

    if (rc)
        return rc;
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    return 0;
}

/* --- the gate --------------------------------------------------------------------------------- */

static struct uring *uring_of(fuse_req_t req)
{
    return ((struct fuse_front *)fuse_req_userdata(req))->uring;
}

/* A ring's thread comes with a request. False: it has been refused. */
static bool enter(struct uring *uring, fuse_req_t req)
{
    static __thread bool ours;

    /* libfuse cancels its threads, and wakes them; the second is enough, and leaves no lock held.
     */
    if (!ours) {
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        if (!atomic_exchange(&uring->told, true))
            log_debug("requests come through io_uring");
    }
    ours = true;
    atomic_fetch_add(&uring->inside, 1);
    if (!atomic_load(&uring->closed))
        return true;
    fuse_reply_err(req, ENOTCONN);
    atomic_fetch_sub(&uring->inside, 1);
    return false;
}

static void leave(struct uring *uring)
{
    atomic_fetch_sub(&uring->inside, 1);
}

/* --- jobs ------------------------------------------------------------------------------------- */

/* What a thread of ours does for a request that job describes. */
static void submit(struct uring *uring, const struct uring_job *job)
{
    struct uring_job *mine;

    mutex_lock(&uring->mutex);
    while (!uring->idle)
        mutex_wait(&uring->mutex, &uring->room);
    mine = uring->idle;
    uring->idle = mine->next;
    *mine = *job;
    mine->next = NULL;
    if (job->fip) {
        mine->fi = *job->fip; /* libfuse's is on its stack */
        mine->fip = &mine->fi;
    }
    *uring->last = mine;
    uring->last = &mine->next;
    lock_must(pthread_cond_signal(&uring->work));
    mutex_unlock(&uring->mutex);
}

static struct uring_job *next_job(struct uring *uring, struct uring_job *done)
{
    struct uring_job *job;

    mutex_lock(&uring->mutex);
    if (done) {
        done->next = uring->idle;
        uring->idle = done;
        lock_must(pthread_cond_signal(&uring->room));
    }
    while (!uring->first && !uring->stopping)
        mutex_wait(&uring->mutex, &uring->work);
    job = uring->first;
    if (job) {
        uring->first = job->next;
        if (!uring->first)
            uring->last = &uring->first;
    }
    mutex_unlock(&uring->mutex);
    return job;
}

static void *serve_jobs(void *arg)
{
    struct uring *uring = arg;
    struct uring_job *job = NULL;

    while ((job = next_job(uring, job)))
        job->run(job);
    return NULL;
}

void uring_do(struct uring_job *job)
{
    struct uring *uring = uring_of(job->req);

    if (!fuse_req_is_uring(job->req)) {
        job->run(job);
    } else if (enter(uring, job->req)) {
        submit(uring, job);
        leave(uring);
    }
}

void uring_transfer(struct uring_job *job)
{
    struct uring *uring = uring_of(job->req);
    uint64_t start;

    if (!fuse_req_is_uring(job->req)) {
        job->run(job);
        return;
    }
    if (!enter(uring, job->req))
        return;
    if (job->len > FUSE_OPS_SMALL || atomic_load(&uring->slow) > 0) {
        submit(uring, job);
        if (job->len <= FUSE_OPS_SMALL)
            atomic_fetch_sub(&uring->slow, 1);
    } else {
        start = fuse_ops_now();
        job->run(job);
        if (fuse_ops_now() - start > FUSE_OPS_SLOW)
            atomic_store(&uring->slow, SLOW_REQUESTS);
    }
    leave(uring);
}

/* --- begin and end ---------------------------------------------------------------------------- */

int uring_new(struct fuse_front *front, struct uring **out) NO_THREAD_SAFETY
{
    struct uring *uring = calloc(1, sizeof(*uring));
    int rc = uring ? 0 : -ENOMEM;

    if (!rc) {
        uring->front = front;
        uring->last = &uring->first;
        mutex_init(&uring->mutex);
        lock_must(pthread_cond_init(&uring->work, NULL));
        lock_must(pthread_cond_init(&uring->room, NULL));
        for (unsigned i = 0; i < JOBS; i++) {
            uring->jobs[i].next = uring->idle;
            uring->idle = &uring->jobs[i];
        }
        while (!rc && uring->nthreads < front->nthreads) {
            rc = -pthread_create(&uring->threads[uring->nthreads], NULL, serve_jobs, uring);
            uring->nthreads += !rc;
        }
    }
    if (rc && uring)
        uring_close(uring);
    if (rc) {
        free(uring);
        log_error("cannot start a thread: %s", strerror(-rc));
    }
    *out = rc ? NULL : uring;
    return rc;
}

void uring_close(struct uring *uring)
{
    if (!uring)
        return;
    atomic_store(&uring->closed, true);
    while (atomic_load(&uring->inside) > 0)
        usleep(1000);
    mutex_lock(&uring->mutex);
    uring->stopping = true;
    lock_must(pthread_cond_broadcast(&uring->work));
    mutex_unlock(&uring->mutex);
    while (uring->nthreads > 0)
        pthread_join(uring->threads[--uring->nthreads], NULL);
}

int uring_free(struct uring *uring)
{
    int rc;

    if (!uring)
        return 0;
    fuse_session_exit(uring->front->session);
    rc = fuse_session_loop(uring->front->session);
    lock_must(pthread_cond_destroy(&uring->work));
    lock_must(pthread_cond_destroy(&uring->room));
    mutex_release(&uring->mutex);
    free(uring);
    return rc;
}

#endif
