/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which tiles changed since an epoch, and which of them are there: what the journal says, what
 * the tiles' files look like now, and the store, taken together. Needs no lock: the archive may
 * be in use.
 */
#ifndef DRIVE_CHANGED_H
#define DRIVE_CHANGED_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "journal/changes.h"
#include "store/store.h"

struct changed {
    /* Why every tile may have changed: what of the journal says so, "is missing"; or NULL. */
    const char *everything;
    struct changes_list list; /* the journal */
    uint32_t since;           /* the first epoch that counts */
    uint32_t ntiles;          /* of the image, or that the journal tells of, if that is more */
    uint32_t *looks;          /* of so many, as they are now */
    struct store *store;
};

/*
 * The archive has been opened, with its index. since NULL: since the journal began. 0 or -errno,
 * logged; release in any case.
 */
MUST_CHECK int changed_open(struct archive *archive, const struct journal_word *since,
                            struct changed *changed);

/* Calls fn with every tile that changed, ascending. absent: it is not there now. 0 or -errno,
 * logged. */
MUST_CHECK int changed_each(const struct changed *changed,
                            void (*fn)(void *arg, uint32_t tile, bool absent), void *arg);

void changed_release(struct changed *changed);

/*
 * Begins a new epoch of an archive that nobody has mounted for writing, and tells its word. 0 or
 * -errno, logged.
 */
MUST_CHECK int changed_begin(const char *path, char epoch[STORE_EPOCH]);

#endif
