/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The record in .mosaicfs/lock that names the writer of an archive: parse and
 * print. Pure: bytes in, struct out. What the record means stands in
 * owner/owner.c.
 */
#ifndef FORMAT_RECORD_H
#define FORMAT_RECORD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define RECORD_MAX 20480 /* bytes of a record, at most */
#define RECORD_HOST 65
#define RECORD_ID 40

struct record {
    char host[RECORD_HOST];  /* for people */
    char machine[RECORD_ID]; /* machine-id(5), or the host name where there is none */
    char boot[RECORD_ID];    /* random/boot_id of proc(5) */
    int32_t pid;
    uint64_t start;             /* field 22 of /proc/PID/stat: guards against a reused pid */
    int64_t since;              /* seconds since the epoch, not before it */
    char namespaces[RECORD_ID]; /* of PIDs and of time, as proc(5) numbers them; "": not told */
    bool local;                 /* its flock keeps away all who use the archive */
    bool made_mountpoint;       /* the mount point did not exist and goes at unmount */
    char mountpoint[PATH_MAX];
};

/* The text of a record, any bytes in its strings; there is always room. Returns its length. */
size_t record_print(const struct record *record, char text[RECORD_MAX]);

/*
 * Parses len bytes (not NUL-terminated, hostile). 0, or -EBADMSG when they are
 * not a whole record that names a machine and a process there.
 */
MUST_CHECK int record_parse(const char *text, size_t len, struct record *record);

#endif
