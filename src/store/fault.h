/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A store that passes everything to another one and fails where it is told to,
 * for tests. Rules may be changed from any thread at any time.
 */
#ifndef STORE_FAULT_H
#define STORE_FAULT_H

#include "store/store.h"

enum fault_op {
    FAULT_READ,
    FAULT_LEND, /* EFAULT: lends bytes that are not there */
    FAULT_WRITE,
    FAULT_CREATE,
    FAULT_REMOVE,
    FAULT_ZERO,
    FAULT_ALLOCATE,
    FAULT_SEEK,
    FAULT_STAT,
    FAULT_NEXT,
    FAULT_EACH,
    FAULT_NOTE,
    FAULT_MARK,
    FAULT_TELL,
    FAULT_RESIZE_TILE,
    FAULT_RESIZE_BEGIN,
    FAULT_FLUSH_START,
    FAULT_FLUSH,
    FAULT_FLUSH_ENTRIES,
    FAULT_SPACE,
    FAULT_MTIME,
    FAULT_NOPS
};

/* The names of the above as a rule file writes them: "read", "flush-start", ... */
extern const char *const fault_op_names[FAULT_NOPS];

/* Owns below from here on, also when it fails. */
MUST_CHECK int fault_open(struct store *below, struct store **out);

/*
 * From now on the operation fails with err (> 0), after letting skip calls
 * through, count times (UINT64_MAX: for ever). err 0 lifts the rule.
 */
void fault_set(struct store *fault, enum fault_op op, int err, uint64_t skip, uint64_t count);

/* How often the operation was called, and how often it was failed, since open. */
void fault_counts(struct store *fault, enum fault_op op, uint64_t *calls, uint64_t *failed);

#endif
