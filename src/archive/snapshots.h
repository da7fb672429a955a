/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snapshots of an archive: .mosaicfs/snapshots/NAME/, each an archive of its own whose
 * tiles are further names of the files that were the tiles at one instant. A file that a
 * snapshot has a name of is frozen. There is no record of what is shared: the names are.
 *
 * A name that begins with a dot is none of a snapshot: FORMAT_SNAPSHOT_NEW is one that is being
 * made, and freezes nothing. FORMAT_SNAPSHOT_GONE is one that is being deleted; what it has left
 * is frozen, for a power cut may bring back the name it had. What a crash has left of both goes
 * with the next snapshot that is made or deleted.
 */
#ifndef ARCHIVE_SNAPSHOTS_H
#define ARCHIVE_SNAPSHOTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "archive/archive.h"
#include "archive/folders.h"
#include "base/compiler.h"
#include "format/format.h"

/* Up to FORMAT_SNAPSHOT_NAME bytes, none of them a slash or a control character. */
bool snapshots_is_name(const char *name);

/* Whether the archive, which has its path, lies where a snapshot of another does. */
bool snapshots_is_one(const struct archive *archive);

/* Opens the directory of all snapshots. 0; -ENOENT: there are none; else -errno, not logged. */
MUST_CHECK int snapshots_open(int archive_dirfd, int *fd);

/* Calls met with the name of each snapshot, in no order; anything but 0 ends the walk. */
typedef int snapshots_met(void *arg, const char *name);
MUST_CHECK int snapshots_each(int fd, snapshots_met *met, void *arg);

enum snapshots_hold {
    SNAPSHOTS_FREE,  /* nobody's but the drive's */
    SNAPSHOTS_HELD,  /* of a snapshot, too */
    SNAPSHOTS_OTHER, /* it has a name that is none of ours */
};

/*
 * Whose the file is that is open as fd, and which is the tile at path below the archive.
 * with_new: the snapshot that is being made holds what it names. 0 or -errno, not logged. Any
 * thread. Where it has no other name, one fstat(2).
 */
MUST_CHECK int snapshots_hold(int archive_dirfd, const char *path, int fd, bool with_new,
                              enum snapshots_hold *hold);

/* The same, of a file that was stat'ed: whether a snapshot holds it, or is being made or deleted.
 */
bool snapshots_name(int archive_dirfd, const char *path, const struct stat *file);

/*
 * From an archive to a snapshot that is being made of it, or back: what a tile is there, it is
 * here afterwards, the same file or absent. The folder of the last tile stays open, so many tiles
 * come in ascending order. verb: for messages.
 */
struct snapshots_way {
    const struct folders *from;
    struct folders *to;
    const char *verb;
    uint32_t folder;
    int from_fd, to_fd; /* -1: there is no such folder */
};

void snapshots_way_init(struct snapshots_way *way, const struct folders *from, struct folders *to,
                        const char *verb);
void snapshots_way_release(struct snapshots_way *way);

/*
 * Nobody makes, removes or replaces the tile on either side meanwhile, nor the last folder. After
 * a crash it is here what it is there, or what it was before. 0 or -errno, logged.
 */
MUST_CHECK int snapshots_carry(struct snapshots_way *way, uint32_t tile);

/* Removes directory name, which is below fd, and what is in it. 0 or -errno, not logged. */
MUST_CHECK int snapshots_remove(int fd, const char *name);

#endif
