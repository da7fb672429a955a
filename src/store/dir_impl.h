/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What dir*.c share, and nobody else includes: the store, and its tile files as
 * they are found, opened, synced and made.
 */
#ifndef STORE_DIR_IMPL_H
#define STORE_DIR_IMPL_H

#include <stdbool.h>
#include <stdint.h>

#include "archive/archive.h"
#include "archive/folders.h"
#include "base/compiler.h"
#include "journal/changes.h"
#include "store/bandmap.h"
#include "store/fdcache.h"
#include "store/store.h"

#define DIR_NOBODY UINT32_MAX

/* The snapshot that is being made; see dir_snapshot.c. */
struct dir_snapshot {
    int fd; /* its directory, or -1 */
    struct folders folders;
    atomic_bool holds; /* it has a name for its tiles, but none itself yet */
};

struct dir {
    struct store store;
    /* fixed after open */
    struct archive *archive; /* but the size in its index, see dir_resize.c */
    int dirfd;               /* the archive's, not ours */
    bool read_only;
    struct covers *covers;
    uid_t uid;   /* as whom we are */
    bool stable; /* an inode's number is its own as long as there is a file */
    /* any thread, see dir_replaced.c */
    _Atomic uint8_t *idents;   /* of tiles that were closed */
    atomic_uint nreplaced;     /* tiles that others replaced */
    _Atomic uint32_t replaced; /* the first of them */
    atomic_llong looked;
    const struct layout *layout;
    uint32_t keepers[2]; /* tiles that are not removed, or DIR_NOBODY */
    struct fdcache *cache;
    struct folders folders;      /* guards itself */
    struct changes *changes;     /* likewise; NULL when read-only */
    struct changes_links *links; /* of links_begin() */
    struct bandmap bandmap;      /* likewise */
    struct dir_snapshot snapshot;
};

static inline struct dir *dir_of(struct store *st)
{
    return (struct dir *)st;
}

/* It is not removed. */
static inline bool dir_keeps(const struct dir *dir, uint32_t tile)
{
    return tile == dir->keepers[0] || tile == dir->keepers[1];
}

/* The folder that the tile was met in, open. */
struct store_place {
    int folder;
};

/* Operations of the store. */
MUST_CHECK int dir_stat(struct store *st, uint32_t tile, const struct store_place *place,
                        struct store_stat *out);
MUST_CHECK int dir_seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what,
                        uint64_t *found);

MUST_CHECK int dir_blocks(struct store *st, uint32_t tile, struct store_blocks *out);
MUST_CHECK int dir_blocks_holes(struct store *st, uint32_t tile);

MUST_CHECK int dir_resize_tile(struct store *st, uint32_t tile, const struct geometry *to);
MUST_CHECK int dir_resize_begin(struct store *st, const struct geometry *to, bool over);
void dir_resize(struct store *st, const struct geometry *to);

MUST_CHECK int dir_clone_lend(struct store *st, uint32_t tile, uint64_t off, uint64_t len,
                              store_use_file *use, void *arg);
MUST_CHECK int dir_clone(struct store *st, uint32_t tile, uint64_t off, uint64_t len, int fd,
                         uint64_t fd_off);

MUST_CHECK int dir_replaced(struct store *st, struct store_replaced *out);

MUST_CHECK int dir_snapshot_unshare(struct store *st, uint32_t tile);
MUST_CHECK int dir_snapshot_begin(struct store *st);
MUST_CHECK int dir_snapshot_tile(struct store *st, uint32_t tile);
void dir_snapshot_hold(struct store *st);
/* Once begun or not. */
void dir_snapshot_end(struct dir *dir);

/* Whether the open file has a name that it does not share. 0 or -errno, not logged. */
MUST_CHECK int dir_snapshot_held(const struct dir *dir, const struct fdcache_file *file,
                                 bool *held);

/*
 * The tile's file, open to be written, had another name. 0: it has none now, and may be
 * written; -EMLINK: one in a snapshot, not logged; else logged.
 */
MUST_CHECK int dir_snapshot_free(const struct dir *dir, struct fdcache_file *file);

/* Compares name and open file: an operation of struct fdcache_ops. Logs what it finds. */
void dir_replaced_look(void *arg, struct fdcache_file *file);
/* The tile was opened: is it the file that it was when it was last closed? */
struct stat;
void dir_replaced_met(const struct dir *dir, uint32_t tile, const struct stat *st);
/* We are going to remove the tile, or have made it. */
void dir_replaced_forget(struct dir *dir, uint32_t tile);
/* Compares all open files when it was not done for some time. */
void dir_replaced_now_and_then(struct dir *dir);

/* Bytes of the tile, which are as many in its file if that is no short one. */
uint64_t dir_file_len(const struct dir *dir, uint32_t tile);

/* What the caller is told: only what it can act upon, else -EIO. rc is 0 or -errno. */
int dir_file_mapped(int rc);

/*
 * Whether what returned rc is to be tried again: it got no descriptor, and some were
 * closed for it. The caller holds none of a tile.
 */
bool dir_file_again(const struct dir *dir, int rc);

/* folders_open(), for which others give up their descriptors if need be. */
MUST_CHECK int dir_file_folder(const struct dir *dir, uint32_t tile, char path[LAYOUT_PATH],
                               const char **name, int *fd);

/* Logs that tile cannot be verb'd. Returns dir_file_mapped(). */
int dir_file_tell(const struct dir *dir, const char *verb, uint32_t tile, int rc);

/* The same, but for want of space, which is for others to tell. */
int dir_file_complain(const struct dir *dir, const char *verb, uint32_t tile, int rc);

/* Logs it. Returns -EIO. */
int dir_file_not_regular(const struct dir *dir, uint32_t tile);

/* Logs that the tile's name is another file's than the one that is in use. Returns -EIO. */
int dir_file_replaced(const struct dir *dir, uint32_t tile);

/* Logs that the tile's file has been cut. Returns -EIO. */
int dir_file_cut(const struct dir *dir, uint32_t tile);

/*
 * 0 unless the open file has lost bytes that no file of its layout is without, a picture
 * or those of a whole tile: then -EIO, logged. What is missing must neither be
 * read nor be made by a write behind it. Asks nothing where a file may be empty.
 */
MUST_CHECK int dir_file_whole(const struct dir *dir, const struct fdcache_file *file);

/*
 * The tile's file was not found: -ENOENT when the tile is really absent, else
 * an error, logged: the whole archive may be gone, or another program may keep
 * this tile under a name that this layout does not read.
 */
MUST_CHECK int dir_file_absent(const struct dir *dir, uint32_t tile);
/* The same, apart from whether the archive is still there. */
MUST_CHECK int dir_file_rival(const struct dir *dir, uint32_t tile);

/* Whether the tile's name is that of the open file. */
bool dir_file_named(const struct dir *dir, const struct fdcache_file *file);

/* The tile's file, to be written; put back by the caller. 0 or -errno, as write of the store. */
MUST_CHECK int dir_file_writable(struct dir *dir, uint32_t tile, struct fdcache_file **file);

/* The operations of struct fdcache_ops; arg is a struct dir. */
MUST_CHECK int dir_file_open(void *arg, struct fdcache_file *file);
MUST_CHECK int dir_file_sync(void *arg, struct fdcache_file *file);

/*
 * Replaces the file, which the caller holds, by a copy of it: head, of head_len bytes, then all
 * that it has from off on. Its bytes are on disk. 0 or -errno, not logged.
 */
MUST_CHECK int dir_file_replace(struct dir *dir, struct fdcache_file *file, const void *head,
                                size_t head_len, uint64_t off);

/*
 * Makes the tile's file, called name in folder, with all that it has to begin
 * with. 0 or -errno, not logged.
 */
MUST_CHECK int dir_file_make(const struct dir *dir, uint32_t tile, int folder, const char *name,
                             int *fd, uint64_t *payload);

#endif
