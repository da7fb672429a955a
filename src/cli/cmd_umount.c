/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Order: fsync the mounted file, get hold of its server while it is surely
 * alive, unmount, wait for the server to end, look whether it left its record:
 * then its last flush failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/busy.h"
#include "cli/cli.h"
#include "cli/mountpoint.h"
#include "cli/mounts.h"
#include "cli/server.h"
#include "front/unmount.h"
#include "store/owner.h"

#define BUSY_TRIES 10 /* losetup -d and a dying process let go a moment after they return */
#define BUSY_PAUSE_MS 50

static bool has_index(const char *path)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool found = fd >= 0 && archive_has_index(fd);

    if (fd >= 0)
        close(fd);
    return found;
}

/*
 * The process of this host that holds the archive's lock, 0 when there is none
 * or that cannot be told. mountpoint is what the lock's record says, or "".
 */
static pid_t lock_holder(const char *path, char mountpoint[PATH_MAX])
{
    struct archive archive;
    struct record record;
    pid_t pid = 0;

    mountpoint[0] = '\0';
    if (!has_index(path) || archive_open_dir(path, &archive))
        return 0;
    pid = owner_holder(&archive);
    if (pid && owner_read(&archive, &record) == 0 && record.pid == pid)
        strcpy(mountpoint, record.mountpoint);
    archive_close(&archive);
    return pid;
}

/* Syncs, and keeps hold of who serves the mount. 0 or -errno, told. */
static int find_server(const struct mount *mount, const char *name, struct server *server)
{
    char mountpoint[PATH_MAX];
    int rc = server_ask(mount, true, server);
    int err;

    if (rc) {
        log_error("cannot bring the last writes to '%s' to disk: %s", name, strerror(-rc));
        log_note("what was written since the last sync may be missing; the log of the mount says "
                 "why");
    }
    if (server->dead)
        return 0;
    if (!server->pid && !mount->read_only) /* readers are many: the lock does not tell which */
        server->pid = lock_holder(mount->source, mountpoint);
    err = server->pid ? server_hold(server) : 0;
    if (err)
        log_error("cannot wait for process %d to finish: %s", (int)server->pid, strerror(-err));
    return rc ? rc : err;
}

/* False when it is known to be gone. */
static bool still_there(const struct mount *mount)
{
    struct mounts now;
    bool found = mounts_read(0, &now) != 0;

    for (size_t i = 0; i < now.n; i++)
        found = found || (now.list[i].id == mount->id && now.list[i].ours);
    mounts_release(&now);
    return found;
}

/*
 * True, and told, when the same file is mounted elsewhere, too: then its server
 * stays and the archive is in use, whatever happens to this mount.
 */
static bool has_twin(const struct mount *mount, const char *name, bool gone)
{
    struct mounts now;
    bool found = mounts_read(0, &now) == 0 && mounts_twin(&now, mount, NULL);

    if (found)
        busy_tell_twins(&now, mount, name, gone);
    mounts_release(&now);
    return found;
}

/*
 * Would umount(2) by path take another mount away, one that came on top of ours
 * or of a directory above it? Asks for nothing that a server would have to
 * answer, or that not everybody may know.
 */
static bool is_covered(const struct mount *mount)
{
    uint64_t id;
    int rc = unmount_top_id(mount->mountpoint, &id);
    bool other = rc ? rc == -ENOENT || rc == -ENOTDIR : id && id != (uint64_t)mount->id;

    return other && still_there(mount);
}

static int detach(const struct mount *mount, bool lazy, char why[UNMOUNT_WHY])
{
    if (!is_covered(mount))
        return unmount_path(mount->mountpoint, lazy, why);
    snprintf(why, UNMOUNT_WHY, "it is covered by another mount");
    return -EXDEV;
}

/* Patient with those who are just letting go, content when another was faster. */
static int detach_soon(const struct mount *mount, char why[UNMOUNT_WHY])
{
    int rc = detach(mount, false, why);

    for (int i = 1; rc == -EBUSY && i < BUSY_TRIES; i++) {
        poll(NULL, 0, BUSY_PAUSE_MS);
        rc = detach(mount, false, why);
    }
    return rc && !still_there(mount) ? 0 : rc;
}

/*
 * Removes the mount point that a dead server made. The lock's record stays: by
 * it the next mount knows what happened.
 */
static void remove_mountpoint(const struct mount *mount)
{
    struct archive archive;
    struct record record;

    if (!has_index(mount->source) || archive_open_dir(mount->source, &archive))
        return;
    if (owner_record(&archive, &record) == 0 && record.made_mountpoint &&
        strcmp(record.mountpoint, mount->mountpoint) == 0)
        mountpoint_remove(mount->mountpoint);
    archive_close(&archive);
}

/* The server died under its mount: nobody can be waited for, and who holds it holds nothing. */
static int bury(const struct mount *mount, const char *name)
{
    char why[UNMOUNT_WHY];

    if (detach(mount, true, why) && still_there(mount)) {
        log_error("cannot unmount '%s': %s", name, why);
        return CLI_FAILED;
    }
    remove_mountpoint(mount);
    log_warn("the process behind '%s' had died; what was written after the last sync may be lost",
             name);
    return CLI_DONE;
}

/* A writer clears its record last, and only when everything is on disk. */
static bool left_record(const char *path, pid_t pid)
{
    struct archive archive;
    struct record record;
    bool left;

    if (!pid || !has_index(path) || archive_open_dir(path, &archive))
        return false;
    left = owner_record(&archive, &record) == 0 && record.pid == pid;
    archive_close(&archive);
    return left;
}

/* It is unmounted here. told: that the last writes are lost. Returns an exit code. */
static int finish(const struct mounts *mounts, struct server *server, const char *name,
                  const char *archive, bool told)
{
    if (server_wait(server, name)) {
        busy_tell_elsewhere(mounts, server, name);
        return CLI_FAILED;
    }
    if (!told && left_record(archive, server->pid)) {
        log_error("cannot bring the last writes to '%s' to disk; see the log of the mount", name);
        told = true;
    }
    return told ? CLI_FAILED : CLI_DONE;
}

static void tell_covered(const struct mounts *mounts, const struct mount *mount, const char *name)
{
    const struct mount *other = NULL;

    for (size_t i = 0; i < mounts->n; i++)
        if (mounts->list[i].id != mount->id &&
            strcmp(mounts->list[i].mountpoint, mount->mountpoint) == 0)
            other = &mounts->list[i];
    log_error("cannot unmount '%s': it is covered by another mount", name);
    if (other)
        log_note("'umount %s' takes that away; then try again", other->mountpoint);
    else
        log_note("take that away, which is on a directory above; then try again");
}

/* more: other mounts of the same file are unmounted after this one. */
static int unmount(const struct mounts *mounts, const struct mount *mount, const char *name,
                   const char *archive, bool more)
{
    struct server server;
    char why[UNMOUNT_WHY];
    int rc, err;

    if (is_covered(mount)) {
        tell_covered(mounts, mount, name);
        return CLI_FAILED;
    }
    rc = find_server(mount, name, &server) ? CLI_FAILED : CLI_DONE;
    if (server.dead)
        return bury(mount, name);
    err = detach_soon(mount, why);
    if (err == -EBUSY)
        busy_tell(mounts, mount, name);
    else if (err)
        log_error("cannot unmount '%s': %s", name, why);
    else if (!more)
        rc = has_twin(mount, name, true) ? CLI_FAILED
                                         : finish(mounts, &server, name, archive, rc != CLI_DONE);
    server_release(&server);
    return err ? CLI_FAILED : rc;
}

/* One mount out of several of a file would go, and nothing be put away: nothing is done then. */
static int unmount_one(const struct mounts *mounts, const struct mount *mount, const char *name)
{
    if (!is_covered(mount) && has_twin(mount, name, false))
        return CLI_FAILED;
    return unmount(mounts, mount, name, mount->source, false);
}

/* Is a mount of the same file among those that unmount_all() has still to do? */
static bool has_more(const struct mounts *mounts, const struct mount *mount)
{
    const struct mount *next = mount;

    while ((next = mounts_of(mounts, mount->source, next)))
        if (next->dev == mount->dev)
            return true;
    return false;
}

/* Of a file that is mounted several times: one that is in use keeps them all. */
static bool is_busy(const struct mounts *mounts, const char *archive)
{
    const struct mount *mount = NULL;
    bool busy = false;

    while ((mount = mounts_of(mounts, archive, mount)))
        busy = (mounts_twin(mounts, mount, NULL) &&
                busy_tell_if(mounts, mount, mount->mountpoint)) ||
               busy;
    return busy;
}

/* All mounts of an archive. *found tells whether there was one. */
static int unmount_all(const struct mounts *mounts, const char *archive, bool *found)
{
    const struct mount *mount = mounts_of(mounts, archive, NULL);
    int rc = CLI_DONE;

    *found = mount != NULL;
    if (mount && is_busy(mounts, archive))
        return CLI_FAILED;
    for (; mount; mount = mounts_of(mounts, archive, mount))
        if (unmount(mounts, mount, mount->mountpoint, mount->source, has_more(mounts, mount)))
            rc = CLI_FAILED;
    return rc;
}

static bool mounted_elsewhere(pid_t pid, const char *archive)
{
    struct mounts theirs;
    bool found = mounts_read(pid, &theirs) == 0 && mounts_of(&theirs, archive, NULL);

    mounts_release(&theirs);
    return found;
}

/* No mount is left, but the process of one may still be writing its last bytes. */
static int wait_for_holder(const struct mounts *mounts, const char *path, pid_t pid)
{
    struct server server = {.pid = pid, .fd = -1};
    char full[PATH_MAX];
    int err = server_hold(&server);
    int rc = CLI_FAILED;

    if (!err && mounts_resolve(path, full) == 0 && mounted_elsewhere(pid, full)) {
        log_error("'%s' is mounted in another mount namespace, by process %d", path, (int)pid);
        log_note("run 'nsenter --mount --target %d mosaicfs umount %s'", (int)pid, full);
    } else if (err) {
        log_error("cannot wait for process %d to finish: %s", (int)pid, strerror(-err));
    } else {
        rc = finish(mounts, &server, path, path, false);
    }
    server_release(&server);
    return rc;
}

/* False when another process serves the mount: the archive's record may be a lie. */
static bool may_serve(pid_t pid, const struct mount *mount)
{
    struct server server;
    pid_t found;

    (void)!server_ask(mount, false, &server);
    found = server.pid;
    server_release(&server);
    return !found || found == pid;
}

/* The table of mounts knows neither a mount at path nor an archive of that name. */
static int unmount_by_lock(const struct mounts *mounts, const char *path)
{
    char mountpoint[PATH_MAX];
    pid_t pid = lock_holder(path, mountpoint);
    const struct mount *mount = pid && mountpoint[0] ? mounts_at(mounts, mountpoint) : NULL;

    if (mount && may_serve(pid, mount)) /* the archive was renamed since */
        return unmount(mounts, mount, mountpoint, path, false);
    if (pid)
        return wait_for_holder(mounts, path, pid);
    log_error("'%s' is not mounted", path);
    return CLI_FAILED;
}

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

static int run(const struct args *args)
{
    const char *path = args->operands[0];
    const struct mount *mount;
    struct mounts mounts;
    bool found = true;
    int rc = mounts_own(&mounts);

    if (rc) {
        mounts_release(&mounts);
        return CLI_FAILED;
    }
    mount = mount_at(&mounts, path);
    if (mount)
        rc = unmount_one(&mounts, mount, path);
    else
        rc = unmount_all(&mounts, path, &found);
    if (!found)
        rc = unmount_by_lock(&mounts, path);
    mounts_release(&mounts);
    return rc;
}

const struct command cmd_umount = {
    .name = "umount",
    .summary = "unmount, and wait until everything is on disk",
    .synopsis = "PATH|ARCHIVE",
    .description =
        "Unmounts the file PATH, or every mount of ARCHIVE, and returns when all bytes are\n"
        "on disk and the archive is free for the next mount. If the file is in use,\n"
        "says by whom and leaves it mounted.\n",
    .operands = {"PATH|ARCHIVE"},
    .required = 1,
    .run = run,
};
