/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The answers to the kernel's requests, for fuse.c alone, which makes the
 * session and the threads. These two know libfuse, and nobody else does.
 */
#ifndef FRONT_FUSE_OPS_H
#define FRONT_FUSE_OPS_H

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 12)

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

#include "front/crew.h"
#include "front/fuse.h"
#include "front/parking.h"

#define FUSE_OPS_REQUEST_MAX 1048576 /* bytes of a read or write */

/* What a session's user data points to. */
struct fuse_front {
    /* fixed after new or mount */
    struct fuse_session *session;
    struct fuse_front_config config;
    char *mountpoint;
    unsigned nthreads;
    bool polls; /* for requests, before it sleeps */
    /* fixed while running */
    struct image *img;
    struct parking *parking; /* writes that wait for space */
    void (*ready)(void *arg);
    void *ready_arg;
    pthread_t counter;
    bool counting;
    /* any thread */
    struct crew crew;
    atomic_uint writers; /* open handles that may write */
};

extern const struct fuse_lowlevel_ops fuse_ops;

/* For a parking whose arg is the struct fuse_front. */
extern const struct parking_ops fuse_ops_parking;

/*
 * Each thread that serves brings FUSE_OPS_REQUEST_MAX bytes, aligned to pages:
 * a write's bytes, or the answer to a read.
 */
void fuse_ops_payload(char *memory);

#endif
