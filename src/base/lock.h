/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Mutex and reader/writer lock with the attributes that clang's
 * -Wthread-safety checks. A lock that cannot be taken is a bug of ours, so
 * failure aborts.
 *
 * Lock order, outermost first; a thread that holds one may take only those
 * below it. Above them all is the image's snapshot mutex (image_snapshot.c), and below that one
 * the gate's:
 *   1. image: statting         (image.c)    held while tiles are stat'ed; reads, writes and
 *                                           flushes never need it
 *   2. image: a tile stripe    (image.c)    held across I/O; one at a time, or all of them in
 *                                           ascending order
 *   3. image: flush mutex      (flush.c)    not held across I/O; a flush needs no stripe
 *   4. image: usage mutex      (usage.c)
 *   5. dir:   telling          (changes_mark.c) held while all tiles are looked at
 *   6. dir:   file             (changes.c)  the journal's; held across I/O
 *   7. dir:   queue            (changes.c)  of tiles to be noted; not held across I/O
 *   8. dir:   covers           (covers.c)   held while a new tile gets its picture
 *   9. dir:   a set of the descriptor cache (fdcache.c)
 *  10. mem:   a tile           (mem.c)
 *  11. front: parking          (parking.c)  libfuse's own locks come below it
 *  12. front: jobs             (uring.c)
 *  13. front: libfuse's line   (fuse.c)
 *  14. log                     (log.c)
 * Alone, as no thread that holds one of them asks for a request: front: crew (crew.c).
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#if defined(__clang__)
#define LOCK_ATTR(x) __attribute__((x))
#else
#define LOCK_ATTR(x)
#endif

#define CAPABILITY LOCK_ATTR(capability("mutex"))
/* The member is guarded; the comment beside it names by which lock. */
#define GUARDED LOCK_ATTR(guarded_var)
#define ACQUIRES(...) LOCK_ATTR(acquire_capability(__VA_ARGS__))
#define ACQUIRES_SHARED(...) LOCK_ATTR(acquire_shared_capability(__VA_ARGS__))
#define RELEASES(...) LOCK_ATTR(release_capability(__VA_ARGS__))
#define RELEASES_SHARED(...) LOCK_ATTR(release_shared_capability(__VA_ARGS__))
#define REQUIRES(...) LOCK_ATTR(requires_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY LOCK_ATTR(no_thread_safety_analysis)

struct CAPABILITY mutex {
    pthread_mutex_t m;
};

struct CAPABILITY rwlock {
    pthread_rwlock_t l;
};

static inline void lock_must(int err)
{
    if (err)
        abort();
}

static inline void mutex_init(struct mutex *mu)
{
    lock_must(pthread_mutex_init(&mu->m, NULL));
}

static inline void mutex_release(struct mutex *mu)
{
    lock_must(pthread_mutex_destroy(&mu->m));
}

static inline void mutex_lock(struct mutex *mu) ACQUIRES(*mu) NO_THREAD_SAFETY
{
    lock_must(pthread_mutex_lock(&mu->m));
}

static inline void mutex_unlock(struct mutex *mu) RELEASES(*mu) NO_THREAD_SAFETY
{
    lock_must(pthread_mutex_unlock(&mu->m));
}

static inline void mutex_wait(struct mutex *mu, pthread_cond_t *cond) REQUIRES(*mu)
{
    lock_must(pthread_cond_wait(cond, &mu->m));
}

/* For mutex_wait_until(): that many milliseconds from now. */
static inline struct timespec lock_deadline(unsigned ms)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* False when it is past until. */
static inline bool mutex_wait_until(struct mutex *mu, pthread_cond_t *cond,
                                    const struct timespec *until) REQUIRES(*mu)
{
    int err = pthread_cond_clockwait(cond, &mu->m, CLOCK_MONOTONIC, until);

    lock_must(err == ETIMEDOUT ? 0 : err);
    return !err;
}

/*
 * Writers go first: a stream of readers must not starve the one writer that
 * wants to create or remove a tile. Consequence: no thread takes a shared lock
 * twice.
 */
static inline void rwlock_init(struct rwlock *rw)
{
    pthread_rwlockattr_t attr;

    lock_must(pthread_rwlockattr_init(&attr));
    lock_must(pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP));
    lock_must(pthread_rwlock_init(&rw->l, &attr));
    lock_must(pthread_rwlockattr_destroy(&attr));
}

static inline void rwlock_release(struct rwlock *rw)
{
    lock_must(pthread_rwlock_destroy(&rw->l));
}

static inline void rwlock_shared(struct rwlock *rw) ACQUIRES_SHARED(*rw) NO_THREAD_SAFETY
{
    lock_must(pthread_rwlock_rdlock(&rw->l));
}

static inline void rwlock_exclusive(struct rwlock *rw) ACQUIRES(*rw) NO_THREAD_SAFETY
{
    lock_must(pthread_rwlock_wrlock(&rw->l));
}

static inline void rwlock_unshare(struct rwlock *rw) RELEASES_SHARED(*rw) NO_THREAD_SAFETY
{
    lock_must(pthread_rwlock_unlock(&rw->l));
}

static inline void rwlock_unlock(struct rwlock *rw) RELEASES(*rw) NO_THREAD_SAFETY
{
    lock_must(pthread_rwlock_unlock(&rw->l));
}

#endif
