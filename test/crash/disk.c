/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A disk is an array of files by their numbers in the trace, each with what is
 * durable of it, the same with what the program saw, and the list of pending
 * events. A cut makes two copies: one is
 * what the program saw, to which all pending events are done in order; the
 * other, which is returned, takes over from it what the choice keeps.
 *
 * Copies share the bytes and names of a file until one of them changes it.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../random.h"
#include "grow.h"

#define THE_LENGTH UINT64_MAX /* in the place of a sector: is the new length kept? */

const char *const disk_kinds[DISK_KINDS] = {"lost", "kept", "names", "bytes",
                                            "only", "but",  "some",  "torn"};

struct name {
    char name[TRACE_NAME];
    unsigned target;
};

struct file {
    bool borrowed;        /* bytes and names belong to the disk that this one is a copy of */
    uint64_t len;         /* of a file */
    unsigned char *bytes; /* zeros from len on; after a cut anything, and out of sight */
    size_t cap;
    struct name *names; /* of a directory */
    size_t nnames;
};

struct disk {
    const struct trace *trace;
    struct file *files; /* durable */
    /*
     * What the program saw before the first pending event: the same, until a sync
     * fails. A copy has none.
     */
    struct disk *seen;
    size_t position;
    size_t *pending;
    size_t npending;
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    printf("Bail out! disk: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct disk *new_disk(const struct trace *trace)
{
    struct disk *disk = calloc(1, sizeof(*disk));

    must(disk != NULL, "memory");
    disk->trace = trace;
    disk->files = calloc(trace->ninodes, sizeof(*disk->files));
    must(disk->files != NULL, "memory");
    return disk;
}

struct disk *disk_new(const struct trace *trace)
{
    struct disk *disk = new_disk(trace);

    disk->seen = new_disk(trace);
    return disk;
}

void disk_free(struct disk *disk)
{
    if (disk->seen)
        disk_free(disk->seen);
    for (unsigned i = 0; i < disk->trace->ninodes; i++)
        if (!disk->files[i].borrowed) {
            free(disk->files[i].bytes);
            free(disk->files[i].names);
        }
    free(disk->files);
    free(disk->pending);
    free(disk);
}

size_t disk_position(const struct disk *disk)
{
    return disk->position;
}

const size_t *disk_pending(const struct disk *disk, size_t *n)
{
    *n = disk->npending;
    return disk->pending;
}

static struct disk *copy_of(const struct disk *disk)
{
    struct disk *copy = new_disk(disk->trace);

    memcpy(copy->files, disk->files, disk->trace->ninodes * sizeof(*copy->files));
    for (unsigned i = 0; i < disk->trace->ninodes; i++)
        copy->files[i].borrowed = true;
    return copy;
}

/* The file, to be changed; with room for len bytes. */
static struct file *own(struct disk *disk, unsigned inode, uint64_t len)
{
    struct file *file = &disk->files[inode];
    size_t cap = file->cap;
    unsigned char *bytes = file->bytes;

    while (cap < len)
        cap = cap ? 2 * cap : 8 * DISK_SECTOR;
    if (file->borrowed && file->nnames > 0) {
        struct name *names = NULL;

        for (size_t i = 0; i < file->nnames; i++) {
            names = grow(names, i, sizeof(*names));
            names[i] = file->names[i];
        }
        file->names = names;
    }
    if (cap > 0 && (file->borrowed || cap > file->cap)) {
        bytes = calloc(1, cap);
        must(bytes != NULL, "memory");
        if (file->cap > 0)
            memcpy(bytes, file->bytes, file->cap);
        if (!file->borrowed)
            free(file->bytes);
    }
    file->bytes = bytes;
    file->cap = cap;
    file->borrowed = false;
    return file;
}

/* --- names ------------------------------------------------------------------ */

static unsigned target_of(const struct file *dir, const char *name)
{
    for (size_t i = 0; i < dir->nnames; i++)
        if (strcmp(dir->names[i].name, name) == 0)
            return dir->names[i].target;
    return 0;
}

static void set_name(struct file *dir, const char *name, unsigned target)
{
    for (size_t i = 0; i < dir->nnames; i++)
        if (strcmp(dir->names[i].name, name) == 0) {
            dir->names[i].target = target;
            return;
        }
    dir->names = grow(dir->names, dir->nnames, sizeof(*dir->names));
    strcpy(dir->names[dir->nnames].name, name);
    dir->names[dir->nnames++].target = target;
}

/* --- events ----------------------------------------------------------------- */

static bool is_name(const struct trace_event *event)
{
    return event->kind == TRACE_ENTRY || event->kind == TRACE_RENAME;
}

/* The bytes of the file that the event changes, as the file is before it. */
static void range(const struct trace_event *event, const struct file *file, uint64_t *from,
                  uint64_t *to)
{
    *from = event->off;
    *to = event->off + event->len;
    if (event->kind != TRACE_WRITE)
        *to = event->kind == TRACE_PUNCH && *to < file->len ? *to : file->len;
    *to = *to > *from ? *to : *from;
}

static uint64_t length_after(const struct trace_event *event, const struct file *file)
{
    uint64_t end = event->off + event->len;

    if (event->kind == TRACE_TRUNCATE)
        return event->off;
    return event->kind == TRACE_WRITE && end > file->len ? end : file->len;
}

static void do_event(struct disk *disk, const struct trace_event *event)
{
    uint64_t end = event->kind == TRACE_WRITE ? event->off + event->len : 0;
    struct file *file = own(disk, event->inode, end);
    uint64_t from, to;

    if (is_name(event)) {
        set_name(file, event->name, event->kind == TRACE_RENAME ? 0 : event->target);
        if (event->kind == TRACE_RENAME)
            set_name(own(disk, event->to_dir, 0), event->to, event->target);
        return;
    }
    range(event, file, &from, &to);
    if (event->kind == TRACE_WRITE)
        memcpy(file->bytes + from, event->data, event->len);
    else if (to > from && from < file->cap)
        memset(file->bytes + from, 0, (to < file->cap ? to : file->cap) - from);
    file->len = length_after(event, file);
}

/* --- choices ---------------------------------------------------------------- */

static bool by_chance(uint64_t seed, uint64_t event, uint64_t sector)
{
    uint64_t state = seed * 1000003 + event;

    state = random_next(&state) ^ sector;
    return random_next(&state) % 4 < 1 + seed % 3; /* a quarter, a half, three quarters */
}

static bool keeps(const struct trace *trace, const struct disk_choice *choice, size_t event,
                  uint64_t sector)
{
    bool name = is_name(&trace->events[event]);

    switch (choice->kind) {
    case DISK_KEPT:
        return true;
    case DISK_NAMES:
        return name;
    case DISK_BYTES:
        return !name;
    case DISK_ONLY:
        return event == choice->arg;
    case DISK_BUT:
        return event != choice->arg;
    case DISK_SOME:
        return by_chance(choice->arg, event, 0);
    case DISK_TORN:
        return by_chance(choice->arg, event, sector);
    default:
        return false;
    }
}

enum disk_share disk_share(const struct disk *disk, size_t event, const struct disk_choice *choice)
{
    const struct trace_event *e = &disk->trace->events[event];
    unsigned kept = 0, all = 0;
    uint64_t end = e->kind == TRACE_WRITE ? e->off + e->len : e->off + 1;

    if (is_name(e) || choice->kind != DISK_TORN)
        return keeps(disk->trace, choice, event, 0) ? DISK_ALL : DISK_NONE;
    for (uint64_t sector = e->off / DISK_SECTOR; sector * DISK_SECTOR < end; sector++, all++)
        kept += keeps(disk->trace, choice, event, sector);
    return kept == 0 ? DISK_NONE : kept < all ? DISK_PART : DISK_ALL;
}

/* The sector of out becomes as in now. */
static void catch_up(struct disk *out, const struct file *now, unsigned inode, uint64_t sector)
{
    uint64_t at = sector * DISK_SECTOR;
    struct file *file = own(out, inode, at + DISK_SECTOR);

    if (at < now->cap)
        memcpy(file->bytes + at, now->bytes + at, DISK_SECTOR);
    else
        memset(file->bytes + at, 0, DISK_SECTOR);
}

/* Does the event to now, and to out what the choice keeps of it. */
static void do_part(struct disk *now, struct disk *out, size_t event,
                    const struct disk_choice *choice)
{
    const struct trace_event *e = &now->trace->events[event];
    const struct file *file = &now->files[e->inode];
    uint64_t from, to, len = file->len;

    range(e, file, &from, &to);
    do_event(now, e);
    if (is_name(e)) {
        if (!keeps(now->trace, choice, event, 0))
            return;
        set_name(own(out, e->inode, 0), e->name, target_of(file, e->name));
        if (e->kind == TRACE_RENAME)
            set_name(own(out, e->to_dir, 0), e->to, target_of(&now->files[e->to_dir], e->to));
        return;
    }
    for (uint64_t sector = from / DISK_SECTOR; sector * DISK_SECTOR < to; sector++)
        if (keeps(now->trace, choice, event, sector))
            catch_up(out, file, e->inode, sector);
    if (file->len != len && keeps(now->trace, choice, event, THE_LENGTH))
        own(out, e->inode, file->len)->len = file->len;
}

struct disk *disk_cut(const struct disk *disk, const struct disk_choice *choice)
{
    struct disk *now = copy_of(disk->seen);
    struct disk *out = copy_of(disk);

    for (size_t i = 0; i < disk->npending; i++)
        do_part(now, out, disk->pending[i], choice);
    disk_free(now);
    return out;
}

/* --- time ------------------------------------------------------------------- */

static bool moves(const struct trace_event *event)
{
    return event->kind == TRACE_RENAME && event->to_dir != event->inode;
}

static bool changes_name(const struct trace_event *event, unsigned dir, const char *name)
{
    return is_name(event) &&
           ((event->inode == dir && strcmp(event->name, name) == 0) ||
            (event->kind == TRACE_RENAME && event->to_dir == dir && strcmp(event->to, name) == 0));
}

/*
 * Which pending events a sync of inode (0: of all) brings to disk. A rename from
 * one directory to another comes with either, and takes with it what was done to
 * its names before.
 */
static bool *settled(const struct disk *disk, unsigned inode)
{
    const struct trace_event *events = disk->trace->events;
    bool *which = calloc(disk->npending + 1, sizeof(*which));

    must(which != NULL, "memory");
    for (size_t i = disk->npending; i-- > 0;) {
        const struct trace_event *move = &events[disk->pending[i]];

        which[i] =
            which[i] || !inode || move->inode == inode || (moves(move) && move->to_dir == inode);
        for (size_t k = 0; which[i] && moves(move) && k < i; k++)
            which[k] = which[k] ||
                       changes_name(&events[disk->pending[k]], move->inode, move->name) ||
                       changes_name(&events[disk->pending[k]], move->to_dir, move->to);
    }
    return which;
}

/*
 * A sync of inode (0: of all). What is pending becomes durable, or is given up if
 * the sync failed: the program goes on to see it, and the disk gets what of it
 * lies in a sector that is written and synced anew.
 */
static void settle(struct disk *disk, unsigned inode, bool failed)
{
    struct disk_choice choice = {failed ? DISK_LOST : DISK_KEPT, 0};
    bool *which = settled(disk, inode);
    size_t left = 0;

    for (size_t i = 0; i < disk->npending; i++) {
        unsigned changed = disk->trace->events[disk->pending[i]].inode;

        if (!which[i]) {
            disk->pending[left++] = disk->pending[i];
            continue;
        }
        do_part(disk->seen, disk, disk->pending[i], &choice);
        if (!failed && disk->files[changed].len != disk->seen->files[changed].len)
            own(disk, changed, 0)->len = disk->seen->files[changed].len;
    }
    disk->npending = left;
    free(which);
}

struct disk *disk_seen(const struct disk *disk)
{
    struct disk *now = copy_of(disk->seen);

    for (size_t i = 0; i < disk->npending; i++)
        do_event(now, &disk->trace->events[disk->pending[i]]);
    return now;
}

void disk_advance(struct disk *disk)
{
    size_t number = disk->position++;
    const struct trace_event *event = &disk->trace->events[number];

    if (event->kind == TRACE_SYNC)
        settle(disk, event->inode, false);
    else if (event->kind == TRACE_SYNC_ALL)
        settle(disk, 0, false);
    else if (event->kind == TRACE_FAILED)
        settle(disk, event->inode, true);
    if (!trace_changes(event))
        return;
    /* npending shrinks, so the array has its own capacity: that of the trace. */
    if (!disk->pending)
        disk->pending = malloc(disk->trace->nevents * sizeof(*disk->pending));
    must(disk->pending != NULL, "memory");
    disk->pending[disk->npending++] = number;
}

/* --- what there is ---------------------------------------------------------- */

static uint64_t hash_of(const struct disk *disk, unsigned inode)
{
    const struct file *file = &disk->files[inode];
    uint64_t hash =
        random_hash(file->len, file->bytes, file->len < file->cap ? file->len : file->cap);

    if (!disk->trace->inodes[inode].dir) /* two names of one file are not two files */
        return hash + inode;
    for (size_t i = 0; i < file->nnames; i++)
        if (file->names[i].target) /* the sum does not depend on the order */
            hash += random_hash(hash_of(disk, file->names[i].target), file->names[i].name,
                                strlen(file->names[i].name));
    return hash;
}

uint64_t disk_hash(const struct disk *disk)
{
    return hash_of(disk, TRACE_BASE);
}

/* Which of two files is newer is not known after a cut. */
static void write_file(const struct file *file, int dirfd, const char *name)
{
    static const struct timespec times[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
    uint64_t there = file->len < file->cap ? file->len : file->cap;

    must(fd >= 0, name);
    must(there == 0 || pwrite(fd, file->bytes, there, 0) == (ssize_t)there, name);
    must(there == file->len || ftruncate(fd, (off_t)file->len) == 0, name);
    must(futimens(fd, times) == 0, name);
    close(fd);
}

struct writing {
    const struct disk *disk;
    int base;
    char (*first)[TRACE_PATH]; /* the name that a file has already, below base; or "" */
};

/* A file with several names is one file. */
static void write_name(struct writing *w, unsigned inode, int dirfd, const char *name,
                       const char *path)
{
    char *first = w->first[inode];

    if (*first) {
        must(linkat(w->base, first, dirfd, name, 0) == 0, path);
        return;
    }
    write_file(&w->disk->files[inode], dirfd, name);
    strcpy(first, path);
}

/* fd is the directory, above its path with a slash at the end; or "". */
static void write_dir(struct writing *w, unsigned inode, int fd, const char *above)
{
    const struct file *dir = &w->disk->files[inode];

    for (size_t i = 0; i < dir->nnames; i++) {
        const struct name *name = &dir->names[i];
        char path[TRACE_PATH];
        int sub;

        if (!name->target)
            continue;
        must(snprintf(path, sizeof(path) - 1, "%s%s", above, name->name) < TRACE_PATH - 1, above);
        if (!w->disk->trace->inodes[name->target].dir) {
            write_name(w, name->target, fd, name->name, path);
            continue;
        }
        must(mkdirat(fd, name->name, 0755) == 0, path);
        sub = openat(fd, name->name, O_RDONLY | O_DIRECTORY);
        must(sub >= 0, path);
        write_dir(w, name->target, sub, strcat(path, "/"));
        close(sub);
    }
}

void disk_write(const struct disk *disk, const char *path)
{
    struct writing w = {.disk = disk, .base = open(path, O_RDONLY | O_DIRECTORY)};

    must(w.base >= 0, path);
    w.first = calloc(disk->trace->ninodes, sizeof(*w.first));
    must(w.first != NULL, "memory");
    write_dir(&w, TRACE_BASE, w.base, "");
    free(w.first);
    close(w.base);
}
