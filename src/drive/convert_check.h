/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Brings a batch of what was written to disk, and compares it with what was read from the source.
 */
#ifndef DRIVE_CONVERT_CHECK_H
#define DRIVE_CONVERT_CHECK_H

#include <time.h>

#include "base/hash.h"
#include "drive/convert_impl.h"

#define CONVERT_BLOCK (UINT64_C(1) << 20) /* bytes that have a digest */
#define CONVERT_RECORDS 128               /* of them in a batch, at most */
#define CONVERT_CLONES 4096               /* ranges that a batch has taken over, at most */

/* Bytes that were copied. */
struct convert_written {
    uint64_t off, len;
    unsigned char digest[HASH_KEYED];
};

/* What is settled together. */
struct convert_batch {
    uint64_t end; /* all before it was written */
    size_t n, clones;
    time_t began;
    struct convert_written records[CONVERT_RECORDS];
};

/*
 * The batch is on disk, and holds what its digests, under the key, say; then the mark of the target
 * tells so. bytes is room for a block. 0 or -errno, logged unless io_is_full().
 */
MUST_CHECK int convert_check_settle(struct convert_end *target, const struct convert_batch *batch,
                                    const unsigned char key[HASH_KEY], char *bytes);

/* Does so with each file of the range, as far as there are any. What fails is only slower. */
void convert_check_advise(struct convert_end *end, uint64_t off, uint64_t len, store_use_file *how);

/* For that: the range leaves the page cache, as far as it is on disk. */
MUST_CHECK int convert_check_forget(void *arg, int fd, uint64_t off, uint64_t len);

#endif
