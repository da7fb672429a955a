/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Group commit: callers that ask for a flush while one is running share the
 * next one. Knows nothing of tiles; the work is a callback.
 */
#ifndef IMAGE_FLUSH_H
#define IMAGE_FLUSH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/lock.h"

struct flush {
    /* fixed after init */
    int (*pass)(void *arg); /* makes durable what was written before it began; 0 or -errno */
    void *arg;
    /* any thread */
    atomic_int error; /* -errno of the first failed pass, final */
    /* guarded by mutex */
    struct mutex mutex;
    pthread_cond_t ended;
    uint64_t GUARDED begun; /* passes begun; at most one is running: begun - done <= 1 */
    uint64_t GUARDED done;
};

void flush_init(struct flush *flush, int (*pass)(void *arg), void *arg);
void flush_release(struct flush *flush);

/*
 * Returns when a pass that began after the call has ended. 0, the error of that
 * pass, or -EIO when an earlier one had failed. Any thread.
 */
MUST_CHECK int flush_wait(struct flush *flush);

/* What a pass would have to do failed with -errno rc outside one: as final. Any thread. */
void flush_fail(struct flush *flush, int rc);

#endif
