/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What info tells, gathered by a process that can be given up: the file system
 * that an archive is on may stand still, and then what is known is told all the
 * same.
 */
#ifndef MOUNT_INFO_H
#define MOUNT_INFO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "archive/archive.h"
#include "base/compiler.h"
#include "cover/covers.h"
#include "mount/served.h"
#include "owner/owner.h"

#define INFO_TIME 32

struct info_usage {
    uint32_t tiles;
    uint64_t bytes;  /* lengths of the tile files */
    uint64_t blocks; /* of 512 bytes */
    uint32_t failed; /* that could not be looked at */
    bool complete;   /* all were counted that could be, and none failed */
};

struct info_snapshots {
    uint64_t n;
    uint64_t blocks; /* of 512 bytes, that they hold and the archive no longer has */
    bool complete;   /* all of them were looked at */
};

struct info_use {
    const char *state; /* NULL: not in use */
    char mountpoint[PATH_MAX];
    const char *host;
    bool read_only;
    pid_t pid;             /* 0: not known */
    char since[INFO_TIME]; /* RFC 3339, or "" */
    unsigned waiting;      /* requests that wait for space */
    char waiting_since[INFO_TIME];
    uint64_t free; /* bytes on the file system of the archive */
};

struct info {
    const char *operand;
    struct archive archive; /* path and index; layout NULL: nothing is known of it */
    bool opened, used;      /* archive and use are known */
    unsigned beat;          /* counts on as long as it gets on */
    int rc;                 /* why nothing can be told, told, or 0 */
    struct info_usage usage;
    struct info_snapshots snapshots;
    struct served served;
    struct record writer; /* what use points into */
    struct info_use use;
    struct covers_source covers; /* path "": not known */
    int covers_err;              /* why they cannot be looked for there, a positive errno, or 0 */
    bool taken;                  /* by another program, such as a Mac; no mount of ours */
};

/* NULL: there is no memory, told. */
struct info *info_gather(const char *operand);
void info_free(struct info *info);

/* False when something of it could not be told, which was said. */
bool info_complete(const struct info *info);

#endif
