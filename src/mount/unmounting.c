/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What umount does, for the mount at a path or for all mounts of an archive: get hold of
 * the server while it is surely alive, fsync the mounted file, unmount, wait for the
 * server to end, look whether it left its record: then its last flush failed.
 *
 * One mount out of several of the same file is refused, since nothing would be put away by
 * it. A server that has died is unmounted lazily, and the mount point that it made goes; its
 * record stays. Where nothing is mounted here, whoever holds the archive's lock is waited
 * for: it may be writing its last bytes, or be about to mount.
 */
#include "mount/unmounting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/archive_index.h"
#include "base/log.h"
#include "mount/busy.h"
#include "mount/detach.h"
#include "mount/health.h"
#include "mount/mountpoint.h"
#include "mount/mounts.h"
#include "mount/served.h"
#include "mount/server.h"
#include "owner/owner.h"
#include "owner/owner_record.h"

#define AGAIN_MAX 5

/* A mount that is to go, and what its server said. */
struct target {
    const struct mount *mount;
    struct server server;
    const char *name; /* what the user calls it */
};

/* The directory of an archive, whatever it holds; nothing is told. */
static bool open_dir(const char *path, struct archive *archive)
{
    *archive = (struct archive){.dirfd = -1};
    if (!realpath(path, archive->path))
        return false;
    archive->dirfd = open(archive->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return archive->dirfd >= 0;
}

/*
 * Brings all to disk, and keeps hold of who serves the mount. 0 or -errno, told;
 * -ETIMEDOUT: then nothing can be done.
 */
static int sync_server(struct target *target)
{
    struct server *server = &target->server;
    int err = server->pid ? server_hold(server) : 0;
    int rc = 0;

    if (err)
        log_error("cannot wait for process %d to finish: %s", (int)server->pid, strerror(-err));
    if (server->silent && health_halted(server->pid))
        rc = -ETIMEDOUT;
    else if (!server->waiting)
        rc = server_sync(target->mount, server);
    if (rc == -ETIMEDOUT) {
        health_tell("cannot unmount", target->name, server->pid);
    } else if (rc) {
        log_error("cannot write the last data of '%s' to disk: %s", target->name, strerror(-rc));
        log_note("data written since the last sync may be lost; see the log of the mount");
    } else if (server_replaced(target->mount, server, target->name)) {
        rc = -ESTALE;
    }
    return rc ? rc : err;
}

/*
 * True, and told, when the same file is mounted elsewhere, too: then its server
 * stays and the archive is in use, whatever happens to this mount.
 */
static bool has_twin(const struct target *target, bool gone)
{
    struct mounts now;
    char path[PATH_MAX];
    bool found = mounts_read(0, &now) == 0 && mounts_twin(&now, target->mount, NULL);

    if (found && !served_path(target->mount, &target->server, path))
        path[0] = '\0';
    if (found)
        busy_tell_twins(&now, target->mount, target->name, path, gone);
    mounts_release(&now);
    return found;
}

/*
 * Removes the mount point that a dead server made. The lock's record stays: by
 * it the next mount knows what happened.
 */
static void remove_mountpoint(const struct target *target)
{
    const char *mountpoint = target->mount->mountpoint;
    struct archive archive;
    struct record record;

    if (!served_dir(target->mount, &target->server, &archive))
        return;
    if (owner_record_read(&archive, &record) == 0 && record.made_mountpoint &&
        strcmp(record.mountpoint, mountpoint) == 0)
        mountpoint_remove(mountpoint);
    archive_close(&archive);
}

/* The server died under its mount: nobody can be waited for, and who holds it holds nothing. */
static int unmount_dead(const struct target *target)
{
    char why[UNMOUNT_WHY];

    if (detach_lazily(target->mount, why)) {
        log_error("cannot unmount '%s': %s", target->name, why);
        return -EIO;
    }
    remove_mountpoint(target);
    log_warn("the process that served '%s' had died; data written after the last sync may be lost",
             target->name);
    return 0;
}

/* A writer clears its record last, and only when everything is on disk. Closes archive. */
static bool left_record(struct archive *archive, pid_t pid)
{
    struct record record;
    bool left = pid && owner_record_read(archive, &record) == 0 && record.pid == pid;

    archive_close(archive);
    return left;
}

/*
 * It is unmounted here; wait for the end of its server, which is held. 0;
 * -EBUSY: it goes on, and who keeps it is told; -EAGAIN: until(arg) is true.
 */
static int await_end(const struct mounts *mounts, struct server *server, const char *name,
                     server_until *until, void *arg)
{
    int rc = server_wait(server, name, until, arg);

    if (rc == -EBUSY)
        busy_tell_elsewhere(mounts, server, name);
    return rc;
}

static int complain_lost(const char *name)
{
    log_error("cannot write the last data of '%s' to disk; see the log of the mount", name);
    return -EIO;
}

/* told: that the last writes are lost. 0 or -EIO, logged. */
static int finish(const struct mounts *mounts, struct target *target, bool told)
{
    struct archive archive;

    if (await_end(mounts, &target->server, target->name, NULL, NULL))
        return -EIO;
    if (!told && served_dir(target->mount, &target->server, &archive) &&
        left_record(&archive, target->server.pid))
        return complain_lost(target->name);
    return told ? -EIO : 0;
}

/* more: other mounts of the same file are unmounted after this one. */
static int unmount(const struct mounts *mounts, struct target *target, bool more)
{
    char why[UNMOUNT_WHY];
    int rc, err;

    if (detach_covered(target->mount)) {
        detach_tell_covered(mounts, target->mount, target->name);
        return -EIO;
    }
    if (target->server.dead)
        return unmount_dead(target);
    rc = sync_server(target);
    if (rc == -ETIMEDOUT)
        return -EIO;
    err = detach_soon(target->mount, why);
    if (err == -EBUSY)
        busy_tell(mounts, target->mount, target->name, target->server.waiting);
    else if (err)
        log_error("cannot unmount '%s': %s", target->name, why);
    if (err || more)
        return err || rc ? -EIO : 0;
    return has_twin(target, true) ? -EIO : finish(mounts, target, rc != 0);
}

/* One mount out of several of a file would go, and nothing be put away: nothing is done then. */
static int unmount_one(const struct mounts *mounts, struct target *target)
{
    if (!detach_covered(target->mount) && has_twin(target, false))
        return -EIO;
    return unmount(mounts, target, false);
}

/* --- all mounts of an archive ----------------------------------------------------------------- */

struct targets {
    struct target *list;
    size_t n;
};

static int add(struct targets *targets, const struct mount *mount, const struct server *server)
{
    struct target *list = realloc(targets->list, (targets->n + 1) * sizeof(*list));

    if (!list) {
        log_error("cannot unmount '%s': %s", mount->mountpoint, strerror(ENOMEM));
        return -ENOMEM;
    }
    targets->list = list;
    list[targets->n++] =
        (struct target){.mount = mount, .server = *server, .name = mount->mountpoint};
    return 0;
}

static int add_served(struct targets *targets, const struct mounts *mounts,
                      const struct archive *archive)
{
    struct served_list found;
    int rc = served_all(mounts, archive, &found);

    for (size_t i = 0; !rc && i < found.n; i++)
        rc = add(targets, found.list[i].mount, &found.list[i].server);
    served_list_release(&found);
    return rc;
}

/* Nothing is at that path any more: those count that bore it. */
static int add_named(struct targets *targets, const struct mounts *mounts, const char *path)
{
    const struct mount *mount = NULL;
    struct server server;
    int rc = 0;

    while (!rc && (mount = mounts_of(mounts, path, mount))) {
        server_ask(mount, SERVER_PATIENCE_MS, &server);
        rc = add(targets, mount, &server);
    }
    return rc;
}

static int find_all(struct targets *targets, const struct mounts *mounts, const char *path)
{
    struct archive archive;
    int rc;

    *targets = (struct targets){0};
    if (!open_dir(path, &archive))
        return add_named(targets, mounts, path);
    rc = add_served(targets, mounts, &archive);
    archive_close(&archive);
    return rc;
}

/* Is a mount of the same file among those that are still to be unmounted? */
static bool has_more(const struct targets *targets, size_t i)
{
    for (size_t k = i + 1; k < targets->n; k++)
        if (targets->list[k].mount->dev == targets->list[i].mount->dev)
            return true;
    return false;
}

/* Of a file that is mounted several times: one that is in use keeps them all. */
static bool is_busy(const struct mounts *mounts, const struct targets *targets)
{
    bool busy = false;

    for (size_t i = 0; i < targets->n; i++) {
        const struct mount *mount = targets->list[i].mount;

        if (!targets->list[i].server.dead && mounts_twin(mounts, mount, NULL) &&
            busy_tell_if(mounts, mount, mount->mountpoint))
            busy = true;
    }
    return busy;
}

static int unmount_all(const struct mounts *mounts, struct targets *targets)
{
    int rc = 0;

    if (is_busy(mounts, targets))
        return -EIO;
    for (size_t i = 0; i < targets->n; i++)
        if (unmount(mounts, &targets->list[i], has_more(targets, i)))
            rc = -EIO;
    return rc;
}

/* --- an archive that is mounted nowhere here -------------------------------------------------- */

static bool same_namespace(pid_t pid)
{
    char path[64];
    struct stat ours, theirs;

    snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
    return stat("/proc/self/ns/mnt", &ours) == 0 && stat(path, &theirs) == 0 &&
           ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static bool mounted_elsewhere(pid_t pid, const char *archive)
{
    struct mounts theirs;
    bool found = !same_namespace(pid) && mounts_read(pid, &theirs) == 0;

    if (!found)
        return false;
    found = mounts_of(&theirs, archive, NULL);
    mounts_release(&theirs);
    return found;
}

/* Who holds the lock may be about to mount. */
struct appearing {
    const struct mounts *before;
    const char *archive;
};

/* The id of a mount that is gone may be given to the next one, whatever that is of. */
static bool is_new(const struct appearing *appearing, const struct mount *mount)
{
    const struct mount *old = NULL;

    while ((old = mounts_of(appearing->before, appearing->archive, old)))
        if (old->id == mount->id)
            return false;
    return true;
}

static bool has_appeared(void *arg)
{
    const struct appearing *appearing = arg;
    const struct mount *mount = NULL;
    struct mounts now;
    bool found = false;

    if (mounts_read(0, &now) == 0)
        while (!found && (mount = mounts_of(&now, appearing->archive, mount)))
            found = is_new(appearing, mount);
    mounts_release(&now);
    return found;
}

/*
 * No mount is left, but the process of one may still be writing its last bytes.
 * 0; -EIO, logged; -EAGAIN: it was only starting, and is mounted now.
 */
static int wait_for_holder(const struct mounts *mounts, const char *path, pid_t pid,
                           struct archive *archive)
{
    struct appearing appearing = {.before = mounts, .archive = archive->path};
    struct server server = {.pid = pid, .fd = -1};
    int err = server_hold(&server);
    int rc = -EIO;

    if (!err && mounted_elsewhere(pid, archive->path)) {
        log_error("'%s' is mounted in another mount namespace, by process %d", path, (int)pid);
        log_note("run 'nsenter --mount --target %d mosaicfs umount %s'", (int)pid, archive->path);
    } else if (err) {
        log_error("cannot wait for process %d to finish: %s", (int)pid, strerror(-err));
    } else {
        rc = await_end(mounts, &server, path, has_appeared, &appearing);
        if (!rc && left_record(archive, pid))
            rc = complain_lost(path);
        else if (rc != -EAGAIN)
            rc = rc ? -EIO : 0;
    }
    server_release(&server);
    return rc;
}

/* A copy of an archive in use has the lock of that one. */
static void complain_not_mounted(const char *path, const struct archive *archive, bool found)
{
    struct record record;

    log_error("'%s' is not mounted", path);
    if (found && owner_record_read(archive, &record) == 0 && owner_holder_strange(archive, &record))
        owner_holder_note_copy(archive, &record);
}

static int unmount_by_lock(const struct mounts *mounts, const char *path)
{
    struct archive archive;
    bool found = open_dir(path, &archive) && archive_index_exists(archive.dirfd);
    pid_t pid = found ? owner_holder(&archive) : 0;
    int rc = -EIO;

    if (pid)
        rc = wait_for_holder(mounts, path, pid, &archive);
    else
        complain_not_mounted(path, &archive, found);
    archive_close(&archive);
    return rc;
}

/* --- all of it -------------------------------------------------------------------------------- */

/* The mosaicfs on path: the one to be seen there, or else one that another mount covers. */
static const struct mount *mount_at(const struct mounts *mounts, const char *path)
{
    const struct mount *found = mounts_at(mounts, path);
    char full[PATH_MAX];

    for (size_t i = mounts->n; !found && i-- > 0 && mounts_resolve(path, full) == 0;)
        if (mounts->list[i].ours && strcmp(mounts->list[i].mountpoint, full) == 0)
            found = &mounts->list[i];
    return found;
}

static int unmount_path_at(const struct mounts *mounts, const struct mount *mount, const char *path)
{
    struct target target = {.mount = mount, .name = path};
    int rc;

    served_ask(mounts, mount, &target.server);
    rc = unmount_one(mounts, &target);
    server_release(&target.server);
    return rc;
}

static int unmount_archive(const struct mounts *mounts, const char *path)
{
    struct targets targets;
    int rc = find_all(&targets, mounts, path) ? -EIO : 0;

    if (!rc && !targets.n)
        rc = unmount_by_lock(mounts, path);
    else if (!rc)
        rc = unmount_all(mounts, &targets);
    for (size_t i = 0; i < targets.n; i++)
        server_release(&targets.list[i].server);
    free(targets.list);
    return rc;
}

/* 0; -EIO, logged; -EAGAIN: look again. */
static int run_once(const char *path)
{
    const struct mount *mount;
    struct mounts mounts;
    int rc = mounts_own(&mounts);

    if (!rc) {
        mount = mount_at(&mounts, path);
        rc = mount ? unmount_path_at(&mounts, mount, path) : unmount_archive(&mounts, path);
    } else {
        rc = -EIO;
    }
    mounts_release(&mounts);
    return rc;
}

int unmounting_run(const char *path)
{
    int rc = -EAGAIN;

    for (int i = 0; rc == -EAGAIN && i < AGAIN_MAX; i++)
        rc = run_once(path);
    if (rc == -EAGAIN)
        log_error("cannot unmount '%s': it keeps being mounted again", path);
    return rc;
}
