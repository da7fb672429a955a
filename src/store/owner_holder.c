/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/proc.h"
#include "store/owner.h"

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

pid_t owner_holder(const struct archive *archive)
{
    FILE *f = fopen("/proc/locks", "re");
    pid_t exact = 0, likely = 0;
    struct stat st;
    char line[256];

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
            else if (!likely && has_open(lock.pid, &st))
                likely = lock.pid; /* btrfs shows another device here than stat(2) does */
        }
    }
    fclose(f);
    return exact ? exact : likely;
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
    if (owner_record(archive, &record) || record.pid != pid)
        record.mountpoint[0] = '\0';
    while (!found && getline(&line, &cap, f) > 0) {
        struct proc_mount mount;

        found = proc_parse_mount(line, &mount) && is_ours(&mount, archive, &record);
    }
    free(line);
    fclose(f);
    return found;
}
