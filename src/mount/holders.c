/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A loop device is found by the path of its backing file in sysfs, which
 * everybody may read. What is mounted from it may stand on partitions, on
 * device-mapper targets above them, and so on: sysfs links them upwards.
 */
#include "mount/holders.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEPTH_MAX 8   /* partition, LUKS, LVM, ...: more is a loop */
#define PROC_PATH 300 /* "/proc/PID/fdinfo/" and a name */
#define STACK_MAX 64  /* devices on one loop device: what exceeds them is not looked at */
#define SEEN_MAX 256  /* mount namespaces: what exceeds them is not looked at */

/* What is held. */
struct target {
    const struct mount *mount; /* this mount of it, or NULL: whatever is left of it */
    dev_t dev;
    ino_t seen[SEEN_MAX]; /* mount namespaces that need no (other) look */
    unsigned nseen;
};

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

/* A device, and what stands on it: partitions, device-mapper targets, and so on. */
struct stack {
    dev_t list[STACK_MAX];
    unsigned n;
};

static void gather(struct stack *stack, const char *name, int depth);

/* Gathers every entry of dir that begins with prefix as a device above. */
static void gather_above(struct stack *stack, const char *dir, const char *prefix, int depth)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    while (d && (entry = readdir(d)))
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            gather(stack, entry->d_name, depth);
    if (d)
        closedir(d);
}

static void gather(struct stack *stack, const char *name, int depth)
{
    char path[PROC_PATH + 16], text[32];
    unsigned maj, min;

    if (depth == DEPTH_MAX || stack->n == STACK_MAX)
        return;
    snprintf(path, sizeof(path), "/sys/class/block/%s/dev", name);
    if (read_text(path, text, sizeof(text)) && sscanf(text, "%u:%u", &maj, &min) == 2)
        stack->list[stack->n++] = makedev(maj, min);
    snprintf(path, sizeof(path), "/sys/class/block/%s", name);
    gather_above(stack, path, name, depth + 1);
    snprintf(path, sizeof(path), "/sys/class/block/%s/holders", name);
    gather_above(stack, path, "", depth + 1);
}

static bool is_mounted_from_any(const struct mount *mount, const struct stack *stack)
{
    for (unsigned i = 0; i < stack->n; i++)
        if (is_mounted_from(mount, stack->list[i]))
            return true;
    return false;
}

/* What a loop device stands on, or 0. Asks whoever serves that file. */
static dev_t device_below(const char *device)
{
    int fd = open(device, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct loop_info64 info = {0};

    if (fd < 0)
        return 0;
    if (ioctl(fd, LOOP_GET_STATUS64, &info))
        info.lo_device = 0;
    close(fd);
    return info.lo_device;
}

/* A mount that is in no namespace has lost its path: the kernel shows "/". */
static bool stands_on(const char *file, const char *device, const struct target *target)
{
    if (target->mount)
        return strcmp(file, target->mount->mountpoint) == 0;
    return strcmp(file, "/") == 0 && device_below(device) == target->dev;
}

/* 'losetup -d' of a device that is in use lets it go with its last user. */
static bool is_leaving(const char *name)
{
    char path[PROC_PATH + 32], text[8];

    snprintf(path, sizeof(path), "/sys/block/%s/loop/autoclear", name);
    return read_text(path, text, sizeof(text)) && text[0] == '1';
}

/* Once for each mount, the last one first, as they can be unmounted; once when there is none. */
static void tell_device(const struct mounts *mounts, const char *name, struct holder *holder,
                        void (*tell)(const struct holder *holder, void *arg), void *arg)
{
    struct stack stack = {.n = 0};

    gather(&stack, name, 0);
    for (size_t i = mounts->n; i--;) {
        if (!is_mounted_from_any(&mounts->list[i], &stack))
            continue;
        holder->more = holder->mountpoint != NULL;
        if (holder->more)
            tell(holder, arg);
        holder->mountpoint = mounts->list[i].mountpoint;
    }
    holder->more = false;
    tell(holder, arg);
}

static unsigned each_loop(const struct mounts *mounts, const struct target *target,
                          void (*tell)(const struct holder *holder, void *arg), void *arg)
{
    DIR *d = opendir("/sys/block");
    struct dirent *entry;
    unsigned n = 0;

    while (d && (entry = readdir(d))) {
        char path[PROC_PATH + 32], file[PATH_MAX + 1], device[PROC_PATH];
        struct holder holder = {.device = device};

        snprintf(path, sizeof(path), "/sys/block/%s/loop/backing_file", entry->d_name);
        snprintf(device, sizeof(device), "/dev/%s", entry->d_name);
        if (strncmp(entry->d_name, "loop", 4) || !read_text(path, file, sizeof(file)) ||
            !stands_on(file, device, target))
            continue;
        holder.leaving = is_leaving(entry->d_name);
        tell_device(mounts, entry->d_name, &holder, tell, arg);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

static bool is_on_mount(const char *pid, const char *fd, const struct mount *mount)
{
    char path[2 * PROC_PATH], text[512];
    const char *line;

    snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
    line = read_text(path, text, sizeof(text)) ? strstr(text, "mnt_id:") : NULL;
    return line && atoi(line + strlen("mnt_id:")) == mount->id;
}

/* Asks for nothing but the device, which the kernel knows without asking a server. */
static bool is_on_device(const char *pid, const char *fd, dev_t dev)
{
    char path[2 * PROC_PATH];
    struct statx stx;

    snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, fd);
    return statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, 0, &stx) == 0 &&
           makedev(stx.stx_dev_major, stx.stx_dev_minor) == dev;
}

/* Is one of the process's open files the one in question? */
static bool has_open(const char *pid, const struct target *target)
{
    char path[PROC_PATH];
    struct dirent *entry;
    bool found = false;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    d = opendir(path);
    while (d && !found && (entry = readdir(d)))
        found = isdigit((unsigned char)entry->d_name[0]) &&
                (target->mount ? is_on_mount(pid, entry->d_name, target->mount)
                               : is_on_device(pid, entry->d_name, target->dev));
    if (d)
        closedir(d);
    return found;
}

/* Does the process map the file? A mapping outlives its descriptor. */
static bool has_mapped(const char *pid, const struct target *target)
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
            sscanf(line, "%*s %*s %*s %x:%x", &maj, &min) == 2 && makedev(maj, min) == target->dev;
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* The mount namespace that the process lives in, 0 when it may not be seen. */
static ino_t namespace_of(const char *pid)
{
    char path[PROC_PATH];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/*
 * Where the process of another mount namespace sees the file system mounted.
 * False too when another process of that namespace was told already.
 */
static bool has_mounted(const char *pid, struct target *target, char mountpoint[PATH_MAX])
{
    ino_t home = namespace_of(pid);
    struct mounts theirs;
    bool found = false;

    for (unsigned i = 0; i < target->nseen; i++)
        if (target->seen[i] == home)
            return false;
    if (!home || target->nseen == SEEN_MAX)
        return false;
    if (mounts_read(atoi(pid), &theirs) == 0)
        for (size_t i = 0; !found && i < theirs.n; i++)
            if ((found = theirs.list[i].dev == target->dev))
                snprintf(mountpoint, PATH_MAX, "%s", theirs.list[i].mountpoint);
    mounts_release(&theirs);
    target->seen[target->nseen++] = home;
    return found;
}

/* Fills in how the process holds the file. False: not at all. */
static bool holds(const char *pid, struct target *target, struct holder *holder,
                  char mountpoint[PATH_MAX])
{
    holder->apart = !target->mount && has_mounted(pid, target, mountpoint);
    holder->mountpoint = holder->apart ? mountpoint : NULL;
    return holder->apart || has_open(pid, target) || has_mapped(pid, target);
}

static unsigned each_process(struct target *target,
                             void (*tell)(const struct holder *holder, void *arg), void *arg)
{
    DIR *d = opendir("/proc");
    struct dirent *entry;
    unsigned n = 0;

    while (d && (entry = readdir(d))) {
        char path[PROC_PATH], mountpoint[PATH_MAX], comm[64] = "?";
        struct holder holder = {.pid = atoi(entry->d_name), .comm = comm};

        if (!isdigit((unsigned char)entry->d_name[0]) || holder.pid == getpid() ||
            !holds(entry->d_name, target, &holder, mountpoint))
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
    struct target target = {.mount = mount, .dev = mount->dev};
    unsigned n = each_loop(mounts, &target, tell, arg);

    return n + each_process(&target, tell, arg);
}

unsigned holders_elsewhere(const struct mounts *mounts, dev_t dev,
                           void (*tell)(const struct holder *holder, void *arg), void *arg)
{
    struct target target = {.dev = dev, .seen = {namespace_of("self")}, .nseen = 1};
    unsigned n;

    if (!dev)
        return 0;
    n = each_loop(mounts, &target, tell, arg);
    return n + each_process(&target, tell, arg);
}
