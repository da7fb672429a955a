/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines of proc(5): parse. Pure: text in, struct out. The kernel writes them,
 * but the names in them are chosen by whoever made the process or the mount.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct proc_stat {
    char state;     /* 'Z', 'X': it has ended */
    uint64_t start; /* clock ticks after boot */
};

/* The text of /proc/PID/stat. False when it is no such text. */
MUST_CHECK bool proc_parse_stat(const char *text, struct proc_stat *stat);

struct proc_flock {
    int32_t pid;
    bool exclusive;
    unsigned maj, min; /* device of the file */
    uint64_t ino;
};

/* A line of /proc/locks. False unless it tells of an flock(2) that is held. */
MUST_CHECK bool proc_parse_flock(const char *line, struct proc_flock *lock);

struct proc_mount {
    int32_t id, parent;
    unsigned maj, min; /* st_dev of what is on it */
    bool read_only;    /* the mount or the file system */
    /* Peer groups: what is mounted or unmounted below one mount of a group is so below all. */
    uint32_t shared;  /* the group that it is in, 0: none */
    uint32_t master;  /* the group that it follows, 0: none */
    const char *root; /* what of the file system is seen at mountpoint */
    const char *mountpoint;
    const char *type;
    const char *source; /* "" when there is none */
};

/*
 * A line of /proc/PID/mountinfo, which is cut into the words that mount then
 * points to. False when it is no such line.
 */
MUST_CHECK bool proc_parse_mount(char *line, struct proc_mount *mount);

#endif
