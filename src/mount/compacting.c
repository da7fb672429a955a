/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The whole loop over a mounted archive runs in the other process, which shares with us the
 * result, how far it is, and the word to stop. This one shows that, and gives the other up when
 * it hangs: only if the server is stopped or frozen, for a disk may be slow.
 */
#include "mount/compacting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "front/control.h"
#include "mount/apart.h"
#include "mount/health.h"
#include "mount/holders.h"
#include "mount/server.h"

#define LOOK_MS 50       /* between two looks at how far it is, and whether it is to end */
#define PATIENCE_MS 5000 /* without a step */
#define SLACK (UINT64_C(64) << 20) /* what the metadata of a file system above may take */

struct shared {
    const struct served *served;
    const struct archive *archive; /* of the process that asks: its path and index */
    const struct compacting_caller *caller;
    size_t size; /* of all this */
    int fd;      /* the mounted file, in the other process */
    /* Both processes. */
    atomic_bool stop;
    _Atomic uint64_t done, total;
    atomic_uint beat; /* counts steps */
    unsigned seen;    /* of these, by the one that waits, for ms so far */
    unsigned ms;
    struct compacting compacting; /* the last member: it ends with snapshots */
};

static struct shared *shared_of(struct compacting *compacting)
{
    return (struct shared *)(void *)((char *)compacting - offsetof(struct shared, compacting));
}

/* --- what is mounted from the drive ----------------------------------------------------------- */

struct search {
    struct compacting *compacting;
    dev_t devs[COMPACTING_ABOVE_MAX];
};

static void add_above(const struct holder *holder, void *arg)
{
    struct search *search = arg;
    struct compacting *compacting = search->compacting;
    struct compacting_above *above = &compacting->above[compacting->nabove];
    struct statvfs space;
    struct stat st;

    if (!holder->device || !holder->mountpoint || compacting->nabove == COMPACTING_ABOVE_MAX ||
        stat(holder->mountpoint, &st) || statvfs(holder->mountpoint, &space))
        return;
    for (unsigned i = 0; i < compacting->nabove; i++)
        if (search->devs[i] == st.st_dev)
            return;
    search->devs[compacting->nabove++] = st.st_dev;
    memcpy(above->mountpoint, holder->mountpoint, strlen(holder->mountpoint) + 1);
    above->used = (uint64_t)(space.f_blocks - space.f_bfree) * space.f_frsize;
}

bool compacting_untrimmed(const struct compacting *compacting)
{
    const struct compact *compact = &compacting->compact;
    uint64_t used = SLACK, stored = compact->stored;

    stored -= compact_freed(compact);
    for (unsigned i = 0; i < compacting->nabove; i++)
        used += compacting->above[i].used + compacting->above[i].used / 4;
    return compacting->nabove > 0 && stored > used;
}

/* --- in the other process --------------------------------------------------------------------- */

static int complain(const struct shared *shared, int rc)
{
    static const char what[] = "cannot compact what is mounted on";
    const char *name = shared->served->mount->mountpoint;

    if (rc == -ENOTTY)
        log_error("%s '%s': the process that serves it is of an older version", what, name);
    else
        log_error("%s '%s': %s", what, name, strerror(-rc));
    return rc;
}

static void tell(const struct control_compact *told, struct image_compact *step)
{
    *step = (struct image_compact){
        .dry = step->dry,
        .tile = told->tile,
        .left = told->left,
        .met = told->met,
        .error = told->error,
        .removed = told->flags & CONTROL_COMPACT_REMOVED,
        .stays = told->flags & CONTROL_COMPACT_STAYS,
        .block = told->block,
        .stored = told->stored,
        .data = told->data,
        .holes = told->holes,
        .tails = told->tails,
        .small = told->small,
        .fixed = told->fixed,
        .held = told->held,
        .freed = told->freed,
    };
}

static int step_asked(void *arg, struct image_compact *step)
{
    struct shared *shared = arg;
    struct control_compact call = {
        .flags = step->dry ? CONTROL_COMPACT_DRY : 0, .tile = step->tile, .left = step->left};
    uint32_t most = shared->archive->index.layout->tiles_max; /* it may have grown */

    if (ioctl(shared->fd, CONTROL_COMPACT, &call))
        return complain(shared, -errno);
    /* It is a process of another version, perhaps. */
    if (call.tile < step->tile || (call.tile == step->tile && call.left == step->left) ||
        (call.met >= most && call.met != CONTROL_COMPACT_NO_TILE))
        return complain(shared, -EPROTO);
    tell(&call, step);
    return 0;
}

static int read_asked(void *arg, uint64_t off, void *buf, size_t len)
{
    const struct shared *shared = arg;
    size_t got;
    int rc = io_pread(shared->fd, buf, len, off, &got);

    return rc ? rc : got < len ? -EIO : 0;
}

static bool note_progress(void *arg, uint64_t done, uint64_t total)
{
    struct shared *shared = arg;

    atomic_store(&shared->done, done);
    atomic_store(&shared->total, total);
    atomic_fetch_add(&shared->beat, 1);
    return !atomic_load(&shared->stop) && !shared->caller->stopped();
}

static int work_on(struct shared *shared, const struct archive *archive)
{
    const struct compact_writer writer = {step_asked, read_asked, shared, false};
    struct search search = {.compacting = &shared->compacting};
    int rc;

    shared->fd = server_open(shared->served->mount, O_RDWR);
    if (shared->fd < 0)
        return complain(shared, shared->fd);
    rc = compact_run(archive, &writer, note_progress, shared, &shared->compacting.compact);
    close(shared->fd);
    if (!rc)
        (void)holders_each(&shared->served->mounts, shared->served->mount, add_above, &search);
    return rc;
}

static void work(void *arg)
{
    struct shared *shared = arg;
    struct archive archive;
    int rc = archive_open(shared->archive->path, &archive); /* no descriptor of ours is here */

    if (!rc) {
        rc = work_on(shared, &archive);
        archive_close(&archive);
    }
    shared->compacting.rc = rc;
}

/* --- in this one ------------------------------------------------------------------------------ */

static void show(const struct shared *shared)
{
    shared->caller->progress(shared->caller->arg, atomic_load(&shared->done),
                             atomic_load(&shared->total));
}

static bool wait_on(void *arg)
{
    struct shared *shared = arg;
    unsigned beat = atomic_load(&shared->beat);

    show(shared);
    if (shared->caller->stopped())
        atomic_store(&shared->stop, true);
    shared->ms = beat == shared->seen ? shared->ms + LOOK_MS : 0;
    shared->seen = beat;
    return shared->ms < PATIENCE_MS || !health_halted(shared->served->server.pid);
}

static int run_asked(struct shared *shared)
{
    const struct apart apart = {
        .work = work, .arg = shared, .patience_ms = LOOK_MS, .go_on = wait_on};
    const struct served *served = shared->served;
    int rc = served->server.silent ? -ETIMEDOUT : apart_run(&apart);

    if (rc == -ETIMEDOUT)
        health_tell("cannot compact what is mounted on", served->mount->mountpoint,
                    served->server.pid);
    else if (rc)
        (void)complain(shared, rc);
    else
        show(shared);
    return rc ? rc : shared->compacting.rc;
}

static int refuse(const struct archive *archive, const struct mount *mount)
{
    log_error("cannot compact '%s': it is mounted read-only on '%s'", archive->path,
              mount->mountpoint);
    log_note("unmount it first; --dry-run needs no writing");
    return -EROFS;
}

static bool show_progress(void *arg, uint64_t done, uint64_t total)
{
    const struct compacting_caller *caller = arg;

    caller->progress(caller->arg, done, total);
    return !caller->stopped();
}

static int run(struct shared *shared)
{
    const struct mount *mount = shared->served->mount;
    struct compact *compact = &shared->compacting.compact;

    if (mount && !mount->read_only)
        return run_asked(shared);
    if (mount && !compact->dry)
        return refuse(shared->archive, mount);
    return compact_run(shared->archive, NULL, show_progress, (void *)shared->caller, compact);
}

int compacting_run(const struct served *served, const struct archive *archive, bool dry,
                   const struct compacting_caller *caller, struct compacting **out)
{
    struct shared *shared;
    unsigned n;
    size_t size;
    int rc = compact_snapshots(archive, &n);

    *out = NULL;
    if (rc)
        return rc;
    size = sizeof(*shared) + compact_size(n);
    shared = apart_memory(size);
    if (!shared) {
        log_error("cannot compact '%s': %s", archive->path, strerror(ENOMEM));
        return -ENOMEM;
    }
    shared->served = served;
    shared->archive = archive;
    shared->caller = caller;
    shared->size = size;
    shared->compacting.compact.dry = dry;
    shared->compacting.compact.nsnapshots = n;
    rc = run(shared);
    *out = &shared->compacting;
    if (rc) {
        compacting_free(*out);
        *out = NULL;
    }
    return rc;
}

void compacting_free(struct compacting *compacting)
{
    if (compacting)
        apart_free(shared_of(compacting), shared_of(compacting)->size);
}
