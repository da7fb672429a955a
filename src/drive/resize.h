/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive gets another size: what it can have, who may do it, and in which order. See resize.c.
 */
#ifndef DRIVE_RESIZE_H
#define DRIVE_RESIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "base/compiler.h"

/* What is wanted. */
struct resize_wish {
    uint64_t amount; /* bytes, or tiles */
    bool tiles;
    bool more; /* than there are now */
};

struct resize_done {
    struct geometry before, after; /* the same: nothing was to be done */
};

/*
 * Who writes to an archive that is in use. grow: 0, and it has that size for all; or -errno,
 * logged.
 */
struct resize_writer {
    int (*grow)(void *arg, uint64_t size);
    void *arg;
};

/*
 * Resizes an archive whose index has been read. writer NULL: nobody has it in use, and it is opened
 * for that time. 0 or -errno, logged; then it has the size that it had, except that after an
 * error of the disk it may have either.
 */
MUST_CHECK int resize_archive(const struct archive *archive, const struct resize_wish *wish,
                              const struct resize_writer *writer, struct resize_done *done);

#endif
