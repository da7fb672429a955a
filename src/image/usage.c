/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "image/usage.h"

#include <errno.h>
#include <stdlib.h>

#include "image/image.h"

int usage_init(struct usage *usage, uint32_t ntiles) NO_THREAD_SAFETY
{
    mutex_init(&usage->mutex);
    lock_must(pthread_cond_init(&usage->ended, NULL));
    usage->blocks = 0;
    usage->tiles = 0;
    usage->mtime = (struct timespec){0};
    usage->count = USAGE_PENDING;
    /* 4 MiB at 2^20 tiles, but only the touched pages of it become memory. */
    usage->known = calloc(ntiles, sizeof(*usage->known));
    if (!usage->known)
        return -ENOMEM;
    return tileset_init(&usage->stale, ntiles);
}

void usage_release(struct usage *usage)
{
    free((void *)usage->known);
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

static void newest_locked(struct usage *usage, const struct timespec *when) REQUIRES(usage->mutex)
{
    if (when->tv_sec > usage->mtime.tv_sec ||
        (when->tv_sec == usage->mtime.tv_sec && when->tv_nsec > usage->mtime.tv_nsec))
        usage->mtime = *when;
}

/* known holds blocks + 1 in 32 bits: a tile that occupies 2 TiB or more counts as 2 TiB. */
static uint32_t clamp(uint64_t blocks)
{
    return blocks < UINT32_MAX - 1 ? (uint32_t)blocks : UINT32_MAX - 1;
}

void usage_see(struct usage *usage, uint32_t tile, const struct store_stat *stat)
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
    struct timespec now;
    uint32_t old;

    clock_gettime(CLOCK_REALTIME_COARSE, &now); /* the clock of file times */
    mutex_lock(&usage->mutex);
    old = atomic_exchange_explicit(&usage->known[tile], 0, memory_order_relaxed);
    if (old) {
        usage->blocks -= old - 1;
        usage->tiles--;
    }
    newest_locked(usage, &now);
    mutex_unlock(&usage->mutex);
}

void usage_changed(struct usage *usage, const struct timespec *when)
{
    mutex_lock(&usage->mutex);
    newest_locked(usage, when);
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
    out->mtime = usage->mtime;
    out->complete = usage->count == USAGE_COMPLETE;
    mutex_unlock(&usage->mutex);
}
