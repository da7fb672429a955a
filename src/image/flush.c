/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pass covers the writes that returned before it began, so a caller may rely
 * only on a pass that began after it asked. States, by (begun, done):
 *
 *   begun == done      idle: the caller runs pass begun + 1 itself
 *   begun == done + 1  running: the caller needs pass begun + 1, which the first
 *                      waiter to wake starts and all others share
 *
 * A failed pass is final: the kernel reports a write-back error once and drops
 * the data, so a second fsync that succeeds would be a lie.
 */
#include "image/flush.h"

#include <errno.h>

void flush_init(struct flush *flush, int (*pass)(void *arg), void *arg) NO_THREAD_SAFETY
{
    flush->pass = pass;
    flush->arg = arg;
    atomic_init(&flush->error, 0);
    mutex_init(&flush->mutex);
    lock_must(pthread_cond_init(&flush->ended, NULL));
    flush->begun = 0;
    flush->done = 0;
}

void flush_release(struct flush *flush)
{
    lock_must(pthread_cond_destroy(&flush->ended));
    mutex_release(&flush->mutex);
}

void flush_fail(struct flush *flush, int rc)
{
    atomic_store(&flush->error, rc);
}

int flush_wait(struct flush *flush)
{
    uint64_t need;
    int rc;

    mutex_lock(&flush->mutex);
    /* Looked at under the mutex: a pass that has just failed took our writes with it. */
    rc = atomic_load(&flush->error) ? -EIO : 0;
    need = flush->begun + 1;
    while (!rc && flush->done < need) {
        if (flush->begun > flush->done) {
            mutex_wait(&flush->mutex, &flush->ended);
            rc = atomic_load(&flush->error) ? -EIO : 0;
            continue;
        }
        flush->begun++;
        mutex_unlock(&flush->mutex);
        rc = flush->pass(flush->arg);
        if (rc)
            atomic_store(&flush->error, rc);
        mutex_lock(&flush->mutex);
        flush->done = flush->begun;
        lock_must(pthread_cond_broadcast(&flush->ended));
    }
    mutex_unlock(&flush->mutex);
    return rc;
}
