/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "shuffle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../random.h"
#include "../reindex.h"
#include "../sys/said.h"
#include "format/format.h"
#include "meanwhile.h"
#include "ops.h"

#define ARCHIVE "drive.img/"

/* --- by hand ---------------------------------------------------------------- */

static void tile_path(const struct work *w, uint32_t tile, char path[64])
{
    strcpy(path, ARCHIVE);
    w->layout->tile_path(tile, path + strlen(path));
}

static bool is_there(int base, const char *path)
{
    return faccessat(base, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void move(struct work *w, int base, const char *from, const char *to)
{
    work_must(renameat(base, from, base, to) == 0, w, to);
}

/* Remembers where a file lies now. */
static char *remember(struct work_shuffle *s, const char *path)
{
    return strcpy(s->paths[s->n++], path);
}

static void swap(struct work *w, struct work_shuffle *s, int base, const char *a, const char *b)
{
    move(w, base, a, ARCHIVE "swap");
    move(w, base, b, a);
    move(w, base, ARCHIVE "swap", b);
    remember(s, a);
    remember(s, b);
}

/* A photograph of the user in the place of a tile. */
static void plant(struct work *w, struct work_shuffle *s, int base, const char *path)
{
    int fd = openat(base, path, O_WRONLY | O_CREAT | O_EXCL, 0644);

    work_must(fd >= 0 && pwrite(fd, "photograph", 10, 0) == 10, w, path);
    close(fd);
    remember(s, path);
}

/* The directory is beside the archive. */
static void take_out(struct work *w, struct work_shuffle *s, int base, const char *path)
{
    char to[64];

    if (!s->from[0]) {
        snprintf(s->from, sizeof(s->from), "from-%u", w->nops);
        work_must(mkdirat(base, s->from, 0755) == 0, w, s->from);
    }
    snprintf(to, sizeof(to), "%s/%s.jpg", s->from, strrchr(path, '/') + 1);
    move(w, base, path, remember(s, to));
}

/* Something is done to the tile of a slot; next: a tile that may be swapped with it, or "". */
static bool misplace(struct work *w, struct work_shuffle *s, int base, unsigned slot,
                     const char *next)
{
    char path[64], to[64];

    tile_path(w, work_tile(slot), path);
    switch (random_below(&w->random, 7)) {
    case 0: /* stays */
        return false;
    case 1:
    case 2:
        if (*next)
            swap(w, s, base, path, next);
        return *next;
    case 3:
        take_out(w, s, base, path);
        return false;
    case 4: /* the place of a tile that is not in use */
        tile_path(w, work_tile(slot) + 5, to);
        break;
    default:
        snprintf(to, sizeof(to), ARCHIVE "holiday %u.jpg", slot);
        break;
    }
    if (is_there(base, to) || work_tile(slot) + 5 >= w->geo.ntiles)
        return false;
    move(w, base, path, remember(s, to));
    if (random_below(&w->random, 3) == 0)
        plant(w, s, base, path);
    return false;
}

static bool is_inside(const char *path)
{
    return strncmp(path, ARCHIVE, strlen(ARCHIVE)) == 0;
}

/* Only where a tile in the archive tells what the index said. */
static void spoil_index(struct work *w, struct work_shuffle *s, int base)
{
    const char *path = ARCHIVE FORMAT_INDEX_NAME;
    uint64_t r = random_below(&w->random, 4);
    unsigned i = 0;
    int fd;

    while (i < s->n && !is_inside(s->paths[i]))
        i++;
    if (i == s->n || r > 1)
        return;
    work_must(unlinkat(base, path, 0) == 0, w, path);
    if (r == 0) {
        fd = openat(base, path, O_WRONLY | O_CREAT, 0644);
        work_must(fd >= 0, w, path);
        close(fd);
        remember(s, path);
    }
    s->index_spoilt = true;
}

void shuffle_tiles(struct work *w)
{
    struct work_shuffle *s = calloc(1, sizeof(*s));
    int base = open(w->base, O_RDONLY | O_DIRECTORY);

    work_must(s && base >= 0, w, w->base);
    ops_begin(w, WORK_SHUFFLE, 0, 0)->shuffle = s;
    for (unsigned slot = 0; slot < WORK_SLOTS; slot++) {
        char path[64], next[64] = "";

        tile_path(w, work_tile(slot), path);
        if (slot + 1 < WORK_SLOTS)
            tile_path(w, work_tile(slot + 1), next);
        if (is_there(base, path) && misplace(w, s, base, slot, is_there(base, next) ? next : ""))
            slot++;
    }
    spoil_index(w, s, base);
    work_must(syncfs(base) == 0, w, w->base);
    close(base);
    ops_end(w, 0);
}

/* --- and back --------------------------------------------------------------- */

static int reindex(const struct work_shuffle *s, const char *base)
{
    char archive[PATH_MAX], from[PATH_MAX];

    snprintf(archive, sizeof(archive), "%s/drive.img", base);
    snprintf(from, sizeof(from), "%s/%s", base, s->from);
    return reindex_run(archive, s->from[0] ? from : NULL, NULL);
}

void shuffle_undo(struct work *w)
{
    const struct work_op *op = NULL;

    for (unsigned i = 0; i < w->nops; i++)
        op = w->ops[i].kind == WORK_SHUFFLE ? &w->ops[i] : op;
    ops_begin(w, WORK_REINDEX, 0, 0);
    ops_end(w, reindex(op->shuffle, w->base) == CLI_DONE ? 0 : -EIO);
}

bool shuffle_by_hand(const struct work *w, size_t q)
{
    for (unsigned i = 0; i < w->nops; i++)
        if (w->ops[i].kind == WORK_SHUFFLE && work_begun(w, i, q) && !work_returned(w, i, q))
            return true;
    return false;
}

const struct work_op *shuffle_at(const struct work *w, size_t q)
{
    const struct work_op *op = NULL;

    for (unsigned i = 0; i < w->nops; i++) {
        if (w->ops[i].kind == WORK_SHUFFLE && work_begun(w, i, q))
            op = &w->ops[i];
        if (w->ops[i].kind == WORK_REINDEX && work_returned(w, i, q))
            op = NULL;
    }
    return op;
}

/* As the shuffle left it; else some files are on their way, or all is done. */
static bool is_untouched(const struct work_shuffle *s, const char *base)
{
    int fd = open(base, O_RDONLY | O_DIRECTORY);
    bool all = fd >= 0;

    for (unsigned i = 0; all && i < s->n; i++)
        all = is_there(fd, s->paths[i]);
    if (fd >= 0)
        close(fd);
    return all;
}

static bool is_refused(const struct work_shuffle *s, int rc)
{
    if (rc == -EBUSY)
        return said("'mosaicfs reindex' is putting its tiles back in their places");
    return s->index_spoilt && (rc == -ENOENT || rc == -EBADMSG);
}

/* A mount that began before the mark was there gets the lock when the reindex is killed. */
static bool waits_in_vain(const struct work *w, const struct work_shuffle *s, const char *base)
{
    return is_refused(s, meanwhile_open(w, base, FORMAT_REINDEX_NAME));
}

bool shuffle_recover(const struct work *w, const struct work_op *op, const char *base, char *why,
                     size_t cap)
{
    const struct work_shuffle *s = op->shuffle;
    struct archive archive;
    char path[PATH_MAX];
    int rc;

    snprintf(path, sizeof(path), "%s/drive.img", base);
    rc = archive_open(path, &archive);
    if (rc && !is_refused(s, rc)) {
        snprintf(why, cap, "during a reindex the archive cannot be opened: %s", strerror(-rc));
        return false;
    }
    if (!rc)
        archive_close(&archive);
    if (!rc && !is_untouched(s, base))
        return true; /* all must be there */
    if (rc == -EBUSY && !waits_in_vain(w, s, base)) {
        snprintf(why, cap, "what waited while a reindex was killed opens the archive");
        return false;
    }
    rc = reindex(s, base);
    if (rc != CLI_DONE)
        snprintf(why, cap, "the next reindex does not end the work: exit status %d", rc);
    return rc == CLI_DONE;
}
