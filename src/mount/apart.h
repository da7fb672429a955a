/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work that may never end, such as asking a file system that stands still, in a
 * process of its own, which can be given up: some system calls cannot be
 * interrupted, and would take the whole program with them.
 */
#ifndef MOUNT_APART_H
#define MOUNT_APART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

struct apart {
    void (*work)(void *arg); /* in the other process: reaches no descriptor of ours */
    void *arg;               /* of apart_memory(): both processes see it */
    int patience_ms;
    bool (*go_on)(void *arg); /* asked each time nothing was heard for so long; NULL: no */
};

/* Memory of zeros that the other process shares, or NULL. */
void *apart_memory(size_t size);
void apart_free(void *memory, size_t size);

/*
 * Runs the work and waits for it. What it logs goes to stderr. 0; -ETIMEDOUT
 * when it was given up: then it may still write to arg, or be stuck for ever;
 * else -errno: it could not be started, or died (-ECHILD).
 */
MUST_CHECK int apart_run(const struct apart *apart);

#endif
