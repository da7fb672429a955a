/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Takes the looks, folder by folder, with one fstatat(2) for each tile that is there.
 * What a look is made of stands in format/journal.c.
 */
#include "journal/looks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "archive/folders.h"
#include "format/journal.h"

struct walk {
    const struct archive *archive;
    const struct timespec *past;
    uint32_t *looks, *bodies;
};

bool looks_differ(uint32_t a, uint32_t b)
{
    return a != b || a == JOURNAL_UNSURE;
}

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static void look_at(const struct walk *walk, uint32_t tile, int folder, const char *name)
{
    struct timespec file;
    struct stat st;

    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW)) {
        walk->looks[tile] = errno == ENOENT ? JOURNAL_ABSENT : JOURNAL_UNSURE;
        return;
    }
    if (!S_ISREG(st.st_mode) || (walk->past && !is_before(&st.st_ctim, walk->past)))
        walk->looks[tile] = JOURNAL_UNSURE;
    else
        walk->looks[tile] = journal_look(&st.st_ctim, &st.st_mtim, (uint64_t)st.st_size);
    file = (struct timespec){.tv_sec = (time_t)st.st_ino, .tv_nsec = (long)st.st_dev};
    if (walk->bodies)
        walk->bodies[tile] = journal_look(&file, &st.st_mtim, (uint64_t)st.st_size);
}

static int met(void *arg, uint32_t tile, int folder)
{
    const struct walk *walk = arg;
    char path[LAYOUT_PATH];

    walk->archive->index.layout->tile_path(tile, path);
    look_at(walk, tile, folder, strrchr(path, '/') + 1);
    return 0;
}

/* The tiles from first to end - 1, of one folder. Where it cannot be listed they may be anything.
 */
static int look_into(struct walk *walk, const struct folders *folders, uint32_t first, uint32_t end)
{
    int rc = folders_each(folders, first, end, met, walk);

    for (uint32_t tile = first; rc && tile < end; tile++)
        walk->looks[tile] = JOURNAL_UNSURE;
    return rc == -ENOMEM ? rc : 0;
}

int looks_take(const struct archive *archive, uint32_t ntiles, const struct timespec *past,
               uint32_t *looks, uint32_t *bodies)
{
    struct walk walk = {archive, past, looks, bodies};
    uint32_t end;
    struct folders folders = {0};
    int rc = folders_init(&folders, archive->dirfd, archive->index.layout, ntiles);

    for (uint32_t first = 0; !rc && first < ntiles; first = end) {
        uint32_t most = archive->index.layout->tiles_per_folder;

        end = ntiles - first < most ? ntiles : first + most;
        rc = look_into(&walk, &folders, first, end);
    }
    folders_release(&folders);
    return rc;
}
