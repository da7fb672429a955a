/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keeps the score that decides between the two ways, who leads, and who watches the
 * leader.
 */
#include "front/crew.h"

/*
 * Each quick request adds one to the score, up to CALM, when it becomes calm; at
 * 0 it becomes busy. What speaks against it takes away: a request that is not
 * quick, or that has company, all of it; one that was there at once MORE; one that
 * took long SLOW, and not all, as it may only have lost its processor meanwhile.
 */
#define CALM 64
#define MORE 8
#define SLOW 16
#define LOOK_MS 2     /* between two looks; a stuck leader is seen at the second */
#define LOOKS_IDLE 50 /* then the watch sleeps: an idle mount uses no processor */

void crew_init(struct crew *crew)
{
    *crew = (struct crew){0};
    mutex_init(&crew->mutex);
    lock_must(pthread_cond_init(&crew->change, NULL));
}

void crew_release(struct crew *crew)
{
    lock_must(pthread_cond_destroy(&crew->change));
    mutex_release(&crew->mutex);
}

/* All threads ask again. */
static void be_busy_locked(struct crew *crew) REQUIRES(crew->mutex)
{
    atomic_store(&crew->score, 0);
    atomic_store(&crew->calm, false);
    crew->led = false;
    lock_must(pthread_cond_broadcast(&crew->change));
}

static void be_busy(struct crew *crew)
{
    mutex_lock(&crew->mutex);
    be_busy_locked(crew);
    mutex_unlock(&crew->mutex);
}

/* The first thread that asks from now on leads. */
static void be_calm(struct crew *crew)
{
    mutex_lock(&crew->mutex);
    if (!atomic_load(&crew->calm)) {
        atomic_fetch_add(&crew->times, 1);
        atomic_store(&crew->calm, true);
    }
    mutex_unlock(&crew->mutex);
}

static void be_watched(struct crew *crew)
{
    mutex_lock(&crew->mutex);
    atomic_store(&crew->watched, true);
    lock_must(pthread_cond_broadcast(&crew->change));
    mutex_unlock(&crew->mutex);
}

static bool leads(const struct crew *crew, const struct crew_place *place)
{
    return place->leads && atomic_load(&crew->calm) && place->times == atomic_load(&crew->times);
}

/* A thread that rests anyway: until it is no longer calm, or there is no leader. */
static void watch(struct crew *crew) REQUIRES(crew->mutex)
{
    unsigned seen = atomic_load(&crew->begun);
    unsigned idle = 0;

    while (atomic_load(&crew->calm) && crew->led && !atomic_load(&crew->over)) {
        struct timespec until;
        unsigned begun;

        if (!atomic_load(&crew->watched)) {
            mutex_wait(&crew->mutex, &crew->change);
            continue;
        }
        until = lock_deadline(LOOK_MS);
        if (mutex_wait_until(&crew->mutex, &crew->change, &until))
            continue;
        begun = atomic_load(&crew->begun);
        if (begun != seen) {
            idle = 0;
            seen = begun;
        } else if (atomic_load(&crew->under_way) > 0) {
            be_busy_locked(crew);
        } else if (++idle == LOOKS_IDLE) {
            /* Who begins a request from now on sees this; who began one before, we see. */
            atomic_store(&crew->watched, false);
            if (atomic_load(&crew->begun) != seen)
                atomic_store(&crew->watched, true);
            idle = 0;
        }
    }
}

/* Until this thread is needed. */
static void rest(struct crew *crew, struct crew_place *place)
{
    mutex_lock(&crew->mutex);
    while (atomic_load(&crew->calm) && crew->led && !atomic_load(&crew->over)) {
        if (crew->watcher) {
            mutex_wait(&crew->mutex, &crew->change);
        } else {
            crew->watcher = true;
            watch(crew);
            crew->watcher = false;
        }
    }
    place->leads = atomic_load(&crew->calm);
    place->times = atomic_load(&crew->times);
    crew->led = place->leads;
    mutex_unlock(&crew->mutex);
}

bool crew_ask(struct crew *crew, struct crew_place *place, bool *only)
{
    if (atomic_load(&crew->calm) && !leads(crew, place))
        rest(crew, place);
    *only = atomic_fetch_add(&crew->asking, 1) == 0 && leads(crew, place);
    return !atomic_load(&crew->over);
}

void crew_withdraw(struct crew *crew)
{
    atomic_fetch_sub(&crew->asking, 1);
}

static void weigh(struct crew *crew, int by)
{
    int score = atomic_fetch_add(&crew->score, by) + by;
    bool calm = atomic_load(&crew->calm);

    if (score > CALM)
        atomic_store(&crew->score, CALM);
    if (score >= CALM && !calm)
        be_calm(crew);
    if (score <= 0)
        atomic_store(&crew->score, 0);
    if (score <= 0 && calm)
        be_busy(crew);
}

void crew_begin(struct crew *crew, bool quick, bool more)
{
    unsigned others = atomic_fetch_add(&crew->under_way, 1);

    atomic_fetch_add(&crew->begun, 1);
    atomic_fetch_sub(&crew->asking, 1);
    if (!quick || others > 0)
        weigh(crew, -CALM);
    else if (more)
        weigh(crew, -MORE);
    if (atomic_load(&crew->calm) && !atomic_load(&crew->watched))
        be_watched(crew);
}

void crew_finish(struct crew *crew, bool slow)
{
    atomic_fetch_sub(&crew->under_way, 1);
    weigh(crew, slow ? -SLOW : 1);
}

void crew_end(struct crew *crew)
{
    mutex_lock(&crew->mutex);
    atomic_store(&crew->over, true);
    lock_must(pthread_cond_broadcast(&crew->change));
    mutex_unlock(&crew->mutex);
}
