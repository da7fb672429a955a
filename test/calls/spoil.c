/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "spoil.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#define CALLS_MAX 8192
#define OPS (CALL_WRITE + 1)

static struct spoil plan;
static unsigned calls, hits, left; /* left: how many more may fail */
static bool hit_ops[OPS];
static bool strayed, overlooking;
static const char *now;

static struct spoil_call record[CALLS_MAX];
static unsigned nrecord;

/*
 * What the manual pages name, and what a medium, a network or a quota adds.
 * Not here: errors that tell of a state of the file system that is not so
 * (ENOENT, EEXIST), for those would be lies.
 */
static const int errors[OPS][12] = {
    [CALL_CLOSE] = {EIO, EINTR, EDQUOT},
    [CALL_CLOSEDIR] = {EIO},
    [CALL_FACCESSAT] = {EIO, ENOMEM},
    [CALL_FALLOCATE] = {EIO, ENOSPC, EDQUOT, EINTR, EFBIG, EOPNOTSUPP},
    [CALL_FDATASYNC] = {EIO, ENOSPC, EDQUOT, EINTR},
    [CALL_FDOPENDIR] = {ENOMEM, EMFILE},
    [CALL_FLOCK] = {EWOULDBLOCK, EINTR, ENOLCK},
    [CALL_FSTAT] = {EIO, ENOMEM},
    [CALL_FSTATAT] = {EIO, EACCES, ENOMEM},
    [CALL_FSTATVFS] = {EIO, EINTR},
    [CALL_FSYNC] = {EIO, ENOSPC, EDQUOT, EINTR},
    [CALL_FTRUNCATE] = {EIO, ENOSPC, EDQUOT, EINTR, EFBIG},
    [CALL_GETDENTS] = {EIO, EINTR, ENOMEM},
    [CALL_LINK] = {EIO, ENOSPC, EDQUOT, EACCES, EROFS},
    [CALL_LSEEK] = {EIO},
    [CALL_MKDIR] = {EIO, ENOSPC, EDQUOT, EACCES, EROFS, ENOMEM},
    [CALL_OPEN] = {EIO, EINTR, EMFILE, ENFILE, ENOMEM, EACCES, EPERM, EAGAIN, ENOSPC, EDQUOT,
                   EROFS},
    [CALL_PREAD] = {EIO, EINTR, ENOMEM},
    [CALL_PWRITE] = {EIO, ENOSPC, EDQUOT, EINTR, EFBIG},
    [CALL_READ] = {EIO, EINTR},
    [CALL_READDIR] = {EIO},
    [CALL_REALPATH] = {EIO, EACCES, ENOMEM},
    [CALL_RENAME] = {EIO, ENOSPC, EDQUOT, EACCES, EROFS, EINVAL},
    [CALL_SYNC_FILE_RANGE] = {EIO, ENOSPC},
    [CALL_SYNCFS] = {EIO, ENOSPC, EDQUOT},
    [CALL_UNLINK] = {EIO, EACCES, EPERM, EROFS},
    [CALL_WRITE] = {EIO, ENOSPC, EDQUOT, EINTR},
};

const char *spoil_mode_name(enum spoil_mode mode)
{
    static const char *const names[] = {"once", "thrice", "ever"};

    return names[mode];
}

static bool transfers(enum sys_op op)
{
    return op == CALL_PREAD || op == CALL_PWRITE || op == CALL_READ || op == CALL_WRITE;
}

/* Whether an open, a rename or an fallocate may say so; of the others the table knows all. */
static bool possible(const struct spoil_call *call, int error)
{
    bool creates = call->op == CALL_OPEN && (call->flags & O_CREAT);
    bool writes = creates || (call->flags & O_ACCMODE) != O_RDONLY;

    if (call->op == CALL_RENAME)
        return error != EINVAL || strcmp(call->name, "renameat2") == 0;
    if (call->op != CALL_OPEN)
        return true;
    if (error == ENOSPC || error == EDQUOT)
        return creates;
    if (error == EROFS)
        return writes;
    return error != EAGAIN || strcmp(call->name, "openat2") == 0;
}

static bool fits(const struct spoil_call *call, int error)
{
    if (error == SPOIL_SHORT)
        return transfers(call->op);
    for (unsigned i = 0; errors[call->op][i]; i++)
        if (errors[call->op][i] == error)
            return possible(call, error);
    return false;
}

bool spoil_error(const struct spoil_call *call, unsigned i, int *error)
{
    for (const int *e = errors[call->op]; *e; e++) {
        *error = *e;
        if (possible(call, *e) && i-- == 0)
            return true;
    }
    *error = SPOIL_SHORT;
    return i == 0 && transfers(call->op);
}

void spoil_begin(const struct spoil *to)
{
    plan = to ? *to : (struct spoil){0};
    left = plan.mode == SPOIL_ONCE ? 1 : plan.mode == SPOIL_THRICE ? 3 : ~0U;
    if (!plan.call)
        left = nrecord = 0;
    calls = hits = 0;
    memset(hit_ops, 0, sizeof(hit_ops));
    strayed = overlooking = false;
    now = "";
}

void spoil_step(const char *step)
{
    now = step;
}

void spoil_overlook(bool on)
{
    overlooking = on;
}

void spoil_heal(void)
{
    left = 0;
}

bool spoil_armed(void)
{
    return left > 0;
}

unsigned spoil_hits(void)
{
    return hits;
}

bool spoil_hit_op(enum sys_op op)
{
    return hit_ops[op];
}

bool spoil_strayed(void)
{
    return strayed;
}

const struct spoil_call *spoil_record(unsigned *n)
{
    *n = nrecord;
    return record;
}

static void keep(const struct spoil_call *call)
{
    if (nrecord == CALLS_MAX) {
        fprintf(stderr, "calls: more than %d calls in a run\n", CALLS_MAX);
        abort();
    }
    record[nrecord++] = *call;
}

int spoil_before(struct sys_call *call)
{
    const struct spoil_call seen = {call->op, call->name, call->flags, now};

    if (overlooking)
        return 0;
    calls++;
    if (!plan.call)
        keep(&seen);
    if (calls == plan.call && strcmp(record[calls - 1].name, seen.name) != 0)
        strayed = true;
    if (!left || calls < plan.call || !fits(&seen, plan.error))
        return 0;
    if (plan.error == SPOIL_SHORT && call->len < 2)
        return 0; /* nothing to cut */
    left -= plan.mode != SPOIL_EVER;
    hits++;
    hit_ops[call->op] = true;
    if (plan.error == SPOIL_SHORT)
        call->len = call->len / 2 + call->len % 7 % 2; /* odd lengths, too */
    return plan.error;
}
