/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which of the threads that serve ask for requests. There are two ways, and the
 * requests decide:
 *
 *   busy   All threads ask, and sleep in the kernel meanwhile. For requests that
 *          come side by side, or take long.
 *   calm   One thread, the leader, asks and answers. For small requests that
 *          come one after the other: it need not sleep in between, so none of
 *          them costs a wake-up. Another thread watches: when the leader is
 *          stuck in a request, it is busy again.
 *
 * Knows neither FUSE nor requests.
 */
#ifndef FRONT_CREW_H
#define FRONT_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

struct crew {
    /* any thread */
    atomic_bool over;
    atomic_bool calm;      /* changed under the mutex */
    atomic_uint times;     /* that it became calm; likewise */
    atomic_bool watched;   /* somebody looks now and then; likewise */
    atomic_uint asking;    /* threads between crew_ask() and crew_begin() or crew_withdraw() */
    atomic_uint under_way; /* requests between crew_begin() and crew_finish() */
    atomic_uint begun;     /* requests so far, modulo 2^32 */
    atomic_int score;      /* speaks for calm, 0 to 64 */
    struct mutex mutex;
    pthread_cond_t change GUARDED; /* mutex */
    bool led GUARDED;              /* mutex: it is calm and there is a leader */
    bool watcher GUARDED;          /* mutex: a thread rests and watches */
};

/* A thread's place in the crew, its own; zeros at first. */
struct crew_place {
    bool leads;
    unsigned times; /* as in struct crew when it became the leader */
};

void crew_init(struct crew *crew);
void crew_release(struct crew *crew);

/*
 * Before a thread asks for a request: waits while others are enough. False after
 * crew_end(). *only: no other thread asks, so that this one may do so without
 * sleeping.
 */
bool crew_ask(struct crew *crew, struct crew_place *place, bool *only);

/* It asked in vain. */
void crew_withdraw(struct crew *crew);

/*
 * It has a request. quick: it is small, and such that no disk is waited for. more:
 * there was no need to wait for it, so others are likely to come.
 */
void crew_begin(struct crew *crew, bool quick, bool more);

/* It has answered. slow: that took longer than a quick one does. */
void crew_finish(struct crew *crew, bool slow);

/* No more requests: crew_ask() is false, to all. Any thread. */
void crew_end(struct crew *crew);

#endif
