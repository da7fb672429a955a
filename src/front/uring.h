/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE over io_uring: for each processor there is a queue that the kernel puts
 * requests into, and a thread of libfuse's that takes them out, one at a time.
 * What may take long must not be done by such a thread, or whoever asks from the
 * same processor waits, too: it becomes a job for one of our own.
 *
 * Needs libfuse 3.18, built with liburing. Knows libfuse.
 */
#ifndef FRONT_URING_H
#define FRONT_URING_H

#include <stdbool.h>

#include "front/fuse_ops.h"

/*
 * Requests that a queue takes: all that a loop device has under way may come
 * from one processor, and wait for space.
 */
#define URING_DEPTH FUSE_OPS_BACKGROUND

/* Why there can be no rings here, for people; NULL: there can. */
const char *uring_missing(void);

/*
 * Before the process is confined: loads what libfuse needs to end its threads.
 * 0 or -errno.
 */
MUST_CHECK int uring_prepare(void);

/* Those of fuse_ops. A ring's request is answered by whoever should. */
extern const struct fuse_lowlevel_ops uring_ops;

/* Starts threads for the jobs of front's session; before its first request. 0 or -errno, logged. */
MUST_CHECK int uring_new(struct fuse_front *front, struct uring **out);

/*
 * The session has ended. Returns when no request is in work any more; what still
 * comes fails. Then those that are parked may be answered, and after that
 * uring_free() ends the rings: 0 or -errno, why they failed. NULL is fine.
 */
void uring_close(struct uring *uring);
MUST_CHECK int uring_free(struct uring *uring);

/*
 * Where to put the answer to a read: into the ring's memory for the kernel to
 * take, if req came through one, else into memory.
 */
char *uring_payload(fuse_req_t req, char *memory);

#endif
