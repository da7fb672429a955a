/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Verifying an archive by its manifest: which tiles hold other bytes than it says, to the MiB, and
 * which are missing or too many. One that differs because it was written to through the drive after
 * the manifest is only counted.
 *
 * Needs no lock: the archive may be in use.
 */
#ifndef DRIVE_VERIFYING_H
#define DRIVE_VERIFYING_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "format/journal.h"
#include "format/manifest.h"

enum verify_kind {
    VERIFY_DAMAGED,    /* some of its bytes are others */
    VERIFY_LENGTH,     /* its file has another length; ranges tell of the bytes that it has */
    VERIFY_UNREADABLE, /* err, for some of its bytes or all */
    VERIFY_MISSING,
    VERIFY_ADDED, /* the manifest has no such tile */
};

/* Bytes of a tile's file. */
struct verify_range {
    uint64_t off, len;
};

struct verify_finding {
    enum verify_kind kind;
    uint32_t tile;
    int err;                     /* a positive errno, or 0 */
    uint64_t length, want;       /* of the file, with VERIFY_LENGTH */
    struct verify_range *ranges; /* ascending, apart */
    size_t nranges;
};

struct verify_request {
    uint32_t parts;        /* of a million MiB, how many are read, by lot: 1000000: all */
    const uint32_t *tiles; /* these alone, or NULL */
    size_t ntiles;
    const struct journal_word *since; /* of those that changed after this epoch, or NULL */
};

struct verify_result {
    struct manifest manifest;
    uint32_t verified;               /* tiles */
    uint64_t bytes;                  /* read, or known to be zeros */
    uint32_t changed;                /* tiles that differ, and were written to after the manifest */
    bool blind;                      /* the journal does not tell which those are */
    bool taken_over;                 /* it does so only since the archive came here */
    struct verify_finding *findings; /* by tile */
    size_t n;
};

/* Is told how many of so many bytes have been read; any thread. */
typedef void verify_progress(void *arg, uint64_t done, uint64_t total);

/*
 * The archive's index has been read. 0, also when there are findings; or -errno, logged: -ENOENT
 * when there is no manifest, -EBADMSG when it is damaged, -ESTALE when it is of another archive,
 * -EINVAL for a tile that the image has not. Release in any case.
 */
MUST_CHECK int verifying_run(const struct archive *archive, const struct verify_request *request,
                             verify_progress *progress, void *arg, struct verify_result *result);

void verifying_release(struct verify_result *result);

#endif
