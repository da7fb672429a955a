/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads the archive itself, mounted or not, and takes no lock: on a mounted one the counts are
 * those of a moment, tile by tile.
 *
 * Two processes see one struct info; the child fills it in, in the order of
 * what most likely can be told, and what it has done by the time that it is
 * given up is good. What its pointers lead to is in both, or is text of the
 * program.
 */
#include "mount/info.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "drive/snapshot.h"
#include "front/control.h"
#include "mount/apart.h"
#include "owner/maclock.h"
#include "store/dir.h"

#define PATIENCE_MS 5000 /* while nothing gets on; more than a server has for its answer */
#define FAILED_MAX 20    /* so many tiles are told by name; then it is the disk */

/* Sparse files can be of any length, all of them together longer than there are numbers. */
static void add(uint64_t *sum, uint64_t n)
{
    *sum = n < INT64_MAX - *sum ? *sum + n : INT64_MAX;
}

struct counting {
    struct store *store;
    struct info *info;
};

/* One that cannot be looked at keeps nobody from counting the others. */
static int count_tile(void *arg, uint32_t tile, const struct store_place *place)
{
    const struct counting *counting = arg;
    struct info_usage *usage = &counting->info->usage;
    struct store_stat st;
    int rc = store_stat_at(counting->store, tile, place, &st);

    counting->info->beat++;
    if (rc == -ENOENT) /* trimmed since it was listed */
        return 0;
    if (rc)
        return ++usage->failed < FAILED_MAX ? 0 : rc;
    usage->tiles++;
    add(&usage->bytes, st.bytes);
    add(&usage->blocks, st.blocks);
    return 0;
}

static void count(struct info *info)
{
    const struct dir_config config = {.read_only = true, .max_open = DIR_OPEN_MIN};
    struct counting counting = {.info = info};
    int rc = dir_open(&info->archive, &config, &counting.store);

    if (!rc) {
        rc = store_each(counting.store, 0, info->archive.index.geometry.ntiles, count_tile,
                        &counting);
        store_close(counting.store);
    }
    info->usage.complete = !rc && !info->usage.failed;
}

static void beat(void *arg, uint32_t tile, uint32_t ntiles)
{
    struct info *info = arg;

    info->beat++;
}

/* Takes two looks at each tile of each snapshot. */
static void count_held(struct info *info)
{
    struct snapshot_held held;
    int rc = snapshot_held(&info->archive, beat, info, &held);

    info->snapshots = (struct info_snapshots){held.snapshots, held.blocks, !rc};
}

static void print_time(int64_t seconds, char text[INFO_TIME])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    text[0] = '\0';
    if (t > 0 && gmtime_r(&t, &tm))
        strftime(text, INFO_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static const char *state_of(const struct server *server)
{
    if (server->dead)
        return "dead";
    if (server->silent)
        return "silent";
    if (!server->answered)
        return "unknown";
    return server->flags & CONTROL_FAILED ? "failed" : "ok";
}

/* From the mount, and from the lock's record when that speaks of it, too. */
static void use_of_mount(struct info *info, const struct mount *mount, bool recorded)
{
    const struct server *server = &info->served.server;
    struct info_use *use = &info->use;
    struct statvfs space;

    use->state = state_of(server);
    snprintf(use->mountpoint, sizeof(use->mountpoint), "%s", mount->mountpoint);
    use->read_only = mount->read_only;
    use->pid = server->pid;
    use->waiting = server->waiting;
    print_time(server->waiting_since, use->waiting_since);
    if (fstatvfs(info->archive.dirfd, &space) == 0)
        use->free = (uint64_t)space.f_bavail * space.f_frsize;
    if (recorded && !mount->read_only) {
        use->pid = info->writer.pid;
        print_time(info->writer.since, use->since);
    } else if (gethostname(info->writer.host, sizeof(info->writer.host) - 1)) {
        strcpy(info->writer.host, "localhost");
    }
    use->host = info->writer.host;
}

/* The lock says that it is in use, and no mount is in sight: another host or mount namespace. */
static void use_of_record(struct info *info)
{
    info->use = (struct info_use){
        .state = "unknown",
        .host = info->writer.host,
        .pid = info->writer.pid,
    };
    strcpy(info->use.mountpoint, info->writer.mountpoint);
    print_time(info->writer.since, info->use.since);
}

static void find_use(struct info *info)
{
    const struct mount *mount = info->served.mount;
    int rc = owner_read(&info->archive, &info->writer);

    if (rc && rc != -ENOENT)
        log_warn("cannot read the lock of archive '%s': %s", info->archive.path,
                 rc == -EBADMSG ? "it is damaged" : io_why(rc));
    if (rc)
        info->writer = (struct record){0};
    if (mount)
        use_of_mount(info, mount, rc == 0);
    else if (!rc && owner_holder_strange(&info->archive, &info->writer))
        owner_holder_note_copy(&info->archive, &info->writer);
    else if (!rc && info->writer.mountpoint[0]) /* "": used without a mount */
        use_of_record(info);
    /* A writer of ours holds what a Mac would. */
    info->taken =
        (!info->use.state || info->use.read_only) && rc == -ENOENT && maclock_held(&info->archive);
}

static void find_covers(struct info *info)
{
    (void)!covers_source_recall(&info->archive, &info->covers); /* it has said why not */
    if (info->covers.path[0] && access(info->covers.path, R_OK))
        info->covers_err = errno;
}

/* --- in the other process --------------------------------------------------------------------- */

static void work(void *arg)
{
    struct info *info = arg;

    info->rc = served_open(&info->served, info->operand, archive_open, &info->archive);
    if (info->rc)
        return;
    info->opened = true;
    info->beat++;
    find_use(info);
    info->used = true;
    info->beat++;
    if (info->archive.index.layout->head == LAYOUT_PICTURE)
        find_covers(info);
    info->beat++;
    count(info);
    count_held(info);
}

/* --- in this one ------------------------------------------------------------------------------ */

struct watch {
    struct info info;
    unsigned seen; /* of beat */
};

static bool gets_on(void *arg)
{
    struct watch *watch = arg;
    bool on = watch->info.beat != watch->seen;

    watch->seen = watch->info.beat;
    return on;
}

/* The archive cannot even be opened, but who serves it knows its sizes. */
static void take_from_server(struct info *info)
{
    const struct server *server = &info->served.server;
    const struct control_status *status = &server->status;
    struct archive *archive = &info->archive;

    *archive = (struct archive){.dirfd = -1};
    archive->index.geometry = (struct geometry){
        .size = status->size, .tile_size = status->tile_size, .ntiles = status->ntiles};
    snprintf(archive->path, sizeof(archive->path), "%s", server->archive);
    info->usage = (struct info_usage){.tiles = status->tiles, .blocks = status->blocks};
    info->use = (struct info_use){
        .state = state_of(server),
        .host = "this host",
        .read_only = status->flags & CONTROL_READ_ONLY,
        .pid = server->pid,
        .waiting = server->waiting,
    };
    print_time(server->waiting_since, info->use.waiting_since);
    snprintf(info->use.mountpoint, sizeof(info->use.mountpoint), "%s", info->operand);
}

static void complain_still(struct info *info)
{
    log_error(
        "cannot get all information about '%s': the file system of the archive does not respond",
        info->operand);
    log_note("check whether its disk or its server still works; see 'dmesg'");
    if (!info->opened && info->served.server.answered)
        take_from_server(info);
    else if (!info->opened)
        info->rc = -ETIMEDOUT;
    else if (!info->used)
        info->use = (struct info_use){.state = "unknown", .host = ""};
}

static void complain_incomplete(const struct info *info)
{
    if (info->usage.complete)
        log_error("cannot get all information about archive '%s': not all of its snapshots can be "
                  "examined",
                  info->archive.path);
    else if (info->usage.failed)
        log_error(
            "cannot get all information about archive '%s': %s%u of its tiles cannot be examined",
            info->archive.path, info->usage.failed < FAILED_MAX ? "" : "at least ",
            (unsigned)info->usage.failed);
    else
        log_error(
            "cannot get all information about archive '%s': not all of its tiles can be counted",
            info->archive.path);
    log_note("'mosaicfs check %s' examines each of them", info->archive.path);
}

struct info *info_gather(const char *operand)
{
    struct watch *watch = apart_memory(sizeof(*watch));
    struct apart apart = {.work = work, .arg = watch, .patience_ms = PATIENCE_MS, .go_on = gets_on};
    struct info *info = &watch->info;
    int rc;

    static_assert(offsetof(struct watch, info) == 0, "one address");
    if (!watch) {
        log_error("cannot look at '%s': %s", operand, strerror(ENOMEM));
        return NULL;
    }
    *info = (struct info){.operand = operand, .archive.dirfd = -1};
    rc = apart_run(&apart);
    if (rc == -ETIMEDOUT) {
        complain_still(info);
    } else if (rc) {
        log_error("cannot look at '%s': %s", operand, strerror(-rc));
        info->rc = rc;
    } else if (!info->rc && !info_complete(info)) {
        complain_incomplete(info);
    }
    return info;
}

void info_free(struct info *info)
{
    apart_free(info, sizeof(struct watch));
}

bool info_complete(const struct info *info)
{
    return !info->rc && info->usage.complete && info->snapshots.complete;
}
