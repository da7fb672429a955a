/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that serves a mount, seen from outside: who it is, how it is,
 * when it has ended. Its end is the proof that all is on disk and the archive
 * free: it flushes and gives up the lock before that.
 */
#ifndef MOUNT_SERVER_H
#define MOUNT_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "front/control.h"
#include "mount/mounts.h"
#include "store/store.h"

#define SERVER_PATIENCE_MS 3000 /* for an answer: so long may a busy machine take */

struct server {
    pid_t pid;             /* 0: not known */
    bool dead;             /* the mount stands, its process is gone */
    bool silent;           /* it gave no answer, or not to all that was asked, in time */
    bool answered;         /* status and flags are what it said */
    uint32_t flags;        /* CONTROL_* of front/control.h */
    int fd;                /* of server_hold(), or -1 */
    unsigned waiting;      /* requests that wait for space */
    int64_t waiting_since; /* seconds of CLOCK_REALTIME */
    dev_t dev;             /* st_dev of the file it serves, 0: not known */
    struct control_status status;
    /* The directory that it serves, when located: nothing that a rename changes. */
    bool located;
    dev_t archive_dev;
    ino_t archive_ino;
    char archive[PATH_MAX]; /* where it says that this is now, or "" */
};

/*
 * Asks the process behind a mount. One that is stopped, frozen or stuck may
 * never answer: it has patience_ms for it. A server that may not be asked or is
 * dead is no error. Release with server_release().
 */
void server_ask(const struct mount *mount, int patience_ms, struct server *server);

/*
 * Opens the mounted file, for a process of which nothing is lost if it never comes back: see
 * mount/apart.h. A descriptor or -errno, not logged: -ENOENT when it is not mounted there any more.
 */
MUST_CHECK int server_open(const struct mount *mount, int flags);

/*
 * Brings everything written so far to disk, as long as that takes: says so after
 * two seconds. Not while requests wait for space: the kernel lets no fsync pass
 * a write that waits. 0; -ETIMEDOUT: the process is stopped or frozen; or the
 * -errno of the sync. Not told.
 */
MUST_CHECK int server_sync(const struct mount *mount, const struct server *server);

/*
 * Has the process behind a mount, which was asked before, begin a new epoch of
 * the list of changed tiles. 0 or -errno, logged.
 */
MUST_CHECK int server_mark(const struct mount *mount, const struct server *server,
                           char epoch[STORE_EPOCH]);

/*
 * A step of a snapshot of what a mount shows: CONTROL_SNAPSHOT_BEGIN or another call of it, see
 * front/control.h. stalled: of CONTROL_SNAPSHOT_TAKE. 0 or -errno, logged.
 */
MUST_CHECK int server_snapshot(const struct mount *mount, const struct server *server,
                               unsigned long call, uint64_t *stalled);

/*
 * What a mount shows grows to size bytes, see CONTROL_RESIZE, and this kernel knows. 0 or -errno,
 * logged.
 */
MUST_CHECK int server_resize(const struct mount *mount, const struct server *server, uint64_t size);

/*
 * Has the process behind a mount look for tiles that other programs replaced under
 * it. Tells of them, as what is named so. How many there are; 0, too, when it does not know.
 */
unsigned server_replaced(const struct mount *mount, const struct server *server, const char *name);

/* Keeps hold of process pid, so that server_wait() cannot mean another one. 0 or -errno. */
MUST_CHECK int server_hold(struct server *server);

/*
 * Returns 0 when the process has ended, and -EBUSY when after two seconds the
 * file is still alive somewhere: then that may take for ever, and dev is known
 * if it can be. One that is only finishing is waited for without a limit: to
 * return before the bytes are on disk would be a lie; name is for the line that
 * says so. -EAGAIN: until(arg), unless it is NULL, has become true before.
 */
typedef bool server_until(void *arg);
MUST_CHECK int server_wait(struct server *server, const char *name, server_until *until, void *arg);

void server_release(struct server *server);

#endif
