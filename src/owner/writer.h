/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that a record names: this one, and whether another one is still there.
 */
#ifndef OWNER_WRITER_H
#define OWNER_WRITER_H

#include <stdbool.h>

#include "format/record.h"

/* What the lock says of who writes. */
enum owner_state {
    OWNER_NONE,      /* nobody writes */
    OWNER_ALIVE,     /* a process of this machine does */
    OWNER_DEAD,      /* one of this machine did, and certainly has died */
    OWNER_ELSEWHERE, /* one that cannot be seen from here does, or died: nobody here can tell */
    OWNER_DAMAGED,   /* what is there is no record */
};

/* The record of the calling process. */
void writer_self(struct record *me, const char *mountpoint);

/* What a record of this process would say for machine: does not change from boot to boot. */
void writer_machine(char machine[RECORD_ID]);

/*
 * What has become of the writer that a record names, which was found in an archive. local: on a
 * file system of this kernel alone; exclusive: its flock is ours, too. ALIVE, DEAD
 * or ELSEWHERE: the last unless it is certain.
 */
enum owner_state writer_state(const struct record *record, bool local, bool exclusive);

/* Why that was ELSEWHERE. */
enum writer_doubt {
    WRITER_OTHER_MACHINE,
    WRITER_OTHER_BOOT,  /* of this machine, or of one that has its machine-id */
    WRITER_OTHER_SPACE, /* of this boot: a container's, say */
};
enum writer_doubt writer_doubt(const struct record *record);

#endif
