/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a disk may hold after the power was cut: the model.
 *
 * A file system promises what POSIX promises and no more. After the last sync
 * of a file each sector of 512 bytes may be on disk as any later change left
 * it, or as the sync found it, each sector for itself; the length of the file
 * likewise. After the last sync of a directory each of its names likewise; a
 * rename takes effect for both of its names or for none, and from one directory to
 * another it is durable when either has been synced. Syncing a file does
 * not make its name durable. Nothing that was synced is ever lost. When a sync
 * fails, Linux takes what it should have written for written: programs go on to
 * see it, and it never reaches the disk unless it is written again.
 *
 * So a state is told by saying of each change since the last sync, for each
 * sector, whether the disk caught up with the file right after it: `struct
 * disk_choice`. Changes that came before and were not caught are then there,
 * too, in that sector: a sector never holds a mixture that no program has seen.
 */
#ifndef TEST_CRASH_DISK_H
#define TEST_CRASH_DISK_H

#include "trace.h"

#define DISK_SECTOR 512

enum disk_kind {
    DISK_LOST,  /* nothing since the last sync */
    DISK_KEPT,  /* everything */
    DISK_NAMES, /* names, and no bytes */
    DISK_BYTES, /* bytes, and no names */
    DISK_ONLY,  /* event number arg, and nothing else */
    DISK_BUT,   /* everything but event number arg */
    DISK_SOME,  /* each event by chance, arg is the seed */
    DISK_TORN,  /* each sector of each event by chance */
    DISK_KINDS
};

extern const char *const disk_kinds[DISK_KINDS];

struct disk_choice {
    enum disk_kind kind;
    uint64_t arg;
};

struct disk;

/* A disk to which the trace is done, event by event. */
struct disk *disk_new(const struct trace *trace);
void disk_free(struct disk *disk);

/* The next event happens. What is not synced is pending. */
void disk_advance(struct disk *disk);

/* How many events have happened. */
size_t disk_position(const struct disk *disk);

/* The numbers of the events that are pending, oldest first. */
const size_t *disk_pending(const struct disk *disk, size_t *n);

/* The power is cut now. Returns what is left: all of it durable. Free it. */
struct disk *disk_cut(const struct disk *disk, const struct disk_choice *choice);

/* What a program sees that starts now, without a power cut. Free it. */
struct disk *disk_seen(const struct disk *disk);

/* How much of a pending event a choice keeps: all, none, or a part of its sectors. */
enum disk_share { DISK_NONE, DISK_PART, DISK_ALL };
enum disk_share disk_share(const struct disk *disk, size_t event, const struct disk_choice *choice);

/* Of the names and bytes: the same for two disks that hold the same. */
uint64_t disk_hash(const struct disk *disk);

/* Makes real files of what is durable, in the empty directory path. */
void disk_write(const struct disk *disk, const char *path);

#endif
