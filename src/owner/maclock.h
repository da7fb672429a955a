/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who else uses a sparse bundle: a Mac, through a file server or from a disk
 * that it shares with us. For every other layout: nobody.
 */
#ifndef OWNER_MACLOCK_H
#define OWNER_MACLOCK_H

#include <stdbool.h>

#include "archive/archive.h"
#include "base/compiler.h"

#define MACLOCK_FILES 2

/* What a writer holds. */
struct maclock {
    int fds[MACLOCK_FILES]; /* -1: none */
};
#define MACLOCK_NONE \
    {                \
        {            \
            -1, -1   \
        }            \
    }

/*
 * Locks the bundle as a Mac does, by the files that are there: this changes nothing.
 * The caller has taken owner.h's lock, so that whoever is found is none of us. 0;
 * -EBUSY when somebody else uses it, not logged; else -errno, logged. What failed
 * holds nothing.
 */
MUST_CHECK int maclock_take(struct maclock *lock, const struct archive *archive);

/*
 * After maclock_take(): makes and locks the file that a Mac would make. *made: it was
 * missing, so a Mac may have come and gone since maclock_take(). Else the same.
 */
MUST_CHECK int maclock_make(struct maclock *lock, const struct archive *archive, bool *made);

void maclock_drop(struct maclock *lock);

/* Whether somebody uses it, as far as can be told; also when that is a writer of ours. */
bool maclock_held(const struct archive *archive);

#endif
