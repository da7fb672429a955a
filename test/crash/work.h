/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A workload: the program's own code writes, zeroes, compacts, flushes, marks, closes and
 * opens an archive, makes and deletes snapshots and goes back to them, and manifests, by chance
 * from a seed, while its changes are recorded; and what each sector of the image held after each
 * operation. It may be killed in the middle, or lose power, and go on with what is left.
 *
 * Few tiles are in use, chosen so that ten of them share a set of the
 * descriptor cache, which has eight places, and two folders are needed.
 */
#ifndef TEST_CRASH_WORK_H
#define TEST_CRASH_WORK_H

#include <limits.h>

#include "drive/drive.h"
#include "format/index.h"
#include "trace.h"

#define WORK_SECTOR 512
#define WORK_TILE 8192 /* two blocks: a short tile may lack one */
#define WORK_SECTORS (WORK_TILE / WORK_SECTOR)
#define WORK_SLOTS 16 /* tiles in use, the last one only after the image has grown */
#define WORK_MAX_OPEN 64
#define WORK_PLANTED 700 /* the tile that tells the layout original-jpeg at first */

enum work_kind {
    WORK_NOTHING, /* an operation that a power cut undid */
    WORK_CREATE,
    WORK_MAC, /* uses the archive */
    WORK_OPEN,
    WORK_READ,
    WORK_WRITE,
    WORK_ZERO,
    WORK_ALLOCATE,
    WORK_FLUSH,
    WORK_MARK,
    WORK_CLOSE,
    WORK_SHUFFLE, /* by hand, see shuffle.h */
    WORK_REINDEX,
    WORK_SNAPSHOT, /* see snap.h */
    WORK_UNSNAPSHOT,
    WORK_COMPACT,
    WORK_LENGTHEN, /* by hand: the last tile's file gets bytes behind the end of the image */
    WORK_RESIZE,   /* off: the size that the image gets */
    WORK_ROLLBACK, /* see rollback.h */
    WORK_MANIFEST,
};

struct work_op {
    enum work_kind kind;
    uint64_t off, len;
    size_t begin, end; /* event numbers */
    bool ended;
    char epoch[STORE_EPOCH];
    uint64_t *marked; /* hashes of all sectors: at the mark, at the snapshot, before the rollback */
    struct work_shuffle *shuffle;
};

struct work_version {
    unsigned op;
    unsigned char bytes[WORK_SECTOR];
};

struct work_sector {
    unsigned char now[WORK_SECTOR];
    struct work_version *versions; /* the first is what the image begins with */
    size_t n;
};

struct work {
    uint64_t seed, random;
    const struct layout *layout;
    bool snapshots;      /* are made: not in the first of each layout, nor in every third */
    bool whole;          /* only whole sectors are written and zeroed */
    struct geometry geo; /* as it is now; it grows once */
    uint64_t size;       /* with which it began */
    char base[PATH_MAX / 2], path[PATH_MAX]; /* the archive lies in base */
    bool is_open;
    struct drive drive;
    bool judges_early; /* a seeded bug: as a mount did once, see bugs.c */
    struct work_sector sectors[WORK_SLOTS * WORK_SECTORS];
    struct work_op *ops;
    unsigned nops;
    struct work_op *lost; /* marks whose words are out, and that never were: see interrupt() */
    unsigned nlost;
    struct trace trace;
    size_t first; /* event from which on the power may be cut */
};

/* Which layout the archive of a seed has. */
const struct layout *work_layout(uint64_t seed);

/* Runs a workload of about nops operations. */
struct work *work_run(uint64_t seed, unsigned nops);
void work_free(struct work *work);

/* How many bytes stand before those of a tile in its file. */
uint64_t work_head(const struct work *work);

/* Tile number of a slot, and how many sectors it has, now or in an image of geo; 0: it is none's.
 */
uint32_t work_tile(unsigned slot);
unsigned work_nsectors(const struct work *work, unsigned slot);
unsigned work_nsectors_of(const struct geometry *geo, unsigned slot);
/* By chance a slot whose tile the image has. */
unsigned work_some_slot(const struct geometry *geo, uint64_t *random);

/* Whether the image may have that size when event q is about to happen, or after operation op. */
bool work_may_have(const struct work *work, uint64_t size, size_t q);
uint64_t work_size_after(const struct work *work, unsigned op);
/* Index into sectors of the first one of the slot. */
unsigned work_first(unsigned slot);
uint64_t work_hash(const void *sector);

/* For the index of the archive. */
void work_index(const struct work *work, struct index *index);

/* Opens the archive at path for writing, also after a crash. 0 or -errno. */
int work_open_drive(const struct work *work, const char *path, enum drive_reach reach,
                    struct drive *drive);

/* Whether operation op had begun, or had returned, when event q was about to happen. */
bool work_begun(const struct work *work, unsigned op, size_t q);
bool work_returned(const struct work *work, unsigned op, size_t q);

/* Says what operation op is. */
const char *work_text(const struct work *work, unsigned op, char *text, size_t cap);

/* Ends the test unless ok. work may be NULL. */
void work_must(bool ok, const struct work *work, const char *what);

#endif
