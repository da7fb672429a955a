/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that serves a mount, seen from outside: who it is, how it is,
 * when it has ended. Its end is the proof that all is on disk and the archive
 * free: it flushes and gives up the lock before that.
 */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "cli/mounts.h"
#include "store/store.h"

struct server {
    pid_t pid;             /* 0: not known */
    bool dead;             /* the mount stands, its process is gone */
    bool answered;         /* flags is what it said */
    uint32_t flags;        /* CONTROL_* of front/control.h */
    int fd;                /* of server_hold(), or -1 */
    unsigned waiting;      /* requests that wait for space */
    int64_t waiting_since; /* seconds of CLOCK_REALTIME */
    dev_t dev;             /* st_dev of the file it serves, 0: not known */
};

/*
 * Asks the process behind a mount, and with sync brings everything written so
 * far to disk first, unless requests wait for space: the kernel lets no fsync
 * pass a write that waits. 0, or the -errno of that sync; a server that may not
 * be asked or is dead is no error. Release with server_release() in any case.
 */
MUST_CHECK int server_ask(const struct mount *mount, bool sync, struct server *server);

/*
 * Has the process behind a mount begin a new epoch of the list of changed
 * tiles. 0 or -errno, logged.
 */
MUST_CHECK int server_mark(const struct mount *mount, char epoch[STORE_EPOCH]);

/* Keeps hold of process pid, so that server_wait() cannot mean another one. 0 or -errno. */
MUST_CHECK int server_hold(struct server *server);

/*
 * Returns 0 when the process has ended, and -EBUSY when after two seconds the
 * file is still alive somewhere: then that may take for ever, and dev is known
 * if it can be. One that is only finishing is waited for without a limit: to
 * return before the bytes are on disk would be a lie; name is for the line that
 * says so.
 */
MUST_CHECK int server_wait(struct server *server, const char *name);

void server_release(struct server *server);

#endif
