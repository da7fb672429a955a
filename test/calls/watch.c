/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/format.h"
#include "format/journal.h"
#include "format/layout.h"

#define NODES 128
#define JOURNAL_MAX 16384
#define EPOCH_AT 24 /* in the header */
#define NAME 96     /* the end of a path is enough to tell it */

enum kind { KIND_JOURNAL, KIND_PRIVATE, KIND_TILE, KIND_OTHER };

struct node {
    ino_t ino;
    enum kind kind;
    bool dirty, lost;
    char name[NAME];
};

static struct node nodes[NODES];
static unsigned nnodes;
static const struct layout *layout;
static char hasty[NAME];
static unsigned char written[JOURNAL_MAX], durable[JOURNAL_MAX]; /* the journal's bytes */
static size_t journal_len;
static char where[PATH_MAX]; /* what the call that is under way changes or syncs */
static ino_t leaving;        /* of the file that an unlink is about to remove */

void watch_begin(const struct layout *of)
{
    layout = of;
    nnodes = 0;
    hasty[0] = '\0';
    journal_len = 0;
}

/* The path of a descriptor, or of path below it. */
static void whole_path(int fd, const char *path, char out[PATH_MAX])
{
    char link[32];
    ssize_t n;

    if (path && path[0] == '/') {
        snprintf(out, PATH_MAX, "%s", path);
        return;
    }
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, PATH_MAX - 1);
    n = n < 0 ? 0 : n;
    snprintf(out + n, (size_t)(PATH_MAX - n), "%s%s", path ? "/" : "", path ? path : "");
}

/* Whether the path ends in the folder and name of a tile, as it is or is to be called. */
static bool is_tile(const char *path, uint32_t *tile)
{
    char folder[LAYOUT_PATH], name[LAYOUT_PATH];
    const char *slash = strrchr(path, '/'), *start = slash;
    uint32_t number;
    size_t len;

    while (start && start > path && start[-1] != '/')
        start--;
    if (!slash || slash - start >= LAYOUT_PATH || strlen(slash) > LAYOUT_PATH)
        return false;
    snprintf(folder, sizeof(folder), "%.*s", (int)(slash - start), start);
    strcpy(name, slash + 1);
    len = strlen(name);
    if (len > 4 && strcmp(name + len - 4, ".tmp") == 0)
        name[len - 4] = '\0';
    return layout->folder_number(folder, &number) && layout->tile_number(number, name, tile);
}

/* Whether the path ends in that directory, or in a file of it. */
static bool is_or_in(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    for (const char *slash = strrchr(path, '/'); slash; slash = memrchr(path, '/', slash - path)) {
        if (strncmp(slash + 1, dir, len) == 0 && (!slash[1 + len] || slash[1 + len] == '/'))
            return true;
        if (slash == path)
            break;
    }
    return false;
}

static enum kind kind_of(const char *path)
{
    const char *private = strstr(path, "/.mosaicfs");
    uint32_t tile;

    if (private)
        return strcmp(private, "/.mosaicfs/journal") == 0 ? KIND_JOURNAL : KIND_PRIVATE;
    if (layout->maps && is_or_in(path, layout->maps))
        return KIND_PRIVATE;
    return is_tile(path, &tile) ? KIND_TILE : KIND_OTHER;
}

static struct node *find(ino_t ino)
{
    for (unsigned i = 0; i < nnodes; i++)
        if (nodes[i].ino == ino)
            return &nodes[i];
    return NULL;
}

static void soil(ino_t ino, const char *path)
{
    struct node *node = find(ino);
    size_t len = strlen(path);

    if (!node) {
        if (nnodes == NODES)
            abort();
        node = &nodes[nnodes++];
        *node = (struct node){.ino = ino};
    }
    node->dirty = true;
    node->kind = kind_of(path);
    snprintf(node->name, sizeof(node->name), "%s", len < NAME ? path : path + len - NAME + 1);
}

static void soil_file(int fd)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        soil(st.st_ino, where);
}

/* Neither .mosaicfs nor a temporary file need be there after a crash. */
static bool may_vanish(const char *slash)
{
    const char *dot = strrchr(slash, '.');

    return strcmp(slash, "/.mosaicfs") == 0 || (dot && strcmp(dot, ".tmp") == 0);
}

/* An entry of path's directory changed. */
static void soil_parent(int fd, const char *name)
{
    char path[PATH_MAX];
    struct stat st;
    char *slash;

    whole_path(fd, name, path);
    slash = strrchr(path, '/');
    if (!slash || may_vanish(slash))
        return;
    *slash = '\0';
    if (stat(path, &st) == 0)
        soil(st.st_ino, path);
}

static void synced(struct node *node, int err)
{
    if (err && err != EINTR)
        node->lost = node->lost || node->dirty;
    else if (!err)
        node->dirty = false;
}

static void sync_one(int fd, int err)
{
    struct stat st;
    struct node *node = fstat(fd, &st) == 0 ? find(st.st_ino) : NULL;

    if (node)
        synced(node, err);
}

static void sync_all(int err)
{
    for (unsigned i = 0; i < nnodes; i++)
        synced(&nodes[i], err);
}

/* A removed file needs no sync. */
static void gone(void)
{
    struct node *node = find(leaving);

    if (node)
        *node = nodes[--nnodes];
}

static bool changes_file(const struct sys_call *call)
{
    return call->op == CALL_PWRITE || call->op == CALL_WRITE || call->op == CALL_FTRUNCATE ||
           call->op == CALL_FALLOCATE;
}

static bool changes_entry(const struct sys_call *call)
{
    return call->op == CALL_UNLINK || call->op == CALL_RENAME || call->op == CALL_LINK ||
           (call->op == CALL_OPEN && (call->flags & O_CREAT));
}

/* --- the journal ------------------------------------------------------------------------------ */

void watch_journal(const void *bytes, size_t len)
{
    journal_len = len < sizeof(written) ? len : sizeof(written);
    if (journal_len) {
        memcpy(written, bytes, journal_len);
        memcpy(durable, bytes, journal_len);
    }
}

static void journal_written(const struct sys_call *call, size_t done)
{
    if (call->off + done <= journal_len && kind_of(where) == KIND_JOURNAL)
        memcpy(written + call->off, call->buf, done);
}

static uint32_t get32(const unsigned char *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 |
           (uint32_t)from[3] << 24;
}

/* What is on disk says that the tile changes in the running epoch. */
static bool is_noted(uint32_t tile)
{
    size_t at = journal_sector_of(tile) * FORMAT_JOURNAL_SECTOR +
                tile % FORMAT_JOURNAL_CELLS * sizeof(uint32_t);

    return !journal_len || get32(durable + at) >= get32(durable + EPOCH_AT);
}

/* --- hooks ------------------------------------------------------------------------------------ */

void watch_before(const struct sys_call *call)
{
    bool changes = changes_file(call) || changes_entry(call);
    struct stat st;
    uint32_t tile;

    if (call->op == CALL_UNLINK) {
        leaving = fstatat(call->fd, call->path, &st, AT_SYMLINK_NOFOLLOW) ? 0 : st.st_ino;
        leaving = leaving && st.st_nlink > 1 && S_ISREG(st.st_mode) ? 0 : leaving;
    }
    if (changes || call->op == CALL_FDATASYNC)
        whole_path(call->fd, call->path, where);
    if (changes && kind_of(where) == KIND_TILE && is_tile(where, &tile) && !is_noted(tile) &&
        !hasty[0])
        snprintf(hasty, sizeof(hasty), "%.*s", NAME - 1, strrchr(where, '/'));
}

void watch_after(const struct sys_call *call, long result, int err)
{
    if (call->op == CALL_FSYNC || call->op == CALL_FDATASYNC)
        sync_one(call->fd, err);
    else if (call->op == CALL_SYNCFS)
        sync_all(err);
    if (call->op == CALL_FDATASYNC && !err && kind_of(where) == KIND_JOURNAL)
        memcpy(durable, written, sizeof(durable));
    if (result < 0)
        return;
    if (call->op == CALL_PWRITE)
        journal_written(call, (size_t)result);
    if (changes_file(call))
        soil_file(call->fd);
    else if ((changes_entry(call) && call->op != CALL_LINK) || call->op == CALL_MKDIR)
        soil_parent(call->fd, call->path);
    if (call->to_path)
        soil_parent(call->to_fd, call->to_path);
    if (call->op == CALL_UNLINK)
        gone();
}

const char *watch_unsynced(void)
{
    for (unsigned i = 0; i < nnodes; i++) {
        const struct node *node = &nodes[i];

        if (node->kind != KIND_JOURNAL && node->kind != KIND_PRIVATE && (node->dirty || node->lost))
            return node->name;
    }
    return NULL;
}

const char *watch_unsynced_below(const char *part)
{
    for (unsigned i = 0; i < nnodes; i++)
        if ((nodes[i].dirty || nodes[i].lost) && strstr(nodes[i].name, part))
            return nodes[i].name;
    return NULL;
}

void watch_told(void)
{
    for (unsigned i = 0; i < nnodes; i++)
        nodes[i].lost = false;
}

void watch_either(void)
{
    for (unsigned i = nnodes; i-- > 0;)
        if (nodes[i].kind == KIND_OTHER)
            nodes[i] = nodes[--nnodes];
}

const char *watch_hasty(void)
{
    static char told[NAME];

    if (!hasty[0])
        return NULL;
    memcpy(told, hasty, NAME);
    hasty[0] = '\0';
    return told;
}
