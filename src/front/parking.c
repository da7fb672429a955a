/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A time of want begins with the first request that is parked, and ends when
 * none has waited for CALM_MS; each begin and each end is one line in the log,
 * however often the last free blocks come and go. Within it, every LOOK_MS the
 * thread takes out what is given up or out of time, asks the file system
 * whether its free space has changed, and if so tries the oldest request, and
 * the next as long as they succeed: one that needs much would starve behind
 * many that need little. Every BLIND_MS all are tried: space that statvfs(2)
 * does not show, as when a quota is raised, is found so, and what needs blocks
 * goes on where the oldest lacks something else, a file number say.
 *
 * Two requests under way at the same time have no order, and a write that is
 * parked is under way: one to the same place that comes later and succeeds may
 * be overwritten by it, as on a disk with a queue.
 *
 * Only the thread takes requests off the list, so it can work on one without the
 * mutex.
 */
#include "front/parking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"

#define LOOK_MS 200
#define BLIND_MS 2000
#define CALM_MS 2000
#define TELL_MS 60000 /* between two lines about requests that fail */

struct parked {
    struct parked *next;
    struct parking_request request;
    int64_t since;
    char data[];
};

/* The thread's own, from begin to end. */
struct want {
    int64_t began;
    int64_t progress; /* a request succeeded */
    int64_t blind;    /* all were tried */
    int64_t occupied; /* when one was last seen waiting */
    struct statvfs space;
    unsigned done;
    unsigned failed;
};

struct parking {
    /* fixed after new */
    struct parking_config config;
    pthread_t thread;
    bool started;
    /* guarded by mutex */
    struct mutex mutex;
    pthread_cond_t changed; /* one was parked, or stopping */
    struct parked *GUARDED first;
    struct parked **GUARDED last; /* where the next one is linked in */
    struct parking_state GUARDED state;
    bool GUARDED stopping;
    int64_t GUARDED told; /* that requests fail */
};

/* Milliseconds of a clock that nobody sets. Never 0. */
static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + 1;
}

static uint64_t cost(const struct parking_request *request)
{
    return sizeof(struct parked) + request->len;
}

/* --- those who park --------------------------------------------------------------------------- */

static struct parked *copy(const struct parking_request *request)
{
    struct parked *parked = malloc(cost(request));

    if (!parked)
        return NULL;
    *parked = (struct parked){.request = *request, .since = now_ms()};
    memcpy(parked->data, request->data, request->len);
    parked->request.data = parked->data;
    return parked;
}

/* Takes bytes out of what all that wait may use, before they are used. */
static bool reserve(struct parking *parking, uint64_t bytes)
{
    bool room;

    mutex_lock(&parking->mutex);
    room = bytes <= PARKING_MAX - parking->state.bytes;
    if (room)
        parking->state.bytes += bytes;
    mutex_unlock(&parking->mutex);
    return room;
}

static void give_back(struct parking *parking, uint64_t bytes)
{
    mutex_lock(&parking->mutex);
    parking->state.bytes -= bytes;
    mutex_unlock(&parking->mutex);
}

static void append(struct parking *parking, struct parked *parked)
{
    mutex_lock(&parking->mutex);
    if (!parking->state.since)
        parking->state.since = time(NULL);
    parking->state.requests++;
    *parking->last = parked;
    parking->last = &parked->next;
    lock_must(pthread_cond_signal(&parking->changed));
    mutex_unlock(&parking->mutex);
}

/* Not for each of the many that may fail. */
static void tell_failing(struct parking *parking, const char *why)
{
    int64_t now = now_ms();
    bool tell;

    mutex_lock(&parking->mutex);
    tell = !parking->told || now - parking->told >= TELL_MS;
    if (tell)
        parking->told = now;
    mutex_unlock(&parking->mutex);
    if (!tell)
        return;
    log_error("no space left for archive '%s': %s; free space on its file system",
              parking->config.name, why);
}

bool parking_take(struct parking *parking, const struct parking_request *request)
{
    struct parked *parked;

    if (!parking->config.wait) {
        tell_failing(parking, "writes fail");
        return false;
    }
    if (!reserve(parking, cost(request))) {
        tell_failing(parking, "the waiting writes have reached their limit, further writes fail");
        return false;
    }
    parked = copy(request);
    if (!parked) {
        give_back(parking, cost(request));
        tell_failing(parking, "writes fail, as there is not enough memory to keep them waiting");
        return false;
    }
    append(parking, parked);
    return true;
}

void parking_look(struct parking *parking, struct parking_state *out)
{
    mutex_lock(&parking->mutex);
    *out = parking->state;
    mutex_unlock(&parking->mutex);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Takes the request at *link out of the list. */
static struct parked *unlink_locked(struct parking *parking, struct parked **link)
    REQUIRES(parking->mutex)
{
    struct parked *parked = *link;

    *link = parked->next;
    if (parking->last == &parked->next)
        parking->last = link;
    parking->state.requests--;
    parking->state.bytes -= cost(&parked->request);
    return parked;
}

static void finish(struct parking *parking, struct parked *parked, int rc)
{
    parking->config.ops->answer(parking->config.arg, &parked->request, rc);
    free(parked);
}

static struct parked *at(struct parking *parking, struct parked **link)
{
    struct parked *parked;

    mutex_lock(&parking->mutex);
    parked = parking->stopping ? NULL : *link;
    mutex_unlock(&parking->mutex);
    return parked;
}

/* Tries one after the other until there is no space again, or else all of them. */
static void retry(struct parking *parking, struct want *want, bool all)
{
    struct parked **link = &parking->first;
    struct parked *parked;

    if (all)
        want->blind = now_ms();
    while ((parked = at(parking, link))) {
        int rc = parking->config.ops->attempt(parking->config.arg, &parked->request);

        if (io_is_full(rc) && !all)
            break;
        if (io_is_full(rc)) {
            link = &parked->next;
            continue;
        }
        want->progress = now_ms();
        want->done += rc == 0;
        want->failed += rc != 0;
        mutex_lock(&parking->mutex);
        unlink_locked(parking, link);
        mutex_unlock(&parking->mutex);
        finish(parking, parked, rc);
    }
}

/* Why the request need not wait any longer, -errno, or 0. */
static int over(const struct parking *parking, const struct want *want, const struct parked *parked)
{
    const struct parking_config *config = &parking->config;
    int64_t since = parked->since > want->progress ? parked->since : want->progress;

    if (config->ops->given_up(config->arg, &parked->request))
        return -EINTR;
    return config->seconds && now_ms() - since >= (int64_t)config->seconds * 1000 ? -ENOSPC : 0;
}

/* The first request from *link on that is over, taken out, or NULL. Moves *link on. */
static struct parked *next_over(struct parking *parking, const struct want *want,
                                struct parked ***link, int *rc)
{
    struct parked *parked = NULL;

    mutex_lock(&parking->mutex);
    while (**link && !(*rc = over(parking, want, **link)))
        *link = &(**link)->next;
    if (**link)
        parked = unlink_locked(parking, *link);
    mutex_unlock(&parking->mutex);
    return parked;
}

static void drop(struct parking *parking, struct want *want)
{
    struct parked **link = &parking->first;
    struct parked *parked;
    int rc;

    while ((parked = next_over(parking, want, &link, &rc))) {
        want->failed++;
        finish(parking, parked, rc);
    }
}

/* Time to try all. */
static bool blind(const struct want *want)
{
    return now_ms() - want->blind >= BLIND_MS;
}

/* Whether another try may have a chance. */
static bool promising(const struct parking *parking, struct want *want)
{
    struct statvfs now;
    bool changed;

    if (parking->config.ops->space(parking->config.arg, &now))
        now = want->space;
    changed = now.f_bfree != want->space.f_bfree || now.f_bavail != want->space.f_bavail ||
              now.f_ffree != want->space.f_ffree;
    want->space = now;
    return changed || blind(want);
}

/* Waits LOOK_MS, or until it is time to stop. Then false. */
static bool pause_or_stop(struct parking *parking)
{
    struct timespec until = lock_deadline(LOOK_MS);
    bool stopping;

    mutex_lock(&parking->mutex);
    while (!parking->stopping && mutex_wait_until(&parking->mutex, &parking->changed, &until))
        ;
    stopping = parking->stopping;
    mutex_unlock(&parking->mutex);
    return !stopping;
}

/* Nothing has waited for a while: the next one to come begins a time of want of its own. */
static bool calm(struct parking *parking, struct want *want)
{
    bool ended = false;

    mutex_lock(&parking->mutex);
    if (parking->first)
        want->occupied = now_ms();
    else
        ended = now_ms() - want->occupied >= CALM_MS;
    if (ended)
        parking->state.since = 0;
    mutex_unlock(&parking->mutex);
    return ended;
}

static void tell_begin(const struct parking *parking)
{
    log_warn("no space left for archive '%s': writes wait; free space on its file system, or "
             "delete files on the drive and run fstrim",
             parking->config.name);
}

static void tell_end(const struct parking *parking, const struct want *want)
{
    log_warn("writes to archive '%s' no longer wait for space: after %u seconds, %u completed and "
             "%u failed or were cancelled",
             parking->config.name, (unsigned)((want->occupied - want->began + 999) / 1000),
             want->done, want->failed);
}

static void serve_want(struct parking *parking)
{
    struct want want = {.began = now_ms()};
    struct parking_state state;

    want.occupied = want.began;
    tell_begin(parking);
    while (!calm(parking, &want) && pause_or_stop(parking)) {
        drop(parking, &want);
        if (at(parking, &parking->first) && promising(parking, &want))
            retry(parking, &want, blind(&want));
    }
    parking_look(parking, &state);
    if (!state.requests) /* else it is told that they fail */
        tell_end(parking, &want);
}

static void *serve_parked(void *arg)
{
    struct parking *parking = arg;

    mutex_lock(&parking->mutex);
    while (!parking->stopping) {
        if (parking->first) {
            mutex_unlock(&parking->mutex);
            serve_want(parking);
            mutex_lock(&parking->mutex);
        } else {
            mutex_wait(&parking->mutex, &parking->changed);
        }
    }
    mutex_unlock(&parking->mutex);
    return NULL;
}

/* --- begin and end ---------------------------------------------------------------------------- */

int parking_new(const struct parking_config *config, struct parking **out) NO_THREAD_SAFETY
{
    struct parking *parking = calloc(1, sizeof(*parking));
    int rc = parking ? 0 : -ENOMEM;

    if (parking) {
        parking->config = *config;
        parking->last = &parking->first;
        mutex_init(&parking->mutex);
        lock_must(pthread_cond_init(&parking->changed, NULL));
    }
    if (!rc && config->wait) {
        rc = -pthread_create(&parking->thread, NULL, serve_parked, parking);
        parking->started = !rc;
    }
    if (!rc) {
        *out = parking;
        return 0;
    }
    log_error("cannot start a thread: %s", strerror(-rc));
    parking_free(parking);
    return rc;
}

static void stop(struct parking *parking)
{
    mutex_lock(&parking->mutex);
    parking->stopping = true;
    lock_must(pthread_cond_signal(&parking->changed));
    mutex_unlock(&parking->mutex);
    pthread_join(parking->thread, NULL);
}

void parking_free(struct parking *parking) NO_THREAD_SAFETY
{
    unsigned left;

    if (!parking)
        return;
    if (parking->started)
        stop(parking);
    left = parking->state.requests;
    while (parking->first)
        finish(parking, unlink_locked(parking, &parking->first), -EIO);
    if (left)
        log_error("archive '%s' is unmounted while writes wait for space: %u have failed",
                  parking->config.name, left);
    lock_must(pthread_cond_destroy(&parking->changed));
    mutex_release(&parking->mutex);
    free(parking);
}
