/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A loop device is found by the path of its backing file in sysfs, which
 * everybody may read. What is mounted from it may stand on partitions, on
 * device-mapper targets above them, and so on: sysfs links them upwards.
 */
#include "cli/holders.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEPTH_MAX 8   /* partition, LUKS, LVM, ...: more is a loop */
#define PROC_PATH 300 /* "/proc/PID/fdinfo/" and a name */

/* The content of a small file of /proc or /sys without its last newline. */
static bool read_text(const char *path, char *text, size_t cap)
{
    FILE *f = fopen(path, "re");
    size_t len;

    if (!f)
        return false;
    len = fread(text, 1, cap - 1, f);
    fclose(f);
    text[len] = '\0';
    if (len && text[len - 1] == '\n')
        text[len - 1] = '\0';
    return len > 0;
}

/* btrfs shows a device number of its own, so what it was mounted from counts too. */
static bool is_mounted_from(const struct mount *mount, dev_t dev)
{
    struct stat st;

    return mount->dev == dev ||
           (strncmp(mount->source, "/dev/", 5) == 0 && stat(mount->source, &st) == 0 &&
            S_ISBLK(st.st_mode) && st.st_rdev == dev);
}

static const char *mounted_from(const struct mounts *mounts, dev_t dev)
{
    for (size_t i = 0; i < mounts->n; i++)
        if (is_mounted_from(&mounts->list[i], dev))
            return mounts->list[i].mountpoint;
    return NULL;
}

static const char *device_mounted(const struct mounts *mounts, const char *name, int depth);

/* Looks at every entry of dir that begins with prefix as a device above. */
static const char *above(const struct mounts *mounts, const char *dir, const char *prefix,
                         int depth)
{
    DIR *d = opendir(dir);
    const char *found = NULL;
    struct dirent *entry;

    while (d && !found && (entry = readdir(d)))
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            found = device_mounted(mounts, entry->d_name, depth);
    if (d)
        closedir(d);
    return found;
}

/* Where the block device, a partition of it or a device above it is mounted, or NULL. */
static const char *device_mounted(const struct mounts *mounts, const char *name, int depth)
{
    char path[PROC_PATH + 16], text[32];
    const char *found = NULL;
    unsigned maj, min;

    if (depth == DEPTH_MAX)
        return NULL;
    snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
    if (read_text(path, text, sizeof(text)) && sscanf(text, "%u:%u", &maj, &min) == 2)
        found = mounted_from(mounts, makedev(maj, min));
    if (!found) {
        snprintf(path, sizeof(path), "/sys/class/block/%s", name);
        found = above(mounts, path, name, depth + 1);
    }
    if (!found) {
        snprintf(path, sizeof(path), "/sys/class/block/%s/holders", name);
        found = above(mounts, path, "", depth + 1);
    }
    return found;
}

static unsigned each_loop(const struct mounts *mounts, const struct mount *mount,
                          void (*tell)(const struct holder *holder, void *arg), void *arg)
{
    DIR *d = opendir("/sys/block");
    struct dirent *entry;
    unsigned n = 0;

    while (d && (entry = readdir(d))) {
        char path[PROC_PATH + 32], file[PATH_MAX + 1], device[PROC_PATH];
        struct holder holder = {.device = device};

        snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", entry->d_name);
        if (strncmp(entry->d_name, "loop", 4) || !read_text(path, file, sizeof(file)) ||
            strcmp(file, mount->mountpoint))
            continue;
        snprintf(device, sizeof(device), "/dev/%s", entry->d_name);
        holder.mountpoint = device_mounted(mounts, entry->d_name, 0);
        tell(&holder, arg);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

/* Is one of the process's open files on the mount? */
static bool has_open(const char *pid, const struct mount *mount)
{
    char path[2 * PROC_PATH], text[512];
    struct dirent *entry;
    bool found = false;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%s/fdinfo", pid);
    d = opendir(path);
    while (d && !found && (entry = readdir(d))) {
        const char *line;

        snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, entry->d_name);
        line = read_text(path, text, sizeof(text)) ? strstr(text, "mnt_id:") : NULL;
        found = line && atoi(line + strlen("mnt_id:")) == mount->id;
    }
    if (d)
        closedir(d);
    return found;
}

/* Does the process map the file? A mapping outlives its descriptor. */
static bool has_mapped(const char *pid, const struct mount *mount)
{
    char path[PROC_PATH];
    char *line = NULL;
    size_t cap = 0;
    bool found = false;
    unsigned maj, min;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%s/maps", pid);
    f = fopen(path, "re");
    while (f && !found && getline(&line, &cap, f) > 0)
        found =
            sscanf(line, "%*s %*s %*s %x:%x", &maj, &min) == 2 && makedev(maj, min) == mount->dev;
    free(line);
    if (f)
        fclose(f);
    return found;
}

static unsigned each_process(const struct mount *mount,
                             void (*tell)(const struct holder *holder, void *arg), void *arg)
{
    DIR *d = opendir("/proc");
    struct dirent *entry;
    unsigned n = 0;

    while (d && (entry = readdir(d))) {
        char path[PROC_PATH], comm[64] = "?";
        struct holder holder = {.pid = atoi(entry->d_name), .comm = comm};

        if (!isdigit((unsigned char)entry->d_name[0]) || holder.pid == getpid() ||
            (!has_open(entry->d_name, mount) && !has_mapped(entry->d_name, mount)))
            continue;
        snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
        read_text(path, comm, sizeof(comm));
        tell(&holder, arg);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

unsigned holders_each(const struct mounts *mounts, const struct mount *mount,
                      void (*tell)(const struct holder *holder, void *arg), void *arg)
{
    unsigned n = each_loop(mounts, mount, tell, arg);

    return n + each_process(mount, tell, arg);
}
