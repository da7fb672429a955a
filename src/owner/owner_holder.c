/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which process of this machine holds the archive's flock, as /proc/locks tells it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "format/format.h"
#include "owner/owner.h"
#include "owner/owner_record.h"
#include "owner/writer.h"

/*
 * The process has that directory open. Asks no file system for news: the one of
 * a file that it has open may not answer.
 */
static bool has_open(pid_t pid, const struct stat *st)
{
    struct dirent *entry;
    bool found = false;
    char path[32];
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    while (dir && !found && (entry = readdir(dir))) {
        struct statx sx;

        found = statx(dirfd(dir), entry->d_name, AT_STATX_DONT_SYNC, STATX_INO, &sx) == 0 &&
                sx.stx_ino == st->st_ino &&
                makedev(sx.stx_dev_major, sx.stx_dev_minor) == st->st_dev;
    }
    if (dir)
        closedir(dir);
    return found;
}

/* *exclusive: it is a writer. *n: how many there are. */
static pid_t find_holder(const struct archive *archive, bool *exclusive, unsigned *n)
{
    FILE *f = fopen("/proc/locks", "re");
    pid_t exact = 0, likely = 0;
    struct stat st;
    char line[256];

    *exclusive = false;
    *n = 0;
    if (!f)
        return 0;
    if (fstat(archive->dirfd, &st) == 0) {
        while (fgets(line, sizeof(line), f)) {
            struct proc_flock lock;

            if (!proc_parse_flock(line, &lock) || lock.ino != st.st_ino || lock.pid <= 0 ||
                lock.pid == getpid())
                continue;
            if (lock.maj == major(st.st_dev) && lock.min == minor(st.st_dev))
                exact = lock.pid;
            else if (has_open(lock.pid, &st))
                likely = lock.pid; /* btrfs shows another device here than stat(2) does */
            else
                continue;
            *exclusive = lock.exclusive;
            ++*n;
        }
    }
    fclose(f);
    return exact ? exact : likely;
}

pid_t owner_holder(const struct archive *archive)
{
    bool exclusive;
    unsigned n;

    return find_holder(archive, &exclusive, &n);
}

unsigned owner_holder_count(const struct archive *archive, bool *exclusive)
{
    unsigned n;

    (void)find_holder(archive, exclusive, &n);
    return n;
}

/*
 * Certainly: the process lives, all that it has open can be seen, and this is not among it. The
 * process of another machine only has its number in common with one of ours.
 */
bool owner_holder_strange(const struct archive *archive, const struct record *record)
{
    char path[32];
    struct stat st;
    DIR *dir;

    if (writer_state(record, fs_local(archive->dirfd), false) != OWNER_ALIVE)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/fd", (int)record->pid);
    dir = opendir(path);
    if (!dir)
        return false;
    closedir(dir);
    return fstat(archive->dirfd, &st) == 0 && !has_open(record->pid, &st);
}

void owner_holder_note_copy(const struct archive *archive, const struct record *record)
{
    log_note("'%s/%s' is the lock of process %d, which has a different directory open%s%s%s",
             archive->path, FORMAT_LOCK_NAME, (int)record->pid,
             record->mountpoint[0] ? ", mounted on '" : "", record->mountpoint,
             record->mountpoint[0] ? "'" : "");
    log_note("if '%s' is a copy of that directory, remove this lock and try again; if it is the "
             "same directory under another path, unmount it first",
             archive->path);
}

/* Who may end it: its user, and root. */
static void advise_umount(const struct archive *archive, pid_t pid)
{
    struct passwd *user;
    struct stat st;
    char path[32];

    snprintf(path, sizeof(path), "/proc/%d", (int)pid);
    if (geteuid() == 0 || fstatat(AT_FDCWD, path, &st, 0) || st.st_uid == geteuid()) {
        log_note("run 'mosaicfs umount %s' to unmount it", archive->path);
        return;
    }
    user = getpwuid(st.st_uid);
    log_note("that is a process of user '%s' (%u): only that user and root can unmount it",
             user ? user->pw_name : "?", (unsigned)st.st_uid);
}

/* Nobody holds the flock, or flock does not work here: the record alone tells. */
static void tell_recorded(const struct archive *archive, const struct record *record)
{
    if (owner_holder_strange(archive, record)) {
        log_error("archive '%s' is in use, or is a copy of one that is", archive->path);
        owner_holder_note_copy(archive, record);
        return;
    }
    log_error("archive '%s' is in use by process %d%s%s%s", archive->path, (int)record->pid,
              record->mountpoint[0] ? ", which has it mounted on '" : "", record->mountpoint,
              record->mountpoint[0] ? "'" : "");
    if (record->mountpoint[0])
        advise_umount(archive, record->pid);
    else
        log_note("wait until that process has ended, then try again");
}

void owner_holder_tell(const struct archive *archive)
{
    struct record record;
    bool exclusive;
    unsigned n;
    pid_t pid = find_holder(archive, &exclusive, &n);

    if (owner_read(archive, &record) == 0 && (!pid || record.pid == pid))
        return tell_recorded(archive, &record);
    if (pid && exclusive) {
        log_error("archive '%s' is in use by process %d, which is just starting or finishing",
                  archive->path, (int)pid);
        log_note("try again in a moment");
    } else if (pid) {
        log_error("archive '%s' is in use read-only by process %d", archive->path, (int)pid);
        advise_umount(archive, pid);
    } else {
        log_error("archive '%s' is in use by another process, which is not visible from here",
                  archive->path);
        log_note("it may be in a container or belong to another user; end it there");
    }
}

/* The archive may have another name by now than the mount shows; its record tells of a writer. */
static bool is_ours(const struct proc_mount *mount, const struct archive *archive,
                    const struct record *record)
{
    return strcmp(mount->type, "fuse.mosaicfs") == 0 &&
           (strcmp(mount->source, archive->path) == 0 ||
            strcmp(mount->mountpoint, record->mountpoint) == 0);
}

bool owner_holder_mounted(const struct archive *archive, pid_t pid)
{
    struct record record = {0};
    char path[32];
    char *line = NULL;
    size_t cap = 0;
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
    f = fopen(path, "re");
    if (!f) /* EINVAL: it is ending and has left its namespace already */
        return errno != ENOENT && errno != ESRCH && errno != EINVAL;
    if (owner_record_read(archive, &record) || record.pid != pid)
        record.mountpoint[0] = '\0';
    while (!found && getline(&line, &cap, f) > 0) {
        struct proc_mount mount;

        found = proc_parse_mount(line, &mount) && is_ours(&mount, archive, &record);
    }
    free(line);
    fclose(f);
    return found;
}
