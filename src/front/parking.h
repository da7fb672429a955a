/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where requests wait that found no space. Who parks one is free at once; a
 * thread tries all of them again, the oldest first, a few times a second, and
 * answers each when it succeeds, when nobody wants its answer any more, or when
 * time is up. So a full disk stops those who write, and nobody else.
 *
 * Knows neither FUSE nor images: what a request is, the caller says.
 */
#ifndef FRONT_PARKING_H
#define FRONT_PARKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/compiler.h"

#define PARKING_MAX (256u << 20) /* bytes of memory for all that wait */
#define PARKING_FOREVER 0

/* A request: writes len bytes of data at off. */
struct parking_request {
    void *handle; /* the caller's */
    const void *data;
    uint64_t off;
    uint64_t len;
    bool refused; /* the caller's, for the answer */
};

/* Called by the parking's thread, one call at a time. given_up() must not call back. */
struct parking_ops {
    /* Does it. 0 or -errno; -ENOSPC and -EDQUOT: still no space. */
    int (*attempt)(void *arg, const struct parking_request *request);
    /* Tells the result, 0 or -errno. The last that is heard of the request. */
    void (*answer)(void *arg, const struct parking_request *request, int rc);
    /* Nobody waits for the answer any more, or wants it now. */
    bool (*given_up)(void *arg, const struct parking_request *request);
    /* Of the file system that is full. 0 or -errno. */
    int (*space)(void *arg, struct statvfs *out);
};

struct parking_config {
    const struct parking_ops *ops;
    void *arg;
    const char *name; /* for messages: the archive */
    bool wait;        /* false: nothing is ever parked, only logged */
    unsigned seconds; /* that a request waits without any other succeeding, or PARKING_FOREVER */
};

struct parking_state {
    unsigned requests; /* that wait; 0: the rest means nothing */
    uint64_t bytes;    /* of memory they hold */
    time_t since;      /* there has been no space, CLOCK_REALTIME */
};

struct parking;

/* config's pointers must outlive it. 0 or -errno, logged. */
MUST_CHECK int parking_new(const struct parking_config *config, struct parking **out);

/*
 * There was no space for request. True: its data is copied, and it is ours to
 * answer. False: it is still the caller's, who should fail it. Any thread.
 */
MUST_CHECK bool parking_take(struct parking *parking, const struct parking_request *request);

/* Any thread. */
void parking_look(struct parking *parking, struct parking_state *out);

/* Answers what still waits with -EIO, logged. No thread parks any more. NULL is fine. */
void parking_free(struct parking *parking);

#endif
