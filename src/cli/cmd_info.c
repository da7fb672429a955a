/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reads the archive itself, mounted or not, and takes no lock: on a mounted
 * one the counts are those of a moment, tile by tile.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/parse.h"
#include "cli/cli.h"
#include "cli/escape.h"
#include "cli/health.h"
#include "cli/json.h"
#include "cli/served.h"
#include "format/format.h"
#include "front/control.h"
#include "store/archive.h"
#include "store/covers.h"
#include "store/dir.h"
#include "store/maclock.h"
#include "store/owner.h"

#define OPEN_MAX_FILES 64 /* the least that dir_open() takes */
#define TIME_TEXT 32

struct usage {
    uint32_t tiles;
    uint64_t bytes;  /* lengths of the tile files */
    uint64_t blocks; /* of 512 bytes */
};

struct use {
    const char *state; /* NULL: not in use */
    const char *mountpoint;
    const char *host;
    bool read_only;
    pid_t pid;             /* 0: not known */
    char since[TIME_TEXT]; /* RFC 3339, or "" */
    unsigned waiting;      /* requests that wait for space */
    char waiting_since[TIME_TEXT];
    uint64_t free; /* bytes on the file system of the archive */
};

struct info {
    struct archive archive;
    struct usage usage;
    struct served served;
    struct record writer; /* what use points into */
    struct use use;
    struct covers_source covers; /* path "": not known */
    int covers_err;              /* why they cannot be looked for there, a positive errno, or 0 */
    bool taken;                  /* by another program, such as a Mac; no mount of ours */
};

/* Sparse files can be of any length, all of them together longer than there are numbers. */
static void add(uint64_t *sum, uint64_t n)
{
    *sum = n < INT64_MAX - *sum ? *sum + n : INT64_MAX;
}

struct counting {
    struct store *store;
    struct usage *usage;
};

static int count_tile(void *arg, uint32_t tile, const struct store_place *place)
{
    struct counting *counting = arg;
    struct store_stat st;
    int rc = store_stat_at(counting->store, tile, place, &st);

    if (rc) /* -ENOENT: trimmed since it was listed */
        return rc == -ENOENT ? 0 : rc;
    counting->usage->tiles++;
    add(&counting->usage->bytes, st.bytes);
    add(&counting->usage->blocks, st.blocks);
    return 0;
}

static int count(const struct archive *archive, struct usage *usage)
{
    struct counting counting = {.usage = usage};
    int rc = dir_open(archive, true, OPEN_MAX_FILES, &counting.store);

    *usage = (struct usage){0};
    if (rc)
        return rc;
    rc = store_each(counting.store, 0, archive->index.geometry.ntiles, count_tile, &counting);
    store_close(counting.store);
    return rc;
}

static void print_time(int64_t seconds, char text[TIME_TEXT])
{
    time_t t = (time_t)seconds;
    struct tm tm;

    text[0] = '\0';
    if (t > 0 && gmtime_r(&t, &tm))
        strftime(text, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
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
    struct use *use = &info->use;
    struct statvfs space;

    use->state = state_of(server);
    use->mountpoint = mount->mountpoint;
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
    info->use = (struct use){
        .state = "unknown",
        .mountpoint = info->writer.mountpoint,
        .host = info->writer.host,
        .pid = info->writer.pid,
    };
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

static void line(const char *name, const char *fmt, ...) PRINTF(2, 3);
static void line(const char *name, const char *fmt, ...)
{
    char text[2 * PATH_MAX]; /* names among it that others chose */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    printf("%-10s", name);
    escape_print(text, stdout);
    putchar('\n');
}

static void print_use(const struct use *use)
{
    char free[PARSE_SIZE_TEXT];

    if (!use->state) {
        line("mounted", "no");
        return;
    }
    line("mounted", "on '%s'%s", use->mountpoint, use->read_only ? ", read-only" : "");
    if (use->pid)
        line("", "by process %d of host '%s'%s%s", (int)use->pid, use->host,
             use->since[0] ? " since " : "", use->since);
    if (use->waiting) {
        parse_size_text(use->free, free);
        line("waiting", "%u request%s for space since %s", use->waiting,
             use->waiting == 1 ? "" : "s", use->waiting_since);
        line("", "%s free for the archive; they go on when there is more", free);
    }
    if (!strcmp(use->state, "failed"))
        line("", "no more writes are taken, for some could not be brought to disk: see its log, "
                 "unmount");
    if (!strcmp(use->state, "dead"))
        line("", "its process has died: 'mosaicfs umount' takes the mount away");
    if (!strcmp(use->state, "silent"))
        line("", "that process %s", health_word(use->pid));
    if (!strcmp(use->state, "unknown"))
        line("", "that process could not be asked how it is");
}

static void print_covers(const struct info *info)
{
    const struct covers_source *covers = &info->covers;
    char max[PARSE_SIZE_TEXT];

    if (!covers->path[0]) {
        line("covers", "not known on this machine: new tiles show pictures of other tiles");
        return;
    }
    parse_size_text(covers->max, max);
    line("covers", "from '%s', each at most %s", covers->path, max);
    if (info->covers_err)
        line("", "nothing can be read there (%s): new tiles show pictures of other tiles",
             strerror(info->covers_err));
}

static void print_text(const struct info *info)
{
    const struct index *index = &info->archive.index;
    const struct geometry *geo = &index->geometry;
    const struct usage *usage = &info->usage;
    char a[PARSE_SIZE_TEXT], b[PARSE_SIZE_TEXT];

    line("archive", "%s", info->archive.path);
    parse_size_text(geo->size, a);
    line("size", "%s (%" PRIu64 " bytes)", a, geo->size);
    parse_size_text(geo->tile_size, a);
    line("tiles", "%" PRIu32 " of %" PRIu32 " present, each %s (%" PRIu64 " bytes)", usage->tiles,
         geo->ntiles, a, geo->tile_size);
    parse_size_text(usage->bytes, a);
    parse_size_text(usage->blocks * 512, b);
    line("stored", "%s (%" PRIu64 " bytes), occupying %s (%" PRIu64 " bytes)", a, usage->bytes, b,
         usage->blocks * 512);
    if (index->format == FORMAT_FOREIGN)
        line("format", "of another program, layout %s", index->layout->name);
    else
        line("format", "%d, layout %s", index->format, index->layout->name);
    if (index->uuid[0])
        line("uuid", "%s", index->uuid);
    if (index->layout->head == LAYOUT_PICTURE)
        print_covers(info);
    print_use(&info->use);
    if (info->taken)
        line("in use", "by another program, such as a Mac: it can only be mounted read-only");
}

static void add_use(struct json_object *json, const struct use *use)
{
    struct json_object *group;

    if (!use->state) {
        json_add_text(json, "mounted", NULL);
        return;
    }
    group = json_add_group(json, "mounted");
    json_add_text(group, "mountpoint", use->mountpoint);
    json_add_bool(group, "read_only", use->read_only);
    json_add_text(group, "host", use->host);
    json_add_number(group, "pid", (uint64_t)use->pid);
    json_add_text(group, "since", use->since[0] ? use->since : NULL);
    json_add_text(group, "state", use->state);
    json_add_number(group, "waiting", use->waiting);
    json_add_text(group, "waiting_since", use->waiting ? use->waiting_since : NULL);
}

static void add_covers(struct json_object *json, const struct info *info)
{
    const struct covers_source *covers = &info->covers;
    struct json_object *group;

    if (!covers->path[0]) {
        json_add_text(json, "cover", NULL);
        return;
    }
    group = json_add_group(json, "cover");
    json_add_text(group, "path", covers->path);
    json_add_number(group, "max", covers->max);
    json_add_bool(group, "found", !info->covers_err);
}

static void add_all(struct json_object *json, const struct info *info)
{
    const struct index *index = &info->archive.index;
    const struct geometry *geo = &index->geometry;

    json_add_text(json, "archive", info->archive.path);
    if (index->format == FORMAT_FOREIGN)
        json_add_text(json, "format", NULL);
    else
        json_add_number(json, "format", (uint64_t)index->format);
    json_add_text(json, "layout", index->layout->name);
    json_add_text(json, "uuid", index->uuid[0] ? index->uuid : NULL);
    add_covers(json, info);
    json_add_number(json, "size", geo->size);
    json_add_number(json, "tile_size", geo->tile_size);
    json_add_number(json, "tiles", geo->ntiles);
    json_add_number(json, "tiles_present", info->usage.tiles);
    json_add_number(json, "bytes_stored", info->usage.bytes);
    json_add_number(json, "bytes_allocated", info->usage.blocks * 512);
    add_use(json, &info->use);
    json_add_bool(json, "taken", info->taken);
}

static int print_json(const struct info *info)
{
    struct json_object *json;
    int rc = json_begin(&json);

    if (!rc) {
        add_all(json, info);
        rc = json_end(json, stdout);
    }
    return json_complain(rc);
}

static void find_covers(struct info *info)
{
    (void)!covers_source_recall(&info->archive, &info->covers); /* it has said why not */
    if (info->covers.path[0] && access(info->covers.path, R_OK))
        info->covers_err = errno;
}

static int gather(struct info *info, const char *path)
{
    int rc = served_open(&info->served, path, archive_open, &info->archive);

    if (rc)
        return rc;
    rc = count(&info->archive, &info->usage);
    if (rc)
        return rc;
    if (info->archive.index.layout->head == LAYOUT_PICTURE)
        find_covers(info);
    find_use(info);
    return 0;
}

static int run(const struct args *args)
{
    struct info info = {.archive.dirfd = -1};
    int rc = gather(&info, args->operands[0]);

    if (!rc && opt_given(args, "json"))
        rc = print_json(&info);
    else if (!rc)
        print_text(&info);
    archive_close(&info.archive);
    served_release(&info.served);
    return rc ? CLI_FAILED : CLI_DONE;
}

static const struct opt opts[] = {
    {"json", 0, NULL, "print a JSON object, for scripts"},
    {0},
};

const struct command cmd_info = {
    .name = "info",
    .summary = "show sizes, what is stored, and who has it mounted",
    .synopsis = "[--json] ARCHIVE|PATH",
    .description =
        "Shows the size of the image, how many tiles there are and what they occupy, the\n"
        "format, and where it is mounted by whom. PATH is where an archive is mounted.\n",
    .opts = opts,
    .operands = {"ARCHIVE|PATH"},
    .required = 1,
    .run = run,
};
