/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The folders of an archive that hold its tiles: opening, listing, and making
 * their entries durable. No path is resolved through a symbolic link.
 */
#ifndef ARCHIVE_FOLDERS_H
#define ARCHIVE_FOLDERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/compiler.h"
#include "format/layout.h"

struct folders {
    /* fixed after init */
    int dirfd; /* the archive's, not ours */
    const struct layout *layout;
    /* any thread; set by folders_grow() */
    _Atomic uint32_t ntiles;
    _Atomic uint32_t n;
    /* any thread: entries that are not yet durable */
    atomic_bool root_dirty;
    atomic_bool *dirty;
    _Atomic uint32_t *listed; /* names in each folder when it was last listed */
    atomic_bool *met;         /* the folder's own entry has gone through root_dirty */
};

/* 0 or -ENOMEM. */
MUST_CHECK int folders_init(struct folders *folders, int dirfd, const struct layout *layout,
                            uint32_t ntiles);
/* There are so many tiles now, at least as many as before, and at most what the layout can have. */
void folders_grow(struct folders *folders, uint32_t ntiles);
/* Also of a zeroed struct. */
void folders_release(struct folders *folders);

/*
 * Opens the folder that holds tile. path is room for the tile's path, *name its
 * last part. 0 or -errno, not logged; -ENOENT when there is no such folder.
 */
MUST_CHECK int folders_open(const struct folders *folders, uint32_t tile, char path[LAYOUT_PATH],
                            const char **name, int *fd);

/* As folders_open(), and makes the folder if need be. */
MUST_CHECK int folders_make(struct folders *folders, uint32_t tile, char path[LAYOUT_PATH],
                            const char **name, int *fd);

/* An entry of tile's folder was added or removed. */
void folders_touch(struct folders *folders, uint32_t tile);

/* The entries touched before the call are durable after it. 0 or -errno, logged. */
MUST_CHECK int folders_sync(struct folders *folders);

/*
 * 0 and path: another program keeps the tile under that name, which the layout cannot
 * read. -ENOENT: no; else -errno, not logged.
 */
MUST_CHECK int folders_rival(const struct folders *folders, uint32_t tile, char path[LAYOUT_PATH]);

/*
 * *found is the lowest tile >= from and < end that has a file, be it under a name that the
 * layout cannot read: who then asks for the tile is told so. -ENOENT: none. Else -errno,
 * logged. Looks at no folder behind end.
 */
MUST_CHECK int folders_next(const struct folders *folders, uint32_t from, uint32_t end,
                            uint32_t *found);

/* fd: the tile's folder. Anything but 0 ends the walk. */
typedef int folders_met(void *arg, uint32_t tile, int fd);

/*
 * Calls met for all such tiles, in ascending order, each once, and lists each folder once.
 * Returns what met returned if that was not 0, else the first error, logged: the other folders
 * are walked all the same.
 */
MUST_CHECK int folders_each(const struct folders *folders, uint32_t from, uint32_t end,
                            folders_met *met, void *arg);

/*
 * Which folders there are, by one listing of the archive: *n numbers in no order, for which found
 * has room, folders->n. 0 or -errno, not logged.
 */
MUST_CHECK int folders_present(const struct folders *folders, uint32_t *found, uint32_t *n);

/* When a tile was last added or removed, or the index written. */
void folders_mtime(const struct folders *folders, struct timespec *when);

#endif
