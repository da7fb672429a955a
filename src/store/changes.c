/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * .mosaicfs/journal is a table: per tile the last epoch in which it changed. It
 * is written in place, a sector of 512 bytes at a time, which a disk writes
 * whole or not at all; so it never grows and needs no recovery.
 *
 * A tile is noted when its cell, on disk, holds the running epoch. Order of
 * writes: the cell, a sync, the first byte of the tile. After that the tile can
 * be written as often as the epoch lasts without looking here again. To begin
 * an epoch is to write the header with the next number, while nobody writes
 * tiles and after all that was written is on disk: else a reader of that moment
 * could have seen bytes that a power cut takes back in a tile that is not noted.
 *
 * What a crash leaves, at each step:
 *
 *   cell written, not synced    noted or not, and the tile has not changed
 *   cell synced                 noted, and the tile may have changed or not
 *   header written, not synced  the old epoch or the new one, whose word nobody
 *                               has been told; tiles that changed in either
 *                               are listed for every epoch that somebody knows
 *
 * So a list may hold tiles that did not change, and never lacks one that did.
 * When in doubt, more is said to have changed: of a sector whose check fails,
 * all tiles; without a usable header, everything, and the next writer begins a
 * new journal under a new id, so that no word of an old one is ever taken for
 * one of its own.
 *
 * Callers of note share syncs: one of them writes for all who came meanwhile.
 * A sync that failed need not be final here: the callers were told, no cell of
 * theirs counts as noted, and a later note writes the sector anew. The next
 * writer cannot tell such a cell from others, and begins an epoch in memory.
 */
#include "store/changes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"

#define BATCH 256 /* tiles written with one sync, at most */
#define NAME "journal"
#define EPOCH_MAX (UINT32_MAX - 1) /* what is above it stands for damage in memory */

static_assert(sizeof(FORMAT_PRIVATE_DIR "/" NAME) == sizeof(FORMAT_JOURNAL_NAME), "one name");

struct changes {
    /* fixed after open */
    const struct archive *archive;
    uint32_t ntiles;
    /* written by whoever has writing, read by any thread */
    atomic_bool off; /* there is no journal, and could be none: everything counts as changed */
    _Atomic uint32_t epoch;
    _Atomic uint32_t *cells; /* of tiles whose cell is on disk */
    /* of whoever has writing */
    int fd;
    uint32_t id;
    bool doubtful; /* there may be a journal that lacks something: see give_up() */
    /* guarded by mutex */
    struct mutex mutex;
    pthread_cond_t ended;
    bool GUARDED writing; /* somebody writes the file */
    uint32_t GUARDED pending[BATCH];
    size_t GUARDED npending;
    uint64_t GUARDED taken; /* batches that have been taken out of pending */
    uint64_t GUARDED done;  /* batches that have been written, or failed */
    int GUARDED error;      /* of the last one that failed */
};

static int complain(const struct archive *archive, const char *verb, int rc)
{
    log_error("cannot %s the journal of changed tiles '%s/%s': %s", verb, archive->path,
              FORMAT_JOURNAL_NAME, strerror(-rc));
    return rc;
}

static uint64_t file_len(uint32_t ntiles)
{
    return (uint64_t)journal_sectors(ntiles) * FORMAT_JOURNAL_SECTOR;
}

static int open_file(const struct archive *archive, int flags, int *fd)
{
    return io_open_file(archive->dirfd, FORMAT_JOURNAL_NAME, flags, fd);
}

static int write_at(int fd, const unsigned char sector[FORMAT_JOURNAL_SECTOR], uint32_t number)
{
    return io_pwrite(fd, sector, FORMAT_JOURNAL_SECTOR, (uint64_t)number * FORMAT_JOURNAL_SECTOR);
}

/*
 * Writes the sector as it stands in memory, with the n tiles of batch, all of
 * them in it, set to epoch.
 */
static int write_sector(struct changes *changes, uint32_t number, const uint32_t *batch, size_t n,
                        uint32_t epoch)
{
    uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;
    unsigned char sector[FORMAT_JOURNAL_SECTOR];
    uint32_t cells[FORMAT_JOURNAL_CELLS] = {0};
    int rc;

    for (uint32_t i = 0; i < FORMAT_JOURNAL_CELLS && first + i < changes->ntiles; i++)
        cells[i] = atomic_load_explicit(&changes->cells[first + i], memory_order_relaxed);
    for (size_t i = 0; i < n; i++)
        cells[batch[i] - first] = epoch;
    rc = journal_put_sector(changes->id, number, cells, sector);
    return rc ? rc : write_at(changes->fd, sector, number);
}

/* How many tiles at the start of batch, which is ascending, lie in one sector. */
static size_t in_one_sector(const uint32_t *batch, size_t n)
{
    size_t k = 1;

    while (k < n && journal_sector_of(batch[k]) == journal_sector_of(batch[0]))
        k++;
    return k;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/*
 * No list is better than one that lacks something: removes the journal, durably.
 * Until there is a new one, everything counts as changed. 0 or -errno; then no
 * tile may be changed.
 */
static int give_up(struct changes *changes)
{
    int fd;
    int rc = archive_private(changes->archive, false, &fd);

    if (!rc) {
        rc = unlinkat(fd, NAME, 0) && errno != ENOENT ? -errno : io_fsync(fd);
        close(fd);
    } else if (rc == -ENOENT) {
        rc = io_sync_dir(changes->archive->dirfd, "."); /* gone already, and is to stay so */
    }
    changes->doubtful = rc != 0;
    atomic_store(&changes->off, rc == 0);
    return rc;
}

static int write_batch(struct changes *changes, uint32_t *batch, size_t n)
{
    uint32_t epoch = atomic_load(&changes->epoch);
    int rc = 0;

    if (changes->doubtful) {
        rc = give_up(changes);
        return rc ? complain(changes->archive, "remove", rc) : 0;
    }
    qsort(batch, n, sizeof(*batch), ascending);
    for (size_t i = 0, k; !rc && i < n; i += k) {
        k = in_one_sector(batch + i, n - i);
        rc = write_sector(changes, journal_sector_of(batch[i]), batch + i, k, epoch);
    }
    if (!rc)
        rc = io_fdatasync(changes->fd);
    if (rc) /* want of space is told by who answers the request */
        return io_is_full(rc) ? rc : complain(changes->archive, "write", rc);
    for (size_t i = 0; i < n; i++)
        atomic_store(&changes->cells[batch[i]], epoch);
    return 0;
}

/* Takes what is pending and writes it. The mutex is given up meanwhile. */
static void lead_locked(struct changes *changes) REQUIRES(changes->mutex)
{
    uint32_t batch[BATCH];
    size_t n = changes->npending;
    int rc;

    memcpy(batch, changes->pending, n * sizeof(*batch));
    changes->npending = 0;
    changes->taken++;
    changes->writing = true;
    mutex_unlock(&changes->mutex);
    rc = write_batch(changes, batch, n);
    mutex_lock(&changes->mutex);
    changes->writing = false;
    changes->done++;
    changes->error = rc ? rc : changes->error;
    lock_must(pthread_cond_broadcast(&changes->ended));
}

/* Leads when nobody writes, else waits for an end of it. */
static void proceed_locked(struct changes *changes) REQUIRES(changes->mutex)
{
    if (changes->writing)
        mutex_wait(&changes->mutex, &changes->ended);
    else
        lead_locked(changes);
}

bool changes_noted(const struct changes *changes, uint32_t tile)
{
    return atomic_load(&changes->off) ||
           atomic_load(&changes->cells[tile]) == atomic_load(&changes->epoch);
}

/* At most BATCH tiles. */
static int note_some(struct changes *changes, const uint32_t *tiles, size_t n)
{
    uint64_t ours;
    int rc = 0;

    mutex_lock(&changes->mutex);
    while (changes->npending + n > BATCH)
        proceed_locked(changes);
    memcpy(changes->pending + changes->npending, tiles, n * sizeof(*tiles));
    changes->npending += n;
    ours = changes->taken + 1;
    while (changes->done < ours)
        proceed_locked(changes);
    for (size_t i = 0; i < n; i++)
        rc = changes_noted(changes, tiles[i]) ? rc : changes->error;
    mutex_unlock(&changes->mutex);
    return rc;
}

int changes_note(struct changes *changes, const uint32_t *tiles, size_t n)
{
    uint32_t some[BATCH];
    size_t k = 0;
    int rc = 0;

    for (size_t i = 0; !rc && i < n; i++) {
        if (!changes_noted(changes, tiles[i]))
            some[k++] = tiles[i];
        if (k == BATCH || (k && i + 1 == n)) {
            rc = note_some(changes, some, k);
            k = 0;
        }
    }
    return rc;
}

/* A whole new table in place of what is there, durably. */
static int replace(const struct archive *archive, const struct journal_header *header)
{
    uint32_t nsectors = journal_sectors(header->ntiles);
    uint32_t none[FORMAT_JOURNAL_CELLS] = {0};
    unsigned char *table = malloc(file_len(header->ntiles));
    int rc = table ? journal_put_header(header, table) : -ENOMEM;
    int fd;

    for (uint32_t number = 1; !rc && number < nsectors; number++)
        rc = journal_put_sector(header->id, number, none,
                                table + (size_t)number * FORMAT_JOURNAL_SECTOR);
    if (!rc)
        rc = archive_private(archive, true, &fd);
    if (!rc) {
        rc = io_replace(fd, NAME, table, file_len(header->ntiles), IO_OVER);
        if (!rc)
            rc = io_sync_dir(archive->dirfd, ".");
        close(fd);
    }
    free(table);
    return rc;
}

/* Begins a new journal and opens it. */
static int start(struct changes *changes)
{
    struct journal_header header;
    int rc = hash_random(&changes->id, sizeof(changes->id));

    journal_header_init(&header, &changes->archive->index, changes->id);
    if (!rc)
        rc = replace(changes->archive, &header);
    if (!rc)
        rc = open_file(changes->archive, O_RDWR, &changes->fd);
    atomic_store(&changes->epoch, header.epoch);
    return rc;
}

/*
 * A new journal in place of one that was deleted under us, was given up or has
 * run out of epochs. When that fails half-way the new one may be there and know
 * nothing of what we noted in the old one.
 */
static int start_again(struct changes *changes)
{
    struct changes fresh = {.archive = changes->archive, .fd = -1};
    int rc = start(&fresh);

    for (uint32_t tile = 0; tile < changes->ntiles; tile++)
        if (atomic_load_explicit(&changes->cells[tile], memory_order_relaxed))
            atomic_store(&changes->cells[tile], 0);
    if (rc) {
        (void)!give_up(changes); /* if this fails, too, it is tried again before a tile changes */
        return rc;
    }
    if (changes->fd >= 0)
        close(changes->fd);
    changes->fd = fresh.fd;
    changes->id = fresh.id;
    changes->doubtful = false;
    atomic_store(&changes->epoch, fresh.epoch);
    atomic_store(&changes->off, false);
    return 0;
}

/* What is read from the table is all on disk, or may be taken for it: see resume(). */
static uint32_t take_cells(struct changes *changes, const struct changes_list *list)
{
    uint32_t epoch = list->header.epoch;

    for (uint32_t tile = 0; tile < changes->ntiles; tile++)
        if (list->cells[tile] > epoch && list->cells[tile] < UINT32_MAX)
            epoch = list->cells[tile]; /* a header that did not reach the disk, see above */
    for (uint32_t tile = 0; tile < changes->ntiles; tile++) {
        uint32_t cell = list->cells[tile] == UINT32_MAX ? epoch : list->cells[tile];

        if (cell)
            atomic_store_explicit(&changes->cells[tile], cell, memory_order_relaxed);
    }
    return epoch;
}

/* The sectors that were damaged say from now on that all of their tiles changed. */
static int mend(struct changes *changes, const struct changes_list *list)
{
    uint32_t end = list->damaged ? journal_sectors(changes->ntiles) : 0;
    int rc = 0;

    for (uint32_t number = 1; !rc && number < end; number++)
        if (list->cells[(number - 1) * FORMAT_JOURNAL_CELLS] == UINT32_MAX)
            rc = write_sector(changes, number, NULL, 0, 0);
    return rc || !end ? rc : io_fdatasync(changes->fd);
}

/*
 * Takes over the journal that is there, in an epoch of its own that nobody is
 * told: a cell that is read may be in the page cache alone, after a sync that
 * failed, so no tile counts as noted yet.
 */
static int resume(struct changes *changes, const struct changes_list *list)
{
    uint32_t epoch = take_cells(changes, list);
    int rc;

    if (epoch >= EPOCH_MAX)
        return start_again(changes);
    rc = open_file(changes->archive, O_RDWR, &changes->fd);
    changes->id = list->header.id;
    atomic_store(&changes->epoch, epoch + 1);
    return rc ? rc : mend(changes, list);
}

/*
 * A full disk must not keep an archive from being mounted, for a mount can give
 * space back. As long as there is no journal, everything counts as changed.
 */
static int go_without(struct changes *changes, int why)
{
    const struct archive *archive = changes->archive;
    int rc = give_up(changes);

    if (rc)
        return rc;
    log_warn("cannot begin the journal of changed tiles '%s/%s': %s", archive->path,
             FORMAT_JOURNAL_NAME, strerror(-why));
    log_note("until it is mounted with more space, every tile of the archive counts as changed");
    return 0;
}

static int start_or_resume(struct changes *changes, const struct changes_list *list)
{
    const struct archive *archive = changes->archive;
    const char *why = list->unusable ? list->unusable : list->linked ? "is a hard link" : NULL;

    if (why) {
        log_debug("'%s/%s' %s: a new one is begun", archive->path, FORMAT_JOURNAL_NAME, why);
        return start(changes);
    }
    if (list->damaged)
        log_warn("the journal of changed tiles '%s/%s' is damaged: up to %" PRIu32
                 " tiles more count as changed",
                 archive->path, FORMAT_JOURNAL_NAME, list->damaged * FORMAT_JOURNAL_CELLS);
    return resume(changes, list);
}

static int prepare(struct changes *changes)
{
    struct changes_list list;
    int rc = changes_read(changes->archive, &list);

    if (!rc) {
        rc = start_or_resume(changes, &list);
        if (io_is_full(rc))
            rc = go_without(changes, rc);
        rc = rc ? complain(changes->archive, "open", rc) : 0;
    }
    changes_read_release(&list);
    if (rc)
        log_note("if it stays so, remove that file: every tile counts as changed then");
    return rc;
}

int changes_open(const struct archive *archive, struct changes **out) NO_THREAD_SAFETY
{
    struct changes *changes = calloc(1, sizeof(*changes));
    int rc = changes ? 0 : -ENOMEM;

    if (rc)
        return complain(archive, "open", rc);
    changes->archive = archive;
    changes->ntiles = archive->index.geometry.ntiles;
    changes->fd = -1;
    mutex_init(&changes->mutex);
    lock_must(pthread_cond_init(&changes->ended, NULL));
    changes->cells = calloc(changes->ntiles, sizeof(*changes->cells));
    rc = changes->cells ? prepare(changes) : complain(archive, "open", -ENOMEM);
    if (rc)
        changes_close(changes);
    else
        *out = changes;
    return rc;
}

void changes_close(struct changes *changes)
{
    if (!changes)
        return;
    if (changes->fd >= 0)
        close(changes->fd);
    free((void *)changes->cells);
    lock_must(pthread_cond_destroy(&changes->ended));
    mutex_release(&changes->mutex);
    free(changes);
}

/* 0, -ENOENT when the file was deleted under us, else -errno. */
static int look_for_file(const struct changes *changes)
{
    struct stat st;

    if (fstat(changes->fd, &st))
        return -errno;
    return st.st_nlink == 0 ? -ENOENT : 0;
}

/*
 * In memory the epoch goes on even when its header does not reach the disk: on
 * disk it may be either, and tiles noted from now on count for both.
 */
static int next_epoch(struct changes *changes)
{
    unsigned char sector[FORMAT_JOURNAL_SECTOR];
    struct journal_header header;
    int rc;

    journal_header_init(&header, &changes->archive->index, changes->id);
    header.epoch = atomic_load(&changes->epoch) + 1;
    rc = journal_put_header(&header, sector);
    if (rc)
        return rc;
    atomic_store(&changes->epoch, header.epoch);
    rc = write_at(changes->fd, sector, 0);
    return rc ? rc : io_fdatasync(changes->fd);
}

int changes_mark(struct changes *changes, char epoch[JOURNAL_EPOCH])
{
    int rc;

    mutex_lock(&changes->mutex);
    while (changes->writing)
        mutex_wait(&changes->mutex, &changes->ended);
    changes->writing = true;
    mutex_unlock(&changes->mutex);
    rc = atomic_load(&changes->off) || changes->doubtful ? -ENOENT : look_for_file(changes);
    if (rc == -ENOENT || (!rc && atomic_load(&changes->epoch) >= EPOCH_MAX))
        rc = start_again(changes);
    else if (!rc)
        rc = next_epoch(changes);
    if (!rc)
        journal_print_epoch(changes->id, changes->epoch, epoch);
    mutex_lock(&changes->mutex);
    changes->writing = false;
    lock_must(pthread_cond_broadcast(&changes->ended));
    mutex_unlock(&changes->mutex);
    return rc ? complain(changes->archive, "write", rc) : 0;
}
