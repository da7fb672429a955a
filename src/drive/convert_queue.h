/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hands things from one thread to another, in order. There are never more of them than a queue
 * has room for, so only who takes has to wait.
 */
#ifndef DRIVE_CONVERT_QUEUE_H
#define DRIVE_CONVERT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/lock.h"

#define CONVERT_QUEUE_MAX 32

struct convert_queue {
    struct mutex mutex;
    pthread_cond_t changed;
    void *things[CONVERT_QUEUE_MAX] GUARDED;
    size_t first GUARDED, n GUARDED;
    bool closed GUARDED;
};

void convert_queue_init(struct convert_queue *queue);
void convert_queue_release(struct convert_queue *queue);

/* At most CONVERT_QUEUE_MAX are in it. Any thread, as the others. */
void convert_queue_put(struct convert_queue *queue, void *thing);

/* Waits for one. NULL: there is none, and it was closed. */
void *convert_queue_take(struct convert_queue *queue);

/* Nobody puts anything any more, or nobody is to wait any longer. */
void convert_queue_close(struct convert_queue *queue);

#endif
