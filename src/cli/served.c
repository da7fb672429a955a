/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/served.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/health.h"
#include "store/owner.h"

#define STRANGER_MS 1000 /* for an answer of who most likely serves something else */

static bool same_inode(const struct server *server, const struct stat *st)
{
    return st->st_dev == server->archive_dev && st->st_ino == server->archive_ino;
}

/* What is mounted at mountpoint is this file system, or: is another one of ours. */
static bool is_mounted_at(const struct mounts *mounts, dev_t dev, bool other,
                          const char *mountpoint)
{
    for (size_t i = 0; i < mounts->n; i++)
        if ((mounts->list[i].dev == dev) != other && mounts->list[i].ours &&
            strcmp(mounts->list[i].mountpoint, mountpoint) == 0)
            return true;
    return false;
}

/* A writer leaves its record in the archive as long as it is mounted. */
static bool record_fits(const struct mounts *mounts, const struct mount *mount,
                        const struct archive *archive)
{
    struct record record;
    int rc = mount->read_only ? -EACCES : owner_record(archive, &record);

    if (rc)
        return rc != -ENOENT;
    return is_mounted_at(mounts, mount->dev, false, record.mountpoint) ||
           !is_mounted_at(mounts, mount->dev, true, record.mountpoint);
}

/* Does the mount serve this directory? Where its server cannot say so, path and record must do. */
static bool serves(const struct mounts *mounts, const struct mount *mount,
                   const struct server *server, const struct archive *archive)
{
    struct stat st;

    if (server->located)
        return fstat(archive->dirfd, &st) == 0 && same_inode(server, &st);
    return strcmp(mount->source, archive->path) == 0 && record_fits(mounts, mount, archive);
}

/* Who serves the mount by the archive's lock, 0: not known. Of several readers it tells one. */
static pid_t holder(const struct mounts *mounts, const struct mount *mount,
                    const struct archive *archive)
{
    pid_t pid = owner_holder(archive);
    struct record record;

    if (pid && mount->read_only)
        return health_halted(pid) ? pid : 0;
    return pid && owner_read(archive, &record) == 0 && record.pid == pid &&
                   is_mounted_at(mounts, mount->dev, false, record.mountpoint)
               ? pid
               : 0;
}

static void note_moved(const struct mount *mount, const struct server *server)
{
    char path[PATH_MAX];

    if (server->located && served_path(mount, server, path))
        log_note("what is mounted on '%s' is not this archive but another one, which had its path "
                 "before and is now '%s'",
                 mount->mountpoint, path);
    else
        log_note("what is mounted on '%s' is not this archive but another one, which had its path "
                 "before",
                 mount->mountpoint);
}

/* Somebody uses it, under whatever name. */
static bool is_held(const struct archive *archive)
{
    struct record record;

    return owner_holder(archive) || owner_record(archive, &record) == 0;
}

const struct mount *served_next(const struct mounts *mounts, const struct archive *archive,
                                const struct mount *previous, struct server *server)
{
    size_t i = previous ? (size_t)(previous - mounts->list) : mounts->n;
    bool held = is_held(archive);

    while (i-- > 0) {
        const struct mount *mount = &mounts->list[i];
        bool named = mount->ours && strcmp(mount->source, archive->path) == 0;

        if (!mount->ours || (!named && !held))
            continue;
        server_ask(mount, named ? SERVER_PATIENCE_MS : STRANGER_MS, server);
        if (serves(mounts, mount, server, archive)) {
            if (!server->pid && !server->dead)
                server->pid = holder(mounts, mount, archive);
            return mount;
        }
        if (named)
            note_moved(mount, server);
    }
    *server = (struct server){.fd = -1};
    return NULL;
}

/* O_PATH: asks nothing of what is not a directory. */
static bool is_at(const char *path, const struct server *server)
{
    int fd = path[0] ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    struct stat st;
    bool found = fd >= 0 && fstat(fd, &st) == 0 && same_inode(server, &st);

    if (fd >= 0)
        close(fd);
    return found;
}

bool served_path(const struct mount *mount, const struct server *server, char path[PATH_MAX])
{
    const char *found = mount->source;

    if (server->located)
        found = is_at(server->archive, server) ? server->archive
                : is_at(found, server)         ? found
                                               : "";
    snprintf(path, PATH_MAX, "%s", found);
    return path[0] != '\0';
}

bool served_dir(const struct mount *mount, const struct server *server, struct archive *archive)
{
    *archive = (struct archive){.dirfd = -1};
    if (!served_path(mount, server, archive->path))
        return false;
    archive->dirfd = open(archive->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return archive->dirfd >= 0;
}

/* Of a file system that stands still we learn nothing. */
void served_ask(const struct mounts *mounts, const struct mount *mount, struct server *server)
{
    struct archive archive;

    server_ask(mount, SERVER_PATIENCE_MS, server);
    if (server->pid || server->dead || !served_dir(mount, server, &archive))
        return;
    server->pid = holder(mounts, mount, &archive);
    archive_close(&archive);
}

/* --- operands --------------------------------------------------------------------------------- */

static int complain_lost(const struct mount *mount)
{
    log_error("cannot find the archive that is mounted on '%s': it is not '%s' any more",
              mount->mountpoint, mount->source);
    log_note("it was renamed or removed while it was mounted; name the archive itself");
    return -ENOENT;
}

/* The operand is where something of ours is mounted. */
static int open_mounted(struct served *served,
                        int (*open_it)(const char *path, struct archive *archive),
                        struct archive *archive)
{
    const struct mount *mount = served->mount;
    char path[PATH_MAX];
    int rc;

    server_ask(mount, SERVER_PATIENCE_MS, &served->server);
    if (!served_path(mount, &served->server, path))
        return complain_lost(mount);
    rc = open_it(path, archive);
    if (rc)
        return rc;
    if (!serves(&served->mounts, mount, &served->server, archive))
        return complain_lost(mount);
    if (!served->server.pid && !served->server.dead)
        served->server.pid = holder(&served->mounts, mount, archive);
    return 0;
}

int served_open(struct served *served, const char *operand,
                int (*open_it)(const char *path, struct archive *archive), struct archive *archive)
{
    int rc;

    *served = (struct served){.server = {.fd = -1}};
    rc = mounts_own(&served->mounts);
    if (rc)
        return rc;
    served->mount = mounts_at(&served->mounts, operand);
    if (served->mount)
        return open_mounted(served, open_it, archive);
    rc = open_it(operand, archive);
    if (!rc)
        served->mount = served_next(&served->mounts, archive, NULL, &served->server);
    return rc;
}

void served_release(struct served *served)
{
    server_release(&served->server);
    mounts_release(&served->mounts);
}
