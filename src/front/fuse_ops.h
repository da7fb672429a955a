/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The answers to the kernel's requests, for fuse.c alone, which makes the
 * session and the threads. These two, fuse_agree.c and uring.c know libfuse,
 * and nobody else does.
 */
#ifndef FRONT_FUSE_OPS_H
#define FRONT_FUSE_OPS_H

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 12)

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "front/crew.h"
#include "front/fuse.h"
#include "front/parking.h"

#define FUSE_OPS_REQUEST_MAX 1048576 /* bytes of a read or write */
#define FUSE_OPS_THREADS 16          /* that serve, at most */

/*
 * Requests that the kernel may have under way; its own default is 12. More than
 * a loop device has (128), or its writes that wait for space would keep its
 * reads from us.
 */
#define FUSE_OPS_BACKGROUND 192

/* What a session's user data points to. */
struct fuse_front {
    /* fixed after new or mount */
    struct fuse_session *session;
    struct fuse_front_config config;
    char *mountpoint;
    unsigned nthreads;
    bool polls; /* for requests, before it sleeps */
    bool ring;  /* requests may come through io_uring */
    /* fixed while running */
    struct image *img;
    struct parking *parking; /* writes that wait for space */
    struct uring *uring;     /* NULL: all requests come from /dev/fuse */
    void (*ready)(void *arg);
    void *ready_arg;
    pthread_t counter;
    bool counting;
    /* any thread */
    struct crew crew;
    atomic_uint writers; /* open handles that may write */
};

/*
 * What a thread does itself that others depend on: reads and writes of at most so
 * many bytes, copied in 10 us, about what it takes to wake another thread.
 */
#define FUSE_OPS_SMALL 65536
#define FUSE_OPS_SLOW 100000 /* nanoseconds; who takes longer waits for a disk */

#define FUSE_OPS_LENT 131072 /* so long a read, or longer, is answered out of the tile itself */

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t fuse_ops_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

extern const struct fuse_lowlevel_ops fuse_ops;

/* When a session begins: what the kernel shall do, and nothing else. ring: also io_uring. */
void fuse_agree(struct fuse_conn_info *conn, bool ring);

/* For a parking whose arg is the struct fuse_front. */
extern const struct parking_ops fuse_ops_parking;

/*
 * Each thread that serves brings FUSE_OPS_REQUEST_MAX bytes, aligned to pages:
 * a write's bytes, or the answer to a read.
 */
void fuse_ops_payload(char *memory);

#endif
