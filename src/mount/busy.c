/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owns the sentences about a busy mount and the commands that they advise. Who the
 * holders are is found by holders.c.
 */
#include "mount/busy.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mount/holders.h"

#define STEPS_MAX (4 * PATH_MAX) /* what does not fit is told the next time */

/* The sentence, and what the advice below it is about: the holders told last. */
struct told {
    const char *what; /* "cannot unmount" */
    const char *name;
    char steps[STEPS_MAX]; /* commands that end what devices do, "'losetup -d /dev/loop0'" */
    unsigned nsteps;
    bool leaving; /* a device that nobody need detach */
    pid_t apart;
    char apart_mountpoint[PATH_MAX];
    bool process;
    unsigned waiting; /* requests that wait for space */
};

static void add_step(struct told *told, const char *command, const char *object)
{
    size_t len = strlen(told->steps);
    int n =
        snprintf(told->steps + len, STEPS_MAX - len, "%s'%s %s'", len ? ", " : "", command, object);

    if (n < 0 || (size_t)n >= STEPS_MAX - len)
        told->steps[len] = '\0';
    else
        told->nsteps++;
}

static void tell_device(struct told *told, const struct holder *holder)
{
    if (holder->mountpoint)
        add_step(told, "umount", holder->mountpoint);
    if (holder->leaving)
        told->leaving = true;
    else if (!holder->more)
        add_step(told, "losetup -d", holder->device);
    if (holder->leaving && !holder->mountpoint)
        log_error(
            "%s '%s': in use by loop device %s, which is detached when its last user closes it",
            told->what, told->name, holder->device);
    else if (holder->mountpoint)
        log_error("%s '%s': in use by loop device %s (mounted on '%s')", told->what, told->name,
                  holder->device, holder->mountpoint);
    else
        log_error("%s '%s': in use by loop device %s", told->what, told->name, holder->device);
}

static void tell_holder(const struct holder *holder, void *arg)
{
    struct told *told = arg;

    if (holder->device)
        return tell_device(told, holder);
    if (!holder->apart) {
        told->process = true;
        log_error("%s '%s': in use by process %d (%s)", told->what, told->name, (int)holder->pid,
                  holder->comm);
        return;
    }
    told->apart = holder->pid;
    snprintf(told->apart_mountpoint, sizeof(told->apart_mountpoint), "%s", holder->mountpoint);
    log_error("%s '%s': in use by process %d (%s) in another mount namespace", told->what,
              told->name, (int)holder->pid, holder->comm);
}

static void tell_nobody(const struct told *told)
{
    log_error("%s '%s': in use by something that is not visible from here", told->what, told->name);
    if (geteuid())
        log_note("run 'mosaicfs umount' as root to see by what");
}

static void advise(const struct told *told)
{
    if (told->waiting)
        log_note(
            "%u write%s for space: free some on the file system of the archive, and wait until "
            "they have gone on",
            told->waiting, told->waiting == 1 ? " waits" : "s wait");
    if (told->nsteps)
        log_note("run %s, then try again", told->steps);
    else if (told->leaving)
        log_note(
            "check what else uses the device, such as 'cryptsetup' or 'mount' in another mount "
            "namespace; then try again");
    if (told->apart)
        log_note("run 'nsenter --mount --target %d umount %s', then try again", (int)told->apart,
                 told->apart_mountpoint);
    if (told->process)
        log_note("let the process close the file, then try again");
}

void busy_tell(const struct mounts *mounts, const struct mount *mount, const char *name,
               unsigned waiting)
{
    struct told told = {.what = "cannot unmount", .name = name, .waiting = waiting};

    if (holders_each(mounts, mount, tell_holder, &told))
        advise(&told);
    else
        tell_nobody(&told);
}

bool busy_tell_if(const struct mounts *mounts, const struct mount *mount, const char *name)
{
    struct told told = {.what = "cannot unmount", .name = name};
    bool busy = holders_each(mounts, mount, tell_holder, &told);

    if (busy)
        advise(&told);
    return busy;
}

void busy_tell_twins(const struct mounts *mounts, const struct mount *mount, const char *name,
                     const char *archive, bool gone)
{
    const char *what = gone ? "cannot finish unmounting" : "cannot unmount";
    const struct mount *twin = NULL;

    while ((twin = mounts_twin(mounts, mount, twin)))
        log_error("%s '%s': the same drive is mounted on '%s' as well", what, name,
                  twin->mountpoint);
    if (archive[0])
        log_note("'mosaicfs umount %s' unmounts it everywhere", archive);
    else
        log_note("'umount PATH' removes one mount at a time");
}

void busy_tell_elsewhere(const struct mounts *mounts, const struct server *server, const char *name)
{
    struct told told = {.what = "cannot finish unmounting", .name = name};

    if (holders_elsewhere(mounts, server->dev, tell_holder, &told))
        advise(&told);
    else
        tell_nobody(&told);
    log_note("'%s' is no longer mounted here, but process %d continues to serve it until then",
             name, (int)server->pid);
}
