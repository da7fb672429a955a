/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Fails the operations it is told to; everything else goes to the store below.
 * A failed operation has not reached that store: nothing was changed.
 */
#include "store/fault.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "base/log.h"

const char *const fault_op_names[FAULT_NOPS] = {
    [FAULT_READ] = "read",
    [FAULT_LEND] = "lend",
    [FAULT_WRITE] = "write",
    [FAULT_CREATE] = "create",
    [FAULT_REMOVE] = "remove",
    [FAULT_ZERO] = "zero",
    [FAULT_ALLOCATE] = "allocate",
    [FAULT_SEEK] = "seek",
    [FAULT_STAT] = "stat",
    [FAULT_NEXT] = "next",
    [FAULT_EACH] = "each",
    [FAULT_NOTE] = "note",
    [FAULT_MARK] = "mark",
    [FAULT_TELL] = "tell",
    [FAULT_RESIZE_TILE] = "resize-tile",
    [FAULT_RESIZE_BEGIN] = "resize-begin",
    [FAULT_FLUSH_START] = "flush-start",
    [FAULT_FLUSH] = "flush",
    [FAULT_FLUSH_ENTRIES] = "flush-entries",
    [FAULT_SPACE] = "space",
    [FAULT_MTIME] = "changed",
};

struct rule {
    int err;        /* > 0, or 0: no rule */
    uint64_t skip;  /* calls still to be let through */
    uint64_t count; /* calls still to be failed; UINT64_MAX: for ever */
    uint64_t calls;
    uint64_t failed;
};

struct fault {
    struct store store;
    struct store *below; /* fixed after open */
    struct mutex mu;     /* guards the rules */
    struct rule rules[FAULT_NOPS] GUARDED;
};

static struct fault *fault_of(struct store *st)
{
    return (struct fault *)st;
}

static struct store *below(struct store *st)
{
    return fault_of(st)->below;
}

static int apply(struct rule *rule)
{
    rule->calls++;
    if (!rule->err || !rule->count)
        return 0;
    if (rule->skip) {
        rule->skip--;
        return 0;
    }
    if (rule->count != UINT64_MAX)
        rule->count--;
    rule->failed++;
    return -rule->err;
}

/* 0: let the call through; else its result. */
static int verdict(struct store *st, enum fault_op op)
{
    struct fault *fault = fault_of(st);
    int rc;

    mutex_lock(&fault->mu);
    rc = apply(&fault->rules[op]);
    mutex_unlock(&fault->mu);
    if (rc)
        log_debug("fault: %s fails as told", fault_op_names[op]);
    return rc;
}

static int fault_read(struct store *st, uint32_t tile, uint64_t off, void *buf, size_t len)
{
    int rc = verdict(st, FAULT_READ);

    return rc ? rc : store_read(below(st), tile, off, buf, len);
}

/* As when a file is cut between the look at it and the use. */
static int lend_nothing(size_t len, store_use *use, void *arg)
{
    void *nothing = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (nothing == MAP_FAILED)
        return -ENOMEM;
    (void)!use(arg, nothing, len);
    munmap(nothing, len);
    return 0;
}

static int fault_lend(struct store *st, uint32_t tile, uint64_t off, size_t len, store_use *use,
                      void *arg)
{
    int rc = verdict(st, FAULT_LEND);

    if (rc == -EFAULT)
        return lend_nothing(len, use, arg);
    return rc ? rc : store_lend(below(st), tile, off, len, use, arg);
}

static int fault_lend_file(struct store *st, uint32_t tile, uint64_t off, uint64_t len,
                           store_use_file *use, void *arg)
{
    int rc = verdict(st, FAULT_LEND);

    return rc ? rc : store_lend_file(below(st), tile, off, len, use, arg);
}

static int fault_clone(struct store *st, uint32_t tile, uint64_t off, uint64_t len, int fd,
                       uint64_t fd_off)
{
    int rc = verdict(st, FAULT_WRITE);

    return rc ? rc : store_clone(below(st), tile, off, len, fd, fd_off);
}

static int fault_write(struct store *st, uint32_t tile, uint64_t off, const void *buf, size_t len)
{
    int rc = verdict(st, FAULT_WRITE);

    return rc ? rc : store_write(below(st), tile, off, buf, len);
}

static int fault_create(struct store *st, uint32_t tile)
{
    int rc = verdict(st, FAULT_CREATE);

    return rc ? rc : store_create(below(st), tile);
}

static int fault_remove(struct store *st, uint32_t tile)
{
    int rc = verdict(st, FAULT_REMOVE);

    return rc ? rc : store_remove(below(st), tile);
}

static int fault_zero(struct store *st, uint32_t tile, uint64_t off, uint64_t len, bool *empty)
{
    int rc = verdict(st, FAULT_ZERO);

    return rc ? rc : store_zero(below(st), tile, off, len, empty);
}

static int fault_allocate(struct store *st, uint32_t tile, uint64_t off, uint64_t len)
{
    int rc = verdict(st, FAULT_ALLOCATE);

    return rc ? rc : store_allocate(below(st), tile, off, len);
}

static int fault_seek(struct store *st, uint32_t tile, uint64_t off, enum store_seek what,
                      uint64_t *found)
{
    int rc = verdict(st, FAULT_SEEK);

    return rc ? rc : store_seek(below(st), tile, off, what, found);
}

static int fault_stat(struct store *st, uint32_t tile, const struct store_place *place,
                      struct store_stat *out)
{
    int rc = verdict(st, FAULT_STAT);

    return rc ? rc : store_stat_at(below(st), tile, place, out);
}

static int fault_blocks(struct store *st, uint32_t tile, struct store_blocks *out)
{
    return store_blocks(below(st), tile, out);
}

static int fault_holes(struct store *st, uint32_t tile)
{
    return store_holes(below(st), tile);
}

static int fault_next(struct store *st, uint32_t from, uint32_t end, uint32_t *found)
{
    int rc = verdict(st, FAULT_NEXT);

    return rc ? rc : store_next(below(st), from, end, found);
}

static int fault_each(struct store *st, uint32_t from, uint32_t end, store_met *met, void *arg)
{
    int rc = verdict(st, FAULT_EACH);

    return rc ? rc : store_each(below(st), from, end, met, arg);
}

static bool fault_noted(struct store *st, uint32_t tile)
{
    return store_noted(below(st), tile);
}

static int fault_note(struct store *st, const uint32_t *tiles, size_t n)
{
    int rc = verdict(st, FAULT_NOTE);

    return rc ? rc : store_note(below(st), tiles, n);
}

static int fault_mark(struct store *st)
{
    int rc = verdict(st, FAULT_MARK);

    return rc ? rc : store_mark(below(st));
}

static int fault_tell(struct store *st, char epoch[STORE_EPOCH])
{
    int rc = verdict(st, FAULT_TELL);

    return rc ? rc : store_tell(below(st), epoch);
}

static int fault_resize_tile(struct store *st, uint32_t tile, const struct geometry *to)
{
    int rc = verdict(st, FAULT_RESIZE_TILE);

    return rc ? rc : store_resize_tile(below(st), tile, to);
}

static int fault_resize_begin(struct store *st, const struct geometry *to, bool over)
{
    int rc = verdict(st, FAULT_RESIZE_BEGIN);

    return rc ? rc : store_resize_begin(below(st), to, over);
}

static void fault_resize(struct store *st, const struct geometry *to)
{
    store_resize(below(st));
}

static int fault_flush_start(struct store *st, uint32_t tile)
{
    int rc = verdict(st, FAULT_FLUSH_START);

    return rc ? rc : store_flush_start(below(st), tile);
}

static int fault_flush(struct store *st, uint32_t tile)
{
    int rc = verdict(st, FAULT_FLUSH);

    return rc ? rc : store_flush(below(st), tile);
}

static int fault_flush_entries(struct store *st)
{
    int rc = verdict(st, FAULT_FLUSH_ENTRIES);

    return rc ? rc : store_flush_entries(below(st));
}

static int fault_space(struct store *st, struct statvfs *out)
{
    int rc = verdict(st, FAULT_SPACE);

    return rc ? rc : store_space(below(st), out);
}

static int fault_mtime(struct store *st, struct timespec *out)
{
    int rc = verdict(st, FAULT_MTIME);

    return rc ? rc : store_mtime(below(st), out);
}

static int fault_replaced(struct store *st, struct store_replaced *out)
{
    return store_replaced(fault_of(st)->below, out);
}

static void fault_close(struct store *st)
{
    struct fault *fault = fault_of(st);

    store_close(fault->below);
    mutex_release(&fault->mu);
    free(fault);
}

static const struct store_ops fault_ops = {
    .name = "fault",
    .read = fault_read,
    .lend = fault_lend,
    .lend_file = fault_lend_file,
    .write = fault_write,
    .create = fault_create,
    .remove = fault_remove,
    .zero = fault_zero,
    .allocate = fault_allocate,
    .clone = fault_clone,
    .seek = fault_seek,
    .stat = fault_stat,
    .blocks = fault_blocks,
    .holes = fault_holes,
    .next = fault_next,
    .each = fault_each,
    .noted = fault_noted,
    .note = fault_note,
    .mark = fault_mark,
    .tell = fault_tell,
    .resize_tile = fault_resize_tile,
    .resize_begin = fault_resize_begin,
    .resize = fault_resize,
    .flush_start = fault_flush_start,
    .flush = fault_flush,
    .flush_entries = fault_flush_entries,
    .space = fault_space,
    .mtime = fault_mtime,
    .replaced = fault_replaced,
    .close = fault_close,
};

int fault_open(struct store *below_store, struct store **out)
{
    struct fault *fault = calloc(1, sizeof(*fault));

    if (!fault) {
        store_close(below_store);
        return -ENOMEM;
    }
    store_init(&fault->store, &fault_ops, store_geometry(below_store), below_store->tiles_max);
    fault->below = below_store;
    mutex_init(&fault->mu);
    *out = &fault->store;
    return 0;
}

void fault_set(struct store *st, enum fault_op op, int err, uint64_t skip, uint64_t count)
{
    struct fault *fault = fault_of(st);
    struct rule *rule = &fault->rules[op];

    assert(st->ops == &fault_ops && err >= 0);
    mutex_lock(&fault->mu);
    rule->err = err;
    rule->skip = skip;
    rule->count = count;
    mutex_unlock(&fault->mu);
}

void fault_counts(struct store *st, enum fault_op op, uint64_t *calls, uint64_t *failed)
{
    struct fault *fault = fault_of(st);

    assert(st->ops == &fault_ops);
    mutex_lock(&fault->mu);
    *calls = fault->rules[op].calls;
    *failed = fault->rules[op].failed;
    mutex_unlock(&fault->mu);
}
