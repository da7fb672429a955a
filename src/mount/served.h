/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which archive a mount serves. The table of mounts shows the path that it had
 * when it was mounted; it may have been renamed since, and another may bear that
 * name. So who serves it is asked for its device and inode, and those count.
 */
#ifndef MOUNT_SERVED_H
#define MOUNT_SERVED_H

#include "archive/archive.h"
#include "base/compiler.h"
#include "mount/mounts.h"
#include "mount/server.h"

struct served_list {
    struct served_one {
        const struct mount *mount;
        struct server server; /* how that is */
    } * list;
    size_t n;
};

/*
 * All mounts of the archive, of which path and dirfd are set: in general the
 * last mounted first. A mount that shows its path, and is of another archive, is
 * told. 0 or -errno, told. Release in any case.
 */
MUST_CHECK int served_all(const struct mounts *mounts, const struct archive *archive,
                          struct served_list *found);
void served_list_release(struct served_list *found);

/* server_ask() for a mount that was named. By the lock of its archive it may know pid, too. */
void served_ask(const struct mounts *mounts, const struct mount *mount, struct server *server);

/*
 * The path of what a mount serves, whose server was asked. False when that
 * cannot be found from here: renamed where we cannot see it, or removed.
 */
bool served_path(const struct mount *mount, const struct server *server, char path[PATH_MAX]);

/* The directory of what a mount serves: path and dirfd alone. False as above; nothing is told. */
bool served_dir(const struct mount *mount, const struct server *server, struct archive *archive);

/* What an operand ARCHIVE|PATH stands for. */
struct served {
    struct mounts mounts;
    const struct mount *mount; /* the one that was named, or the archive's last; NULL: none */
    struct server server;      /* how that is */
};

/*
 * Finds the archive, and opens it with open_it, archive_open() or
 * archive_open_dir(). 0 or -errno, told. Release in any case.
 */
MUST_CHECK int served_open(struct served *served, const char *operand,
                           int (*open_it)(const char *path, struct archive *archive),
                           struct archive *archive);
void served_release(struct served *served);

#endif
