/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Answers control calls. A new one is a number and a structure in control.h, a function
 * here, and a row in the table.
 */
#include "front/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "front/parking.h"
#include "image/image.h"

static int answer_status(const struct control_server *server, const void *in, void *out)
{
    const struct geometry *geo = image_geometry(server->img);
    struct control_status *status = out;
    struct image_usage usage;

    (void)!image_usage(server->img, 0, &usage);
    *status = (struct control_status){
        .size = geo->size,
        .tile_size = geo->tile_size,
        .blocks = usage.blocks,
        .ntiles = geo->ntiles,
        .tiles = usage.tiles,
        .flags = (server->read_only ? CONTROL_READ_ONLY : 0) |
                 (image_failed(server->img) ? CONTROL_FAILED : 0) |
                 (usage.complete ? CONTROL_COMPLETE : 0),
        .pid = getpid(),
    };
    return 0;
}

static int answer_mark(const struct control_server *server, const void *in, void *out)
{
    struct control_mark *mark = out;

    static_assert(sizeof(mark->epoch) >= STORE_EPOCH, "room for the word");
    *mark = (struct control_mark){0};
    return image_mark(server->img, mark->epoch);
}

static int answer_waiting(const struct control_server *server, const void *in, void *out)
{
    struct control_waiting *waiting = out;
    struct parking_state state;

    parking_look(server->parking, &state);
    *waiting = (struct control_waiting){
        .requests = state.requests,
        .bytes = state.bytes,
        .since = state.requests ? (int64_t)state.since : 0,
    };
    return 0;
}

/* Asks no disk: the file system of the archive may stand still. */
static int answer_archive(const struct control_server *server, const void *in, void *out)
{
    struct control_archive *archive = out;
    char link[sizeof("/proc/self/fd/") + 16];
    struct statx stx;
    ssize_t len;

    *archive = (struct control_archive){.pid = getpid()};
    if (statx(server->archive_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx))
        return -errno;
    archive->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
    archive->ino = stx.stx_ino;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", server->archive_fd);
    len = readlink(link, archive->path, sizeof(archive->path) - 1);
    if (len <= 0 || archive->path[0] != '/')
        len = 0;
    archive->path[len] = '\0';
    return 0;
}

static int answer_replaced(const struct control_server *server, const void *in, void *out)
{
    struct control_replaced *replaced = out;
    struct store_replaced found;
    int rc = image_replaced(server->img, &found);

    *replaced = (struct control_replaced){.tiles = found.tiles};
    memcpy(replaced->first, found.first, sizeof(replaced->first));
    return rc;
}

static int answer_snapshot_begin(const struct control_server *server, const void *in, void *out)
{
    return image_snapshot_begin(server->img);
}

static int answer_snapshot_take(const struct control_server *server, const void *in, void *out)
{
    struct control_snapshot *snapshot = out;

    return image_snapshot_take(server->img, &snapshot->stalled);
}

static int answer_links_begin(const struct control_server *server, const void *in, void *out)
{
    image_snapshot_links_begin(server->img);
    return 0;
}

static int answer_links_end(const struct control_server *server, const void *in, void *out)
{
    image_snapshot_links_end(server->img);
    return 0;
}

static int answer_compact(const struct control_server *server, const void *in, void *out)
{
    const struct control_compact *asked = in;
    struct control_compact *told = out;
    struct image_compact step = {
        .dry = asked->flags & CONTROL_COMPACT_DRY,
        .tile = asked->tile,
        .left = asked->left,
    };
    int rc = asked->flags & ~CONTROL_COMPACT_DRY ? -EINVAL : image_compact(server->img, &step);

    static_assert(IMAGE_NO_TILE == CONTROL_COMPACT_NO_TILE, "told as it is");
    *told = (struct control_compact){
        .flags =
            (step.removed ? CONTROL_COMPACT_REMOVED : 0) | (step.stays ? CONTROL_COMPACT_STAYS : 0),
        .tile = step.tile,
        .left = step.left,
        .met = step.met,
        .error = step.error,
        .block = step.block,
        .stored = step.stored,
        .data = step.data,
        .holes = step.holes,
        .tails = step.tails,
        .small = step.small,
        .fixed = step.fixed,
        .held = step.held,
        .freed = step.freed,
    };
    return rc;
}

static int answer_resize(const struct control_server *server, const void *in, void *out)
{
    const struct control_resize *resize = in;

    return image_resize(server->img, resize->size);
}

static const struct call {
    unsigned cmd; /* its number tells how long in and out are, too */
    bool writer;  /* for handles that may write */
    int (*answer)(const struct control_server *server, const void *in, void *out);
} calls[] = {
    {CONTROL_STATUS, false, answer_status},
    {CONTROL_MARK, true, answer_mark},
    {CONTROL_WAITING, false, answer_waiting},
    {CONTROL_ARCHIVE, false, answer_archive},
    {CONTROL_REPLACED, false, answer_replaced},
    {CONTROL_SNAPSHOT_BEGIN, true, answer_snapshot_begin},
    {CONTROL_SNAPSHOT_TAKE, true, answer_snapshot_take},
    {CONTROL_LINKS_BEGIN, true, answer_links_begin},
    {CONTROL_LINKS_END, true, answer_links_end},
    {CONTROL_COMPACT, true, answer_compact},
    {CONTROL_RESIZE, true, answer_resize},
};

int control_answer(const struct control_server *server, bool writer, unsigned cmd, const void *in,
                   size_t in_len, void *out, size_t out_len)
{
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        if (calls[i].cmd != cmd)
            continue;
        if (in_len != (_IOC_DIR(cmd) & _IOC_WRITE ? _IOC_SIZE(cmd) : 0) ||
            out_len != (_IOC_DIR(cmd) & _IOC_READ ? _IOC_SIZE(cmd) : 0))
            return -ENOTTY;
        return calls[i].writer && !writer ? -EBADF : calls[i].answer(server, in, out);
    }
    return -ENOTTY;
}
