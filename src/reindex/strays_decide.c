/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is to become of the files that strays.c has found: which one is put in the
 * place of a tile, which are duplicates, and which have to make room.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "format/layout.h"
#include "reindex/strays.h"

#define PIECE 65536

static bool belongs(const struct stray *stray, const struct index *index)
{
    return strays_is_tile(stray) && strcmp(stray->tag.uuid, index->uuid) == 0 &&
           stray->tag.geometry.tile_size == index->geometry.tile_size;
}

static bool is_at(const struct stray *stray, const struct layout *layout, uint32_t tile)
{
    char path[LAYOUT_PATH];

    layout->tile_path(tile, path);
    return stray->inside && strcmp(stray->path, path) == 0;
}

static int compare_times(const struct timespec *a, const struct timespec *b)
{
    if (a->tv_sec != b->tv_sec)
        return a->tv_sec < b->tv_sec ? -1 : 1;
    return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* What a mount reads, whatever has become of its picture, gives way to nothing older. */
static bool is_doubtful(const struct stray *stray, const struct layout *layout)
{
    return stray->kind == STRAY_ALTERED && !is_at(stray, layout, stray->tag.tile);
}

static int by_rank(const void *left, const void *right, void *arg)
{
    const struct stray *a = left, *b = right;
    const struct index *index = arg;
    const struct layout *layout = index->layout;
    bool a_belongs = belongs(a, index), b_belongs = belongs(b, index), a_doubtful;
    int newer;

    if (a_belongs != b_belongs)
        return a_belongs ? -1 : 1;
    if (!a_belongs)
        return strcmp(a->path, b->path);
    if (a->tag.tile != b->tag.tile)
        return a->tag.tile < b->tag.tile ? -1 : 1;
    a_doubtful = is_doubtful(a, layout);
    if (a_doubtful != is_doubtful(b, layout))
        return a_doubtful ? 1 : -1;
    newer = compare_times(&b->mtime, &a->mtime);
    if (newer)
        return newer;
    if (is_at(a, layout, a->tag.tile) != is_at(b, layout, b->tag.tile))
        return is_at(a, layout, a->tag.tile) ? -1 : 1;
    if (a->inside != b->inside)
        return a->inside ? -1 : 1;
    return strcmp(a->path, b->path);
}

static int by_tile(const void *key, const void *member)
{
    uint32_t tile = *(const uint32_t *)key, other = ((const struct stray *)member)->tag.tile;

    return (tile > other) - (tile < other);
}

/* What stands where a file of the first ntiles in the list goes, makes room. */
static void displace(struct strays *strays, const struct layout *layout, size_t ntiles)
{
    for (size_t i = 0; i < strays->n; i++) {
        struct stray *stray = &strays->list[i], *there;
        uint32_t tile;

        if (stray->fate == STRAY_IN_PLACE || !strays_place(stray, layout, &tile))
            continue;
        there = bsearch(&tile, strays->list, ntiles, sizeof(*there), by_tile);
        while (there && there > strays->list && there[-1].tag.tile == tile)
            there--;
        if (!there || there->fate != STRAY_PUT || there == stray)
            continue;
        stray->in_the_way = stray->fate == STRAY_PUT;
        if (!stray->in_the_way)
            stray->fate = STRAY_DISPLACED;
    }
}

/* --- files that are the same anyway ------------------------------------------ */

static int open_stray(const struct strays *strays, const struct stray *stray, int *fd)
{
    if (stray->inside)
        return io_open_file(strays->archive->dirfd, stray->path, O_RDONLY, fd);
    *fd = open(stray->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return *fd < 0 ? -errno : 0;
}

static bool same_bytes(int a, int b)
{
    char *bufs = malloc(2 * PIECE);
    size_t got = PIECE, other;
    bool same = bufs != NULL;

    for (uint64_t off = 0; same && got == PIECE; off += PIECE)
        same = io_pread(a, bufs, PIECE, off, &got) == 0 &&
               io_pread(b, bufs + PIECE, PIECE, off, &other) == 0 && got == other &&
               memcmp(bufs, bufs + PIECE, got) == 0;
    free(bufs);
    return same;
}

static bool is_same_file(const struct strays *strays, const struct stray *a, const struct stray *b)
{
    int afd = -1, bfd = -1;
    bool same = a->size == b->size && open_stray(strays, a, &afd) == 0 &&
                open_stray(strays, b, &bfd) == 0 && same_bytes(afd, bfd);

    if (afd >= 0)
        close(afd);
    if (bfd >= 0)
        close(bfd);
    return same;
}

/* A copy of what is in its place already, only with a newer time, changes nothing. */
static void keep_same(struct strays *strays, size_t ntiles)
{
    for (size_t i = 0, first = 0; i < ntiles; i++) {
        struct stray *stray = &strays->list[i], *winner;

        if (stray->tag.tile != strays->list[first].tag.tile)
            first = i;
        winner = &strays->list[first];
        if (stray->fate != STRAY_DISPLACED || winner->fate != STRAY_PUT || winner->in_the_way ||
            !is_at(stray, &layout_jpeg, stray->tag.tile) || !is_same_file(strays, winner, stray))
            continue;
        stray->fate = STRAY_IN_PLACE;
        winner->fate = STRAY_DUPLICATE;
    }
}

void strays_decide(struct strays *strays, const struct index *index)
{
    const struct stray *tile = NULL;
    size_t ntiles = 0;

    if (strays->n > 0) /* else there is no list */
        qsort_r(strays->list, strays->n, sizeof(*strays->list), by_rank, (void *)index);
    for (size_t i = 0; i < strays->n; i++) {
        struct stray *stray = &strays->list[i];

        ntiles += belongs(stray, index);
        if (!belongs(stray, index)) {
            stray->fate = strays_is_tile(stray) ? STRAY_ELSEWHERE : STRAY_LEFT;
        } else if (stray->tag.tile >= index->geometry.ntiles) {
            stray->fate = STRAY_OUTSIDE;
        } else if (tile && tile->tag.tile == stray->tag.tile) {
            stray->fate = STRAY_DUPLICATE;
        } else {
            tile = stray;
            stray->fate = is_at(stray, index->layout, stray->tag.tile) ? STRAY_IN_PLACE : STRAY_PUT;
        }
    }
    displace(strays, index->layout, ntiles);
    keep_same(strays, ntiles);
}
