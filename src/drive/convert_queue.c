/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A ring of pointers under a mutex.
 */
#include "drive/convert_queue.h"

#include <assert.h>

void convert_queue_init(struct convert_queue *queue)
{
    *queue = (struct convert_queue){0};
    mutex_init(&queue->mutex);
    lock_must(pthread_cond_init(&queue->changed, NULL));
}

void convert_queue_release(struct convert_queue *queue)
{
    lock_must(pthread_cond_destroy(&queue->changed));
    mutex_release(&queue->mutex);
}

void convert_queue_put(struct convert_queue *queue, void *thing)
{
    mutex_lock(&queue->mutex);
    assert(queue->n < CONVERT_QUEUE_MAX);
    queue->things[(queue->first + queue->n++) % CONVERT_QUEUE_MAX] = thing;
    lock_must(pthread_cond_signal(&queue->changed));
    mutex_unlock(&queue->mutex);
}

void *convert_queue_take(struct convert_queue *queue)
{
    void *thing = NULL;

    mutex_lock(&queue->mutex);
    while (queue->n == 0 && !queue->closed)
        mutex_wait(&queue->mutex, &queue->changed);
    if (queue->n > 0) {
        thing = queue->things[queue->first];
        queue->first = (queue->first + 1) % CONVERT_QUEUE_MAX;
        queue->n--;
    }
    mutex_unlock(&queue->mutex);
    return thing;
}

void convert_queue_close(struct convert_queue *queue)
{
    mutex_lock(&queue->mutex);
    queue->closed = true;
    lock_must(pthread_cond_broadcast(&queue->changed));
    mutex_unlock(&queue->mutex);
}
