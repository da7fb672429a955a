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

/* A request, and what answers it. */
struct uring_job {
    struct uring_job *next; /* uring.c's */
    void (*run)(struct uring_job *job);
    fuse_req_t req;
    fuse_ino_t ino;
    struct fuse_file_info fi;
    struct fuse_file_info *fip; /* NULL, or to fi; whoever fills in a job: to libfuse's */
    int number;                 /* which, datasync, mode, whence; of an ioctl its flags */
    unsigned cmd;
    off_t off;
    off_t len;
    const char *buf; /* the ring's, there until the request is answered */
    size_t buf_len;  /* of an ioctl; of a write it is len */
    struct stat want;
};

/* Answers it as a job of another thread if it came through a ring, else at once. Copies job. */
void uring_do(struct uring_job *job);

/* The same for a read or write, which a ring's thread answers itself while they are short. */
void uring_transfer(struct uring_job *job);

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
