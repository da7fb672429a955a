/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot of an image in use, whatever the number of its tiles. Each tile gets a second name in
 * the snapshot's directory; that is done beside everything else, by whoever makes the snapshot,
 * and does not stop writes in place: both names see them. Only then comes the instant. States:
 *
 *   nothing    -- begin -->  snapping   tiles that come, go or are unshared are remembered,
 *                                       for their second name may be wrong by now
 *   snapping   -- take -->   the tiles remembered are given their names again, while requests
 *                            go on, until few are left; then all stripes are taken, the last
 *                            are done, and the store holds what has a second name
 *   settling                 requests go on: who writes to a tile that is held unshares it first.
 *                            All is flushed: then what is held is on disk
 *   nothing
 *
 * Who unshares a tile copies it, perhaps for long, with its stripe in hand. So nobody does when
 * the stripes are taken: whoever wants to waits at the gate.
 *
 * Requests are stopped while the last few names are made, not for a flush. So a file that
 * the snapshot holds may have bytes that are not on disk yet, and until the flush is over
 * nobody lets go of such a file (is it unshared, or its tile removed) without a sync of its
 * own. A crash before the snapshot bears its name leaves a directory that is thrown away, and
 * tiles that were unshared in vain.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "image/impl.h"

#define FEW 16     /* tiles that may be left for the instant: a few links each */
#define PASSES 100 /* before it */

void image_snapshot_init(struct image *img) NO_THREAD_SAFETY
{
    mutex_init(&img->snapshot);
    mutex_init(&img->gate.mutex);
    lock_must(pthread_cond_init(&img->gate.changed, NULL));
}

void image_snapshot_release(struct image *img)
{
    lock_must(pthread_cond_destroy(&img->gate.changed));
    mutex_release(&img->gate.mutex);
    mutex_release(&img->snapshot);
}

/* --- tiles that are held ---------------------------------------------------------------------- */

static void enter(struct gate *gate)
{
    mutex_lock(&gate->mutex);
    while (gate->closed)
        mutex_wait(&gate->mutex, &gate->changed);
    gate->inside++;
    mutex_unlock(&gate->mutex);
}

static void leave(struct gate *gate)
{
    mutex_lock(&gate->mutex);
    gate->inside--;
    lock_must(pthread_cond_broadcast(&gate->changed));
    mutex_unlock(&gate->mutex);
}

/* Nobody is inside when it is closed. */
static void set_closed(struct gate *gate, bool closed)
{
    mutex_lock(&gate->mutex);
    gate->closed = closed;
    while (closed && gate->inside > 0)
        mutex_wait(&gate->mutex, &gate->changed);
    lock_must(pthread_cond_broadcast(&gate->changed));
    mutex_unlock(&gate->mutex);
}

static int unshare_tile(struct image *img, uint32_t tile)
{
    struct rwlock *lock = image_stripe(img, tile);
    int rc;

    enter(&img->gate);
    rwlock_exclusive(lock);
    rc = image_flush_tile(img, tile);
    if (!rc)
        rc = store_unshare(img->store, tile);
    if (!rc)
        image_moved(img, tile);
    rwlock_unlock(lock);
    leave(&img->gate);
    return rc == -ENOENT ? 0 : rc;
}

bool image_snapshot_again(struct image *img, uint32_t tile, int *rc)
{
    if (*rc != -EMLINK)
        return false;
    *rc = unshare_tile(img, tile);
    return *rc == 0;
}

int image_snapshot_settle(struct image *img, uint32_t tile)
{
    return atomic_load(&img->settling) ? image_flush_tile(img, tile) : 0;
}

struct pass {
    struct image *img;
    bool frozen;
    uint32_t n; /* tiles looked at */
    int rc;     /* of the first that failed */
};

static void name_tile(uint32_t tile, void *arg) NO_THREAD_SAFETY /* frozen: all are held */
{
    struct pass *pass = arg;
    struct rwlock *lock = image_stripe(pass->img, tile);
    int rc;

    pass->n++;
    if (!pass->frozen)
        rwlock_shared(lock);
    rc = store_snapshot_tile(pass->img->store, tile);
    if (!pass->frozen)
        rwlock_unshare(lock);
    pass->rc = pass->rc ? pass->rc : rc;
}

static int name_moved(struct image *img, bool frozen, uint32_t *n)
{
    struct pass pass = {.img = img, .frozen = frozen};

    tileset_drain(&img->moved, name_tile, &pass);
    *n = pass.n;
    return pass.rc;
}

void image_snapshot_stop(struct image *img)
{
    atomic_store(&img->snapping, false);
}

static void forget(uint32_t tile, void *arg)
{
}

int image_snapshot_begin(struct image *img)
{
    int rc;

    mutex_lock(&img->snapshot);
    atomic_store(&img->snapping, false);
    rc = image_writable(img);
    if (!rc)
        rc = store_snapshot_begin(img->store);
    if (!rc) {
        store_links_begin(img->store);
        /* Who does not see it yet has ended before we return. */
        image_freeze(img);
        tileset_drain(&img->moved, forget, NULL);
        atomic_store(&img->snapping, true);
        image_thaw(img);
    }
    mutex_unlock(&img->snapshot);
    return rc;
}

static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int take_frozen(struct image *img)
{
    uint32_t n;
    int rc = name_moved(img, true, &n);

    atomic_store(&img->snapping, false);
    if (!rc) {
        atomic_store(&img->settling, true);
        store_snapshot_hold(img->store);
    }
    return rc;
}

static int take(struct image *img, uint64_t *stalled)
{
    uint32_t n = FEW + 1;
    uint64_t begun;
    int rc = atomic_load(&img->snapping) ? image_writable(img) : -EINVAL;

    if (!rc)
        rc = image_flush(img); /* most of it before the instant */
    for (unsigned i = 0; !rc && n > FEW && i < PASSES; i++)
        rc = name_moved(img, false, &n);
    if (rc)
        return rc;
    set_closed(&img->gate, true);
    begun = now();
    image_freeze(img);
    rc = take_frozen(img);
    image_thaw(img);
    *stalled = now() - begun;
    set_closed(&img->gate, false);
    if (!rc)
        rc = image_flush(img);
    atomic_store(&img->settling, false);
    return rc;
}

int image_snapshot_take(struct image *img, uint64_t *stalled)
{
    int rc;

    mutex_lock(&img->snapshot);
    *stalled = 0;
    rc = take(img, stalled);
    store_links_end(img->store);
    mutex_unlock(&img->snapshot);
    return rc;
}

void image_snapshot_links_begin(struct image *img)
{
    mutex_lock(&img->snapshot);
    store_links_begin(img->store);
    mutex_unlock(&img->snapshot);
}

void image_snapshot_links_end(struct image *img)
{
    mutex_lock(&img->snapshot);
    store_links_end(img->store);
    mutex_unlock(&img->snapshot);
}
