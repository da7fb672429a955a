/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Converts an image: from an archive of any layout, a raw file, a block device or a stream to a
 * new archive or to such raw bytes. What is done, in which order, and what a crash leaves stands
 * in convert.c.
 *
 * One thread calls this; the process has no other.
 */
#ifndef DRIVE_CONVERT_H
#define DRIVE_CONVERT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "cover/covers.h"
#include "format/index.h"

/* A source, or a target. */
struct convert_end;

/* --- sources: 0 or -errno, logged; close with convert_close() ----------------------------------
 */

/* path: an archive, or a snapshot of one. -EBUSY when somebody writes to it. */
MUST_CHECK int convert_archive_source(const char *path, struct convert_end **out);

/* path: a file or a block device. fd: what is open already and is named so, or -1. */
MUST_CHECK int convert_raw_source(const char *path, int fd, struct convert_end **out);

/* Standard input, which has total bytes: one that cannot be read twice. */
MUST_CHECK int convert_stream_source(uint64_t total, struct convert_end **out);

/* Whether standard input is a file or a device, to be read from its beginning. */
bool convert_stream_is_raw(void);

/* Bytes of the image: those of the source up to a multiple of FORMAT_SECTOR. */
uint64_t convert_size(const struct convert_end *source);

/* What an archive is; NULL: it is none. */
const struct index *convert_index(const struct convert_end *source);

/*
 * Before both are opened: source and target are not the same, and none lies in the other. NULL:
 * standard input or output. 0 or -EINVAL, logged.
 */
MUST_CHECK int convert_apart(const char *source, const char *target);

/* --- targets: the same --------------------------------------------------------------------------
 */

/*
 * path: a new archive, or one that the same conversion has begun. index: what it is to be, its
 * size that of the source. covers: of layout jpeg, else NULL. max_open as in struct drive_config.
 */
MUST_CHECK int convert_archive_target(const char *path, const struct index *index,
                                      const struct covers_source *covers, unsigned max_open,
                                      const struct convert_end *source, struct convert_end **out);

/* path: a new file, or one that the same conversion has begun. */
MUST_CHECK int convert_raw_file(const char *path, const struct convert_end *source,
                                struct convert_end **out);

/* path: a block device that nobody uses. */
MUST_CHECK int convert_raw_device(const char *path, const struct convert_end *source,
                                  struct convert_end **out);

/* Standard output. */
MUST_CHECK int convert_stream_target(const struct convert_end *source, struct convert_end **out);

/* --- all ----------------------------------------------------------------------------------------
 */

struct convert_config {
    /* Is told how many bytes of the image are done. */
    void (*progress)(void *arg, uint64_t done, uint64_t size);
    void *arg;
    const atomic_bool *stop; /* true: end soon, with -EINTR; what was done is kept. Or NULL */
};

struct convert_result {
    uint64_t resumed; /* bytes of the image that were there already */
    uint64_t copied;  /* bytes of data that were read, written, and compared */
    uint64_t cloned;  /* bytes that the two share */
    uint32_t tiles;   /* that an archive has then */
};

/*
 * Does it; the target is whole when this returns 0. Else -errno, logged unless it is -EINTR: what
 * was done so far is kept where convert_resumes().
 */
MUST_CHECK int convert_run(struct convert_end *source, struct convert_end *target,
                           const struct convert_config *config, struct convert_result *result);

/* Whether the same conversion, begun again, goes on where it was interrupted. */
bool convert_resumes(const struct convert_end *source, const struct convert_end *target);

/* 0 or -errno, logged. NULL is fine. */
int convert_close(struct convert_end *end);

#endif
