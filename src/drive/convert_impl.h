/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What convert*.c share, and nobody else includes: the two ends of a conversion, as the copy loop
 * sees them.
 */
#ifndef DRIVE_CONVERT_IMPL_H
#define DRIVE_CONVERT_IMPL_H

#include <limits.h>

#include "drive/convert.h"
#include "format/conversion.h"
#include "store/store.h"

/*
 * 0 or -errno; what fails is logged, but for want of space (io_is_full()). Ranges lie within the
 * image. The operations of a source are called by one thread at a time, those of a target by any
 * number.
 */
struct convert_ops {
    /* Of a source: the first data at or after off. -ENXIO: there is none. */
    int (*extent)(struct convert_end *end, uint64_t off, uint64_t *data, uint64_t *stop);
    /* Of a source, and of a target that is to be checked. */
    int (*read)(struct convert_end *end, uint64_t off, void *buf, size_t len);
    /* As image_clone_lend(). NULL: there is no file. */
    int (*lend_file)(struct convert_end *end, uint64_t off, uint64_t len, store_use_file *use,
                     void *arg);
    /* Of a source that has been read: 0; -ESTALE, logged, when it changed meanwhile. */
    int (*same)(struct convert_end *end);

    /* Of a target. */
    int (*write)(struct convert_end *end, uint64_t off, const void *buf, size_t len);
    /* As image_clone(); NULL: never. */
    int (*clone)(struct convert_end *end, uint64_t off, uint64_t len, int fd, uint64_t fd_off);
    /* NULL: what is not written reads as zeros. Else all is written, or this, in ascending order.
     */
    int (*zero)(struct convert_end *end, uint64_t off, uint64_t len);
    /* What was written is on disk. NULL: nobody can know; then nothing is checked either. */
    int (*sync)(struct convert_end *end);
    /* It is whole, and gets its name. *tiles: how many it has. */
    int (*finish)(struct convert_end *end, uint32_t *tiles);

    int (*close)(struct convert_end *end);
};

/* Where the mark of an unfinished target lies. */
struct convert_mark {
    int dirfd; /* -1: there is none, it cannot be gone on with */
    char name[NAME_MAX + 1];
};

/* The first member of every implementation. Fixed once it is open. */
struct convert_end {
    const struct convert_ops *ops;
    char name[PATH_MAX]; /* for messages */
    uint64_t size;       /* of the image */
    uint64_t start;      /* of a target: what lies before it is there */
    /* Of a source: what it is, done 0. Of a target: what its mark says. */
    struct conversion conversion;
    struct convert_mark mark; /* of a target */
};

/* NULL: it is none. */
const struct archive *convert_archive(const struct convert_end *end);

/* 0 or -errno, logged; -ENOENT, not logged: there is none. */
MUST_CHECK int convert_mark_read(const struct convert_end *target, struct conversion *conversion);
/* There is none yet. Durable then. -errno, logged unless io_is_full(). */
MUST_CHECK int convert_mark_make(const struct convert_end *target);
/* There is one. The same. */
MUST_CHECK int convert_mark_update(const struct convert_end *target);
/* The same. */
MUST_CHECK int convert_mark_remove(const struct convert_end *target);
/*
 * Whether what was begun from the source of the mark goes on with ours: then target->start says
 * where. Else -errno, logged.
 */
MUST_CHECK int convert_mark_resume(struct convert_end *target, const struct conversion *mark,
                                   const struct convert_end *source);

/* The copy loop, convert_copy.c. As convert_run(). */
MUST_CHECK int convert_copy(struct convert_end *source, struct convert_end *target,
                            const struct convert_config *config, struct convert_result *result);

#endif
