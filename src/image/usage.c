/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keeps one number for each tile and the sums over them, so that a count needs no walk
 * over the image.
 */
#include "image/usage.h"

#include <errno.h>

#include "base/reserve.h"
#include "image/image.h"

int usage_init(struct usage *usage, uint32_t ntiles, uint32_t most) NO_THREAD_SAFETY
{
    mutex_init(&usage->mutex);
    lock_must(pthread_cond_init(&usage->ended, NULL));
    usage->blocks = 0;
    usage->tiles = 0;
    usage->mtime = usage->told = (struct timespec){0};
    usage->set = false;
    usage->count = USAGE_PENDING;
    /* 4 MiB at 2^20 tiles, but only the touched pages of it become memory. */
    usage->most = most;
    usage->known = reserve_new(most, sizeof(*usage->known));
    if (!usage->known)
        return -ENOMEM;
    return tileset_init(&usage->stale, ntiles, most);
}

void usage_grow(struct usage *usage, uint32_t ntiles)
{
    tileset_grow(&usage->stale, ntiles);
}

void usage_release(struct usage *usage)
{
    reserve_free((void *)usage->known, usage->most, sizeof(*usage->known));
    usage->known = NULL;
    tileset_release(&usage->stale);
    lock_must(pthread_cond_destroy(&usage->ended));
    mutex_release(&usage->mutex);
}

bool usage_has(const struct usage *usage, uint32_t tile)
{
    return atomic_load_explicit(&usage->known[tile], memory_order_relaxed);
}

void usage_touch(struct usage *usage, uint32_t tile)
{
    tileset_add(&usage->stale, tile);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

static struct timespec now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return t;
}

/*
 * A tile dated in the future, by a wrong clock or by touch(1), would hide all changes
 * until then from whoever goes by the image's time: it counts as changed now.
 */
static void newest_locked(struct usage *usage, const struct timespec *when) REQUIRES(usage->mutex)
{
    struct timespec most;

    if (!later(when, &usage->mtime))
        return;
    most = now();
    if (later(when, &most))
        when = &most;
    if (later(when, &usage->mtime))
        usage->mtime = *when;
}

/*
 * The clock of the tiles' file system may be behind, and its times are coarse; still, who was
 * told a time before is told a later one now. What was set may lie in the future: anything
 * else differs from it.
 */
static void moved_locked(struct usage *usage, const struct timespec *when) REQUIRES(usage->mutex)
{
    struct timespec least = now();

    newest_locked(usage, when);
    usage->set = false;
    if (later(&usage->mtime, &usage->told) || later(&usage->told, &least))
        return;
    if (!later(&least, &usage->told)) { /* the same */
        least.tv_sec += least.tv_nsec == 999999999;
        least.tv_nsec = (least.tv_nsec + 1) % 1000000000;
    }
    usage->mtime = least;
}

/* known holds blocks + 1 in 32 bits: a tile that occupies 2 TiB or more counts as 2 TiB. */
static uint32_t clamp(uint64_t blocks)
{
    return blocks < UINT32_MAX - 1 ? (uint32_t)blocks : UINT32_MAX - 1;
}

void usage_stat(struct usage *usage, uint32_t tile, const struct store_stat *stat)
{
    uint32_t blocks = clamp(stat->blocks);
    uint32_t old;

    mutex_lock(&usage->mutex);
    old = atomic_exchange_explicit(&usage->known[tile], blocks + 1, memory_order_relaxed);
    if (old)
        usage->blocks -= old - 1;
    else
        usage->tiles++;
    usage->blocks += blocks;
    newest_locked(usage, &stat->mtime);
    mutex_unlock(&usage->mutex);
}

void usage_gone(struct usage *usage, uint32_t tile)
{
    struct timespec when;
    uint32_t old;

    clock_gettime(CLOCK_REALTIME_COARSE, &when); /* the clock of file times */
    mutex_lock(&usage->mutex);
    old = atomic_exchange_explicit(&usage->known[tile], 0, memory_order_relaxed);
    if (old) {
        usage->blocks -= old - 1;
        usage->tiles--;
    }
    moved_locked(usage, &when);
    mutex_unlock(&usage->mutex);
}

void usage_changed(struct usage *usage, const struct timespec *when)
{
    mutex_lock(&usage->mutex);
    newest_locked(usage, when);
    mutex_unlock(&usage->mutex);
}

void usage_moved(struct usage *usage, const struct timespec *when)
{
    mutex_lock(&usage->mutex);
    moved_locked(usage, when);
    mutex_unlock(&usage->mutex);
}

void usage_set_times(struct usage *usage, const struct timespec *atime,
                     const struct timespec *mtime)
{
    mutex_lock(&usage->mutex);
    if (!usage->set)
        usage->set_atime = usage->set_mtime = usage->mtime;
    if (atime)
        usage->set_atime = *atime;
    if (mtime)
        usage->set_mtime = *mtime;
    usage->set_at = now();
    usage->set = true;
    mutex_unlock(&usage->mutex);
}

void usage_counted(struct usage *usage, bool complete)
{
    mutex_lock(&usage->mutex);
    usage->count = complete ? USAGE_COMPLETE : USAGE_BROKEN;
    lock_must(pthread_cond_broadcast(&usage->ended));
    mutex_unlock(&usage->mutex);
}

void usage_get(struct usage *usage, unsigned wait_ms, struct image_usage *out)
{
    struct timespec until = lock_deadline(wait_ms);

    mutex_lock(&usage->mutex);
    while (usage->count == USAGE_PENDING && mutex_wait_until(&usage->mutex, &usage->ended, &until))
        ;
    out->tiles = usage->tiles;
    out->blocks = usage->blocks;
    out->mtime = usage->told = usage->set ? usage->set_mtime : usage->mtime;
    out->atime = usage->set ? usage->set_atime : usage->mtime;
    out->ctime = usage->set ? usage->set_at : usage->mtime;
    out->complete = usage->count == USAGE_COMPLETE;
    mutex_unlock(&usage->mutex);
}
