/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "trace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../sys/sys.h"
#include "grow.h"
#include "record.h"

void trace_must(bool ok, const char *what, const char *name)
{
    if (ok)
        return;
    printf("Bail out! trace: %s '%s': %s\n", what, name ? name : "", strerror(errno));
    exit(1);
}

struct trace_event *trace_add(struct trace *t, enum trace_kind kind, unsigned inode)
{
    struct trace_event *event;

    t->events = grow(t->events, t->nevents, sizeof(*event));
    event = &t->events[t->nevents++];
    *event = (struct trace_event){.kind = kind, .op = t->op, .inode = inode};
    return event;
}

void trace_copy_name(char to[TRACE_NAME], const char *name)
{
    trace_must(strlen(name) < TRACE_NAME, "name too long", name);
    strcpy(to, name);
}

/* --- who is who ------------------------------------------------------------- */

static unsigned by_stat(const struct trace *t, const struct stat *st)
{
    unsigned i = t->ninodes;

    while (--i > 0) /* the newest first: the kernel may use a number again */
        if (t->inodes[i].ino == st->st_ino && t->inodes[i].dev == st->st_dev)
            return i;
    return 0;
}

unsigned trace_by_fd(const struct trace *t, int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 ? by_stat(t, &st) : 0;
}

static struct trace_entry *find(const struct trace *t, unsigned dir, const char *name)
{
    for (size_t i = 0; i < t->nentries; i++)
        if (t->entries[i].dir == dir && strcmp(t->entries[i].name, name) == 0)
            return &t->entries[i];
    return NULL;
}

unsigned trace_target(const struct trace *t, unsigned dir, const char *name)
{
    const struct trace_entry *entry = find(t, dir, name);

    return entry ? entry->target : 0;
}

void trace_set(struct trace *t, unsigned dir, const char *name, unsigned inode)
{
    struct trace_entry *entry = find(t, dir, name);

    if (!entry) {
        t->entries = grow(t->entries, t->nentries, sizeof(*entry));
        entry = &t->entries[t->nentries++];
        entry->dir = dir;
        trace_copy_name(entry->name, name);
    }
    entry->target = inode;
}

/* The directory and the last part of a path. 0: not ours. */
unsigned trace_place(const struct trace *t, int fd, const char *path, char name[TRACE_NAME])
{
    size_t base = strlen(t->base);
    unsigned dir;

    if (*path == '/' && (strncmp(path, t->base, base) != 0 || path[base] != '/'))
        return 0;
    dir = *path == '/' ? TRACE_BASE : trace_by_fd(t, fd);
    path += *path == '/' ? base + 1 : 0;
    while (dir) {
        size_t len = strcspn(path, "/");

        trace_must(len < TRACE_NAME, "name too long", path);
        memcpy(name, path, len);
        name[len] = '\0';
        if (!path[len])
            return dir;
        dir = trace_target(t, dir, name);
        path += len + 1;
    }
    return 0;
}

/* --- what happened ---------------------------------------------------------- */

void trace_enter(struct trace *t, unsigned dir, const char *name, unsigned inode)
{
    struct trace_event *event = trace_add(t, TRACE_ENTRY, dir);

    event->target = inode;
    trace_copy_name(event->name, name);
    trace_set(t, dir, name, inode);
}

static void must_path(const struct trace *t, unsigned dir, const char *name, char path[TRACE_PATH])
{
    const char *above = dir ? t->inodes[dir].path : "";

    trace_must(snprintf(path, TRACE_PATH, "%s%s%s", above, *above ? "/" : "", name) < TRACE_PATH,
               "path too long", name);
}

unsigned trace_make(struct trace *t, unsigned dir, const char *name, const struct stat *st)
{
    struct trace_inode *inode;

    t->inodes = grow(t->inodes, t->ninodes, sizeof(*inode));
    inode = &t->inodes[t->ninodes];
    *inode =
        (struct trace_inode){.dir = S_ISDIR(st->st_mode), .dev = st->st_dev, .ino = st->st_ino};
    must_path(t, dir, name, inode->path);
    if (dir)
        trace_enter(t, dir, name, t->ninodes);
    return t->ninodes++;
}

void trace_write(struct trace *t, unsigned inode, uint64_t off, const void *buf, size_t len)
{
    struct trace_event *event = trace_add(t, TRACE_WRITE, inode);

    event->off = off;
    event->len = len;
    event->data = malloc(len);
    trace_must(event->data != NULL, "memory", NULL);
    memcpy(event->data, buf, len);
}

/* --- start and end ---------------------------------------------------------- */

static void scan_file(struct trace *t, int fd, unsigned inode, size_t len)
{
    unsigned char *buf = malloc(len + 1);

    trace_must(buf && pread(fd, buf, len, 0) == (ssize_t)len, "read", t->inodes[inode].path);
    if (len > 0)
        trace_write(t, inode, 0, buf, len);
    free(buf);
}

/* One more name of a file. Its path is the shortest: that of a tile, not of a snapshot's. */
static void scan_link(struct trace *t, unsigned dir, const char *name, unsigned inode)
{
    char path[TRACE_PATH];

    must_path(t, dir, name, path);
    if (strlen(path) < strlen(t->inodes[inode].path))
        strcpy(t->inodes[inode].path, path);
    trace_enter(t, dir, name, inode);
}

/* Consumes fd. */
static void scan(struct trace *t, unsigned dir, int fd)
{
    DIR *d = fdopendir(fd);
    struct dirent *entry;

    trace_must(d != NULL, "fdopendir", t->inodes[dir].path);
    while ((entry = readdir(d))) {
        struct stat st;
        unsigned inode;
        int sub;

        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        sub = openat(fd, entry->d_name, O_RDONLY);
        trace_must(sub >= 0 && fstat(sub, &st) == 0, "open", entry->d_name);
        inode = st.st_nlink > 1 && !S_ISDIR(st.st_mode) ? by_stat(t, &st) : 0;
        if (inode) {
            scan_link(t, dir, entry->d_name, inode);
            close(sub);
            continue;
        }
        inode = trace_make(t, dir, entry->d_name, &st);
        if (S_ISDIR(st.st_mode)) {
            scan(t, inode, sub);
        } else {
            scan_file(t, sub, inode, (size_t)st.st_size);
            close(sub);
        }
    }
    closedir(d);
}

void trace_start(struct trace *t, const char *base)
{
    struct sys_hooks hooks = {.arg = t, .before = record_before, .after = record_after};
    struct stat st = {0};
    int fd = open(base, O_RDONLY | O_DIRECTORY);

    *t = (struct trace){0};
    snprintf(t->base, sizeof(t->base), "%s", base);
    trace_must(fd >= 0 && fstat(fd, &st) == 0, "open", base);
    trace_make(t, 0, "", &(struct stat){0});
    trace_make(t, 0, "", &st);
    scan(t, TRACE_BASE, fd);
    trace_add(t, TRACE_SYNC_ALL, 0);
    sys_hook(&hooks);
}

static void forget(struct trace *t, size_t q)
{
    for (size_t i = q; i < t->nevents; i++)
        free(t->events[i].data);
    t->nevents = q;
    t->nentries = 0;
    for (unsigned i = 0; i < t->ninodes; i++)
        t->inodes[i].dev = t->inodes[i].ino = 0;
    for (size_t i = 0; i < q; i++) {
        const struct trace_event *event = &t->events[i];

        if (event->kind == TRACE_ENTRY)
            trace_set(t, event->inode, event->name, event->target);
        if (event->kind == TRACE_RENAME) {
            trace_set(t, event->inode, event->name, 0);
            trace_set(t, event->to_dir, event->to, event->target);
        }
    }
}

/* The numbers that the kernel gave to the files in dir, which is open at fd, and below. */
static void bind_dir(struct trace *t, unsigned dir, int fd)
{
    struct stat st = {0};

    trace_must(fstat(fd, &st) == 0, "fstat", t->inodes[dir].path);
    t->inodes[dir].dev = st.st_dev;
    t->inodes[dir].ino = st.st_ino;
    for (size_t i = 0; i < t->nentries; i++) {
        const struct trace_entry *entry = &t->entries[i];
        int sub;

        if (entry->dir != dir || !entry->target)
            continue;
        sub = openat(fd, entry->name, O_RDONLY);
        trace_must(sub >= 0, "open", entry->name);
        bind_dir(t, entry->target, sub);
        close(sub);
    }
}

void trace_continue(struct trace *t, size_t q, const char *base)
{
    struct sys_hooks hooks = {.arg = t, .before = record_before, .after = record_after};
    int fd = open(base, O_RDONLY | O_DIRECTORY);

    trace_must(fd >= 0, "open", base);
    snprintf(t->base, sizeof(t->base), "%s", base);
    forget(t, q);
    bind_dir(t, TRACE_BASE, fd);
    close(fd);
    sys_hook(&hooks);
}

void trace_stop(struct trace *t)
{
    sys_hook(NULL);
}

void trace_free(struct trace *t)
{
    for (size_t i = 0; i < t->nevents; i++)
        free(t->events[i].data);
    free(t->events);
    free(t->inodes);
    free(t->entries);
}

void trace_begin(struct trace *t, unsigned op)
{
    t->op = op;
    trace_add(t, TRACE_BEGIN, 0);
}

void trace_end(struct trace *t, unsigned op)
{
    t->op = op;
    trace_add(t, TRACE_END, 0);
}

bool trace_changes(const struct trace_event *event)
{
    return event->kind <= TRACE_RENAME;
}

const char *trace_text(const struct trace *t, const struct trace_event *e, char *text, size_t cap)
{
    const char *path = t->inodes[e->inode].path;
    const char *slash = *path ? "/" : "";

    path = *path || e->inode != TRACE_BASE ? path : ".";
    switch (e->kind) {
    case TRACE_WRITE:
        snprintf(text, cap, "write %" PRIu64 " bytes at %" PRIu64 " of %s", e->len, e->off, path);
        break;
    case TRACE_TRUNCATE:
        snprintf(text, cap, "truncate %s to %" PRIu64, path, e->off);
        break;
    case TRACE_PUNCH:
        snprintf(text, cap, "punch %" PRIu64 " bytes at %" PRIu64 " of %s", e->len, e->off, path);
        break;
    case TRACE_ENTRY:
        snprintf(text, cap, "%s %s%s%s", e->target ? "make" : "remove", t->inodes[e->inode].path,
                 slash, e->name);
        break;
    case TRACE_RENAME:
        snprintf(text, cap, "rename %s%s%s to %s/%s", t->inodes[e->inode].path, slash, e->name,
                 t->inodes[e->to_dir].path, e->to);
        break;
    case TRACE_SYNC:
        snprintf(text, cap, "sync %s", path);
        break;
    case TRACE_SYNC_ALL:
        snprintf(text, cap, "sync everything");
        break;
    case TRACE_FAILED:
        snprintf(text, cap, "fail to sync %s", path);
        break;
    case TRACE_BEGIN:
        snprintf(text, cap, "operation %u begins", e->op);
        break;
    case TRACE_END:
        snprintf(text, cap, "operation %u returned", e->op);
        break;
    case TRACE_NOTHING:
        snprintf(text, cap, "(left out by the bug)");
        break;
    }
    return text;
}
