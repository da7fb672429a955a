/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SIGTERM, SIGINT and SIGHUP unmount, if the file is not in use; else they are
 * ignored, with a line in the log, for the sake of whoever uses it.
 */
#ifndef MOUNT_SIGNALS_H
#define MOUNT_SIGNALS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/compiler.h"

struct signals {
    const char *mountpoint;
    uint64_t mount_id; /* of our mount, 0 when not known */
    pthread_t thread;
    atomic_bool finished;
};

/*
 * Blocks the signals in the calling thread and those that it makes from now on.
 * Before mounting: a signal that comes in between must not kill.
 */
void signals_block(void);

/*
 * Starts the thread that waits for the blocked signals. mountpoint is absolute,
 * just mounted, and outlives it. 0 or -errno, logged.
 */
MUST_CHECK int signals_start(struct signals *signals, const char *mountpoint);

/* After a successful start. The signals stay blocked. */
void signals_stop(struct signals *signals);

#endif
