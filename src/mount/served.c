/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finds the mounts of an archive, and the archive of a mount. Mounts that are likely
 * by path or record are asked first; the others get less time to answer.
 */
#include "mount/served.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "mount/health.h"
#include "owner/owner.h"
#include "owner/owner_record.h"

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
    int rc = mount->read_only ? -EACCES : owner_record_read(archive, &record);

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

/* --- all mounts of an archive ----------------------------------------------------------------- */

struct search {
    const struct mounts *mounts;
    const struct archive *archive;
    const char *recorded; /* where a writer says that it is mounted, or "" */
    struct served_list *found;
};

static int add(struct search *search, const struct mount *mount, const struct server *server)
{
    struct served_list *found = search->found;
    struct served_one *list = realloc(found->list, (found->n + 1) * sizeof(*list));

    if (!list) {
        log_error("cannot look for mounts of '%s': %s", search->archive->path, strerror(ENOMEM));
        return -ENOMEM;
    }
    found->list = list;
    list[found->n++] = (struct served_one){.mount = mount, .server = *server};
    return 0;
}

static bool is_named(const struct search *search, const struct mount *mount)
{
    return strcmp(mount->source, search->archive->path) == 0;
}

/* Known by its name or by the record; only those are asked at first. */
static bool is_likely(const struct search *search, const struct mount *mount)
{
    return is_named(search, mount) || strcmp(mount->mountpoint, search->recorded) == 0;
}

/* The answer that another mount of the same file got, or NULL. */
static const struct server *known(const struct search *search, const struct mount *mount)
{
    for (size_t i = 0; i < search->found->n; i++)
        if (search->found->list[i].mount->dev == mount->dev)
            return &search->found->list[i].server;
    return NULL;
}

static int look_at(struct search *search, const struct mount *mount, int patience_ms)
{
    struct server server;

    server_ask(mount, patience_ms, &server);
    if (!serves(search->mounts, mount, &server, search->archive)) {
        if (is_named(search, mount))
            note_moved(mount, &server);
        return 0;
    }
    if (!server.pid && !server.dead)
        server.pid = holder(search->mounts, mount, search->archive);
    return add(search, mount, &server);
}

/* With likely false: those that are as its lock says. */
static int look_through(struct search *search, bool likely, bool exclusive)
{
    int rc = 0;

    for (size_t i = search->mounts->n; !rc && i-- > 0;) {
        const struct mount *mount = &search->mounts->list[i];
        const struct server *server = mount->ours ? known(search, mount) : NULL;

        if (server && is_likely(search, mount) == likely)
            rc = add(search, mount, server);
        else if (mount->ours && !server && is_likely(search, mount) == likely &&
                 (likely || mount->read_only != exclusive))
            rc = look_at(search, mount, likely ? SERVER_PATIENCE_MS : STRANGER_MS);
    }
    return rc;
}

/* Bind mounts that bear another name cannot be: all mounts of a file show one source. */
static unsigned processes(const struct served_list *found)
{
    unsigned n = 0;

    for (size_t i = 0; i < found->n; i++) {
        bool first = true;

        for (size_t k = 0; k < i; k++)
            first = first && found->list[k].mount->dev != found->list[i].mount->dev;
        n += first;
    }
    return n;
}

/*
 * Whoever else uses the archive has mounted it under a name that it does not
 * have any more. A writer's record tells where, unless that was renamed, too.
 */
static bool may_be_elsewhere(const struct search *search, bool *exclusive)
{
    char full[PATH_MAX];

    return processes(search->found) < owner_holder_count(search->archive, exclusive) &&
           !(*exclusive && search->recorded[0] && mounts_resolve(search->recorded, full) == 0);
}

int served_all(const struct mounts *mounts, const struct archive *archive,
               struct served_list *found)
{
    struct record record = {0};
    struct search search = {
        .mounts = mounts, .archive = archive, .recorded = record.mountpoint, .found = found};
    bool exclusive;
    int rc;

    *found = (struct served_list){0};
    if (owner_record_read(archive, &record))
        record.mountpoint[0] = '\0';
    rc = look_through(&search, true, false);
    if (!rc && may_be_elsewhere(&search, &exclusive))
        rc = look_through(&search, false, exclusive);
    return rc;
}

void served_list_release(struct served_list *found)
{
    for (size_t i = 0; i < found->n; i++)
        server_release(&found->list[i].server);
    free(found->list);
    *found = (struct served_list){0};
}

/* --- where a mount's archive is --------------------------------------------------------------- */

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

static int take_first(struct served *served, const struct archive *archive)
{
    struct served_list found;
    int rc = served_all(&served->mounts, archive, &found);

    if (!rc && found.n) {
        served->mount = found.list[0].mount;
        served->server = found.list[0].server;
    }
    served_list_release(&found);
    return rc;
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
    return rc ? rc : take_first(served, archive);
}

void served_release(struct served *served)
{
    server_release(&served->server);
    mounts_release(&served->mounts);
}
