/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace.h"

static unsigned must_place(const struct trace *t, int fd, const char *path, char name[TRACE_NAME])
{
    unsigned dir = trace_place(t, fd, path, name);

    trace_must(dir, "a change elsewhere", path);
    return dir;
}

static unsigned must_fd(const struct trace *t, int fd)
{
    unsigned inode = trace_by_fd(t, fd);

    trace_must(inode, "a change of a file that is not known", NULL);
    return inode;
}

static void opened(struct trace *t, const struct sys_call *call, int fd)
{
    struct stat st;

    trace_must((call->flags & O_TMPFILE) != O_TMPFILE, "O_TMPFILE is not known", call->path);
    if (t->made_in && !trace_target(t, t->made_in, t->made_as)) {
        trace_must(fstat(fd, &st) == 0, "fstat", call->path);
        trace_make(t, t->made_in, t->made_as, &st);
    } else if (call->flags & O_TRUNC) {
        trace_add(t, TRACE_TRUNCATE, must_fd(t, fd));
    }
}

static void made_dir(struct trace *t, const struct sys_call *call)
{
    char name[TRACE_NAME];
    unsigned dir = must_place(t, call->fd, call->path, name);
    struct stat st;

    trace_must(fstatat(call->fd, call->path, &st, 0) == 0, "fstatat", call->path);
    trace_make(t, dir, name, &st);
}

static void removed(struct trace *t, const struct sys_call *call)
{
    char name[TRACE_NAME];
    unsigned dir = must_place(t, call->fd, call->path, name);

    trace_enter(t, dir, name, 0);
}

static void linked(struct trace *t, const struct sys_call *call)
{
    char from[TRACE_NAME], name[TRACE_NAME];
    unsigned dir = must_place(t, call->fd, call->path, from);
    unsigned inode = trace_target(t, dir, from);

    trace_enter(t, must_place(t, call->to_fd, call->to_path, name), name, inode);
}

static void renamed(struct trace *t, const struct sys_call *call)
{
    char from[TRACE_NAME], to[TRACE_NAME];
    unsigned dir = must_place(t, call->fd, call->path, from);
    unsigned inode = trace_target(t, dir, from);
    unsigned to_dir = must_place(t, call->to_fd, call->to_path, to);
    struct trace_event *event;

    trace_must(!(call->flags & RENAME_EXCHANGE), "RENAME_EXCHANGE is not known", call->path);
    event = trace_add(t, TRACE_RENAME, dir);
    event->target = inode;
    event->to_dir = to_dir;
    trace_copy_name(event->name, from);
    trace_copy_name(event->to, to);
    trace_set(t, dir, from, 0);
    trace_set(t, to_dir, to, inode);
}

static void allocated(struct trace *t, const struct sys_call *call)
{
    struct trace_event *event;

    if (call->flags == FALLOC_FL_KEEP_SIZE)
        return; /* space, and no bytes */
    trace_must(call->flags == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) ||
                   call->flags == (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE),
               "this mode of fallocate is not known", NULL);
    event = trace_add(t, TRACE_PUNCH, must_fd(t, call->fd));
    event->off = call->off;
    event->len = call->len;
}

int record_before(void *arg, struct sys_call *call)
{
    struct trace *t = arg;

    t->made_in = 0;
    if (call->op == CALL_OPEN && (call->flags & O_CREAT))
        t->made_in = trace_place(t, call->fd, call->path, t->made_as);
    if ((call->op != CALL_FSYNC && call->op != CALL_FDATASYNC) || !t->failing ||
        t->failing != trace_by_fd(t, call->fd))
        return 0;
    trace_add(t, TRACE_FAILED, t->failing);
    t->failing = 0;
    return EIO;
}

void record_after(void *arg, const struct sys_call *call, long result, int err)
{
    struct trace *t = arg;

    if (err)
        return;
    switch (call->op) {
    case CALL_OPEN:
        opened(t, call, (int)result);
        break;
    case CALL_PWRITE:
        trace_write(t, must_fd(t, call->fd), call->off, call->buf, (size_t)result);
        break;
    case CALL_WRITE:
        trace_write(t, must_fd(t, call->fd), (uint64_t)(lseek(call->fd, 0, SEEK_CUR) - result),
                    call->buf, (size_t)result);
        break;
    case CALL_FTRUNCATE:
        trace_add(t, TRACE_TRUNCATE, must_fd(t, call->fd))->off = call->off;
        break;
    case CALL_FALLOCATE:
        allocated(t, call);
        break;
    case CALL_MKDIR:
        made_dir(t, call);
        break;
    case CALL_UNLINK:
        removed(t, call);
        break;
    case CALL_LINK:
        linked(t, call);
        break;
    case CALL_RENAME:
        renamed(t, call);
        break;
    case CALL_FSYNC:
    case CALL_FDATASYNC:
        trace_add(t, TRACE_SYNC, must_fd(t, call->fd));
        break;
    case CALL_SYNCFS:
        trace_add(t, TRACE_SYNC_ALL, 0);
        break;
    default: /* changes nothing: sync_file_range(2) promises nothing either */
        break;
    }
}
