/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the thread that waits for these signals.
 */
#include "mount/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "mount/janitor.h"
#include "mount/unmount.h"

static void of_interest(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

/* False when another mount covers ours: that one is not ours to take away. */
static bool on_top(const struct signals *signals)
{
    uint64_t id;

    return !signals->mount_id || unmount_top_id(signals->mountpoint, &id) ||
           id == signals->mount_id;
}

static void *await(void *arg)
{
    struct signals *signals = arg;
    sigset_t set;
    int sig;

    of_interest(&set);
    while (sigwait(&set, &sig) == 0 && !atomic_load(&signals->finished)) {
        char why[UNMOUNT_WHY] = "it is covered by another mount";
        int rc = on_top(signals) ? janitor_unmount(signals->mountpoint, false, why) : -EXDEV;

        /* Unmounted, the server ends by itself. */
        if (rc == -EBUSY)
            log_warn("'%s' is in use and stays mounted despite the signal (%s)",
                     signals->mountpoint, strsignal(sig));
        else if (rc)
            log_error("cannot unmount '%s': %s", signals->mountpoint, why);
    }
    return NULL;
}

void signals_block(void)
{
    sigset_t set;

    of_interest(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int signals_start(struct signals *signals, const char *mountpoint)
{
    int rc;

    signals->mountpoint = mountpoint;
    if (unmount_top_id(mountpoint, &signals->mount_id))
        signals->mount_id = 0;
    atomic_init(&signals->finished, false);
    rc = -pthread_create(&signals->thread, NULL, await, signals);
    if (rc)
        log_error("cannot start a thread: %s", strerror(-rc));
    return rc;
}

void signals_stop(struct signals *signals)
{
    atomic_store(&signals->finished, true);
    pthread_kill(signals->thread, SIGTERM);
    pthread_join(signals->thread, NULL);
}
