/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Control calls: ioctl(2) on the mounted file. Who may open the file may ask.
 * Layouts are fixed for ever; a new need gets a new number.
 */
#ifndef FRONT_CONTROL_H
#define FRONT_CONTROL_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/compiler.h"

#define CONTROL_READ_ONLY 1u /* mounted read-only */
#define CONTROL_FAILED 2u    /* a flush failed: takes no more writes until mounted anew */
#define CONTROL_COMPLETE 4u  /* tiles and blocks count all there is */

struct control_status {
    uint64_t size;      /* of the image in bytes */
    uint64_t tile_size; /* bytes */
    uint64_t blocks;    /* of 512 bytes, occupied by tiles */
    uint32_t ntiles;
    uint32_t tiles; /* present */
    uint32_t flags; /* CONTROL_* */
    int32_t pid;    /* of the daemon */
};

static_assert(sizeof(struct control_status) == 40, "fixed for ever");

/* At once; CONTROL_COMPLETE tells whether all tiles are counted yet. */
#define CONTROL_STATUS _IOR('M', 1, struct control_status)

/* Begins a new epoch of the list of changed tiles. For handles that may write. */
struct control_mark {
    char epoch[32]; /* its word, with a NUL */
};

#define CONTROL_MARK _IOR('M', 2, struct control_mark)

/* Requests that found no space and wait for it. */
struct control_waiting {
    int64_t since;  /* seconds of CLOCK_REALTIME; 0 when none waits */
    uint64_t bytes; /* of memory they hold */
    uint32_t requests;
    uint32_t reserved; /* 0 */
};

static_assert(sizeof(struct control_waiting) == 24, "fixed for ever");

#define CONTROL_WAITING _IOR('M', 3, struct control_waiting)

/*
 * Which directory is served: its device and inode, which no rename changes. A
 * server that waits for a disk answers this, too.
 */
struct control_archive {
    uint64_t dev; /* st_dev */
    uint64_t ino;
    int32_t pid;       /* of the daemon */
    uint32_t reserved; /* 0 */
    /* where it is now, as the daemon sees it; "" when that cannot be told; with a NUL */
    char path[4096];
};

static_assert(sizeof(struct control_archive) == 4120, "fixed for ever");

#define CONTROL_ARCHIVE _IOR('M', 5, struct control_archive)

/*
 * Tiles that other programs have replaced or removed since they were in use. Looks
 * for up to some seconds at all of them.
 */
struct control_replaced {
    uint32_t tiles;
    uint32_t reserved; /* 0 */
    char first[64];    /* the name of one, or ""; with a NUL */
};

static_assert(sizeof(struct control_replaced) == 72, "fixed for ever");

#define CONTROL_REPLACED _IOR('M', 7, struct control_replaced)

/*
 * The two halves of a snapshot, whose directory whoever asks has made and fills in between with a
 * second name for each tile; see image_snapshot_begin() and image_snapshot_take(). For handles
 * that may write.
 */
struct control_snapshot {
    uint64_t stalled; /* nanoseconds for which requests were stopped */
};

static_assert(sizeof(struct control_snapshot) == 8, "fixed for ever");

#define CONTROL_SNAPSHOT_BEGIN _IO('M', 8)
#define CONTROL_SNAPSHOT_TAKE _IOR('M', 9, struct control_snapshot)

/* Around the deleting of a snapshot: that tiles lose a name is no change of them. As above. */
#define CONTROL_LINKS_BEGIN _IO('M', 10)
#define CONTROL_LINKS_END _IO('M', 11)

/*
 * A step of compacting, see image_compact(): whoever asks goes on with what is told until all is
 * done, and may stop at any step. For handles that may write.
 */
#define CONTROL_COMPACT_DRY 1u     /* nothing is changed */
#define CONTROL_COMPACT_REMOVED 2u /* the tile is gone */
#define CONTROL_COMPACT_STAYS 4u   /* it could not be removed if it were all zeros */
#define CONTROL_COMPACT_NO_TILE UINT32_MAX

struct control_compact {
    uint32_t flags; /* asked: CONTROL_COMPACT_DRY or 0; told: the others */
    uint32_t tile;  /* asked and told: where to go on */
    uint64_t left;  /* likewise */
    /* Told. */
    uint32_t met;  /* the tile that was looked at, or CONTROL_COMPACT_NO_TILE */
    int32_t error; /* 0 or -errno */
    uint64_t block, stored, data;
    uint64_t holes, tails, small, fixed, held, freed;
    uint64_t reserved[4]; /* 0 */
};

static_assert(sizeof(struct control_compact) == 128, "fixed for ever");

#define CONTROL_COMPACT _IOWR('M', 16, struct control_compact)

/*
 * The image grows to that size, see image_resize(): when it returns 0, the mounted file has it for
 * all. -EINVAL: it is larger already; -ERANGE: it cannot have that size. For handles that may
 * write.
 */
struct control_resize {
    uint64_t size; /* bytes */
};

static_assert(sizeof(struct control_resize) == 8, "fixed for ever");

#define CONTROL_RESIZE _IOW('M', 12, struct control_resize)

/* --- the server's side -------------------------------------------------------- */

struct image;
struct parking;

/* What answers: a front end, whatever the way is by which calls reach it. */
struct control_server {
    struct image *img;
    struct parking *parking; /* writes that wait for space */
    int archive_fd;          /* the archive's directory; -1: none */
    bool read_only;
};

#define CONTROL_MOST sizeof(struct control_archive) /* bytes of an answer, at most */

/*
 * Answers call cmd of a handle that may write or not. in and out are as long as the
 * call's number says, else it is none of ours. 0; -ENOTTY: no such call; -EBADF: it is
 * for those who may write; else the call's -errno. Any thread.
 */
MUST_CHECK int control_answer(const struct control_server *server, bool writer, unsigned cmd,
                              const void *in, size_t in_len, void *out, size_t out_len);

#endif
