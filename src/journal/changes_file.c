/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file of the journal of changed tiles: its sectors, a new one, and whether
 * it is still ours. Its meaning and the order of writes stand in changes.c.
 *
 * Another program may put a file in the place of ours, by name or by writing into it: one
 * that mirrors all files of the archive, .mosaicfs too. Then what we write goes nowhere, or
 * is gone. So we compare, and begin a new journal when it is no longer the one we had.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "journal/changes_impl.h"

#define NAME "journal"

static_assert(sizeof(FORMAT_PRIVATE_DIR "/" NAME) == sizeof(FORMAT_JOURNAL_NAME), "one name");

int changes_file_complain(const struct archive *archive, const char *verb, int rc)
{
    log_error("cannot %s the journal of changed tiles '%s/%s': %s", verb, archive->path,
              FORMAT_JOURNAL_NAME, strerror(-rc));
    return rc;
}

static uint64_t file_len(uint32_t ntiles)
{
    return (uint64_t)journal_sectors(ntiles) * FORMAT_JOURNAL_SECTOR;
}

/* --- sectors -------------------------------------------------------------------------------- */

static int write_at(int fd, const unsigned char sector[FORMAT_JOURNAL_SECTOR], uint32_t number)
{
    return io_pwrite(fd, sector, FORMAT_JOURNAL_SECTOR, (uint64_t)number * FORMAT_JOURNAL_SECTOR);
}

int changes_file_write(struct changes *changes, uint32_t number,
                       const uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    unsigned char sector[FORMAT_JOURNAL_SECTOR];
    int rc = journal_put_sector(changes->id, number, cells, sector);

    return rc ? rc : write_at(changes->fd, sector, number);
}

int changes_file_read(struct changes *changes, uint32_t number,
                      uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    unsigned char sector[FORMAT_JOURNAL_SECTOR];
    size_t got;
    int rc = io_pread(changes->fd, sector, sizeof(sector), (uint64_t)number * sizeof(sector), &got);

    if (rc)
        return rc;
    return got == sizeof(sector) ? journal_get_sector(sector, changes->id, number, cells)
                                 : -EBADMSG;
}

int changes_file_cells(struct changes *changes, uint32_t number, const uint32_t *batch, size_t n,
                       uint32_t epoch)
{
    uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;
    uint32_t cells[FORMAT_JOURNAL_CELLS] = {0};

    for (uint32_t i = 0; i < FORMAT_JOURNAL_CELLS && first + i < changes->ntiles; i++)
        cells[i] = atomic_load_explicit(&changes->cells[first + i], memory_order_relaxed);
    for (size_t i = 0; i < n; i++)
        cells[batch[i] - first] = epoch;
    return changes_file_write(changes, number, cells);
}

void changes_file_describe(struct changes *changes, struct journal_header *header)
{
    journal_header_init(header, &changes->archive->index, changes->ntiles, changes->id);
    header->epoch = atomic_load(&changes->epoch);
}

int changes_file_header(struct changes *changes)
{
    unsigned char sector[FORMAT_JOURNAL_SECTOR];
    struct journal_header header;
    int rc;

    changes_file_describe(changes, &header);
    rc = journal_put_header(&header, sector);
    if (!rc)
        rc = write_at(changes->fd, sector, 0);
    if (!rc)
        memcpy(changes->header, sector, sizeof(sector));
    return rc;
}

int changes_file_marks(struct changes *changes, unsigned i)
{
    uint32_t cells[FORMAT_JOURNAL_CELLS];
    unsigned nth = i / (FORMAT_JOURNAL_CELLS / 2);

    journal_put_marks(&changes->marks[nth * (FORMAT_JOURNAL_CELLS / 2)], cells);
    return changes_file_write(changes, journal_first_marks(changes->ntiles) + nth, cells);
}

/* --- the file --------------------------------------------------------------------------------- */

int changes_file_give_up(struct changes *changes)
{
    int fd;
    int rc = archive_private(changes->archive, false, &fd);

    if (!rc) {
        rc = unlinkat(fd, NAME, 0) && errno != ENOENT ? -errno : io_fsync(fd);
        close(fd);
    } else if (rc == -ENOENT) {
        rc = io_sync_dir(changes->archive->dirfd, "."); /* gone already, and is to stay so */
    }
    atomic_store(&changes->state, rc ? CHANGES_DOUBTFUL : CHANGES_NONE);
    if (!rc && changes->fd >= 0) { /* or its space would not be free */
        close(changes->fd);
        changes->fd = -1;
    }
    return rc;
}

/* 0, -ENOENT: the name is that of another file, or of none; else -errno. */
static int same_file(const struct changes *changes) REQUIRES(changes->file)
{
    struct stat ours, named;

    if (fstat(changes->fd, &ours))
        return -errno;
    if (fstatat(changes->archive->dirfd, FORMAT_JOURNAL_NAME, &named, AT_SYMLINK_NOFOLLOW))
        return errno == ENOTDIR || errno == ELOOP ? -ENOENT : -errno;
    return ours.st_dev == named.st_dev && ours.st_ino == named.st_ino ? 0 : -ENOENT;
}

static int same_header(const struct changes *changes) REQUIRES(changes->file)
{
    unsigned char sector[FORMAT_JOURNAL_SECTOR];
    size_t got;
    int rc = io_pread(changes->fd, sector, sizeof(sector), 0, &got);

    if (rc)
        return rc;
    return got == sizeof(sector) && memcmp(sector, changes->header, sizeof(sector)) == 0 ? 0
                                                                                         : -ENOENT;
}

int changes_file_same(const struct changes *changes)
{
    int rc = changes->blind ? 0 : same_file(changes);

    return rc ? rc : same_header(changes);
}

void changes_file_tell_lost(const struct changes *changes)
{
    log_warn("another program replaced or removed the journal of changed tiles '%s/%s' while it "
             "was in use: beginning a new one; everything may have changed",
             changes->archive->path, FORMAT_JOURNAL_NAME);
    log_note("mirrors of '%s' must exclude '%s', in both directions; after a full mirror or "
             "backup, continue with the word of 'mosaicfs changed --mark'",
             changes->archive->path, FORMAT_PRIVATE_DIR);
}

int changes_file_open(struct changes *changes)
{
    int rc = io_open_file(changes->archive->dirfd, FORMAT_JOURNAL_NAME, O_RDWR, &changes->fd);

    if (rc)
        return rc;
    changes->blind = same_file(changes) == -ENOENT;
    atomic_store(&changes->state, CHANGES_NOTING);
    return 0;
}

int changes_file_replace(const struct archive *archive, const unsigned char *table, uint32_t ntiles)
{
    int fd;
    int rc = archive_private(archive, true, &fd);

    if (rc)
        return rc;
    rc = io_replace(fd, NAME, table, file_len(ntiles), IO_OVER);
    if (!rc)
        rc = io_sync_dir(archive->dirfd, ".");
    close(fd);
    return rc;
}

/* An empty table in place of what is there, durably. */
static int replace(const struct archive *archive, const struct journal_header *header)
{
    uint32_t nsectors = journal_sectors(header->ntiles);
    uint32_t none[FORMAT_JOURNAL_CELLS] = {0};
    unsigned char *table = malloc(file_len(header->ntiles));
    int rc = table ? journal_put_header(header, table) : -ENOMEM;

    for (uint32_t number = 1; !rc && number < nsectors; number++)
        rc = journal_put_sector(header->id, number, none,
                                table + (size_t)number * FORMAT_JOURNAL_SECTOR);
    if (!rc)
        rc = changes_file_replace(archive, table, header->ntiles);
    free(table);
    return rc;
}

int changes_file_start(struct changes *changes)
{
    struct journal_header header;
    int rc = hash_random(&changes->id, sizeof(changes->id));

    atomic_store(&changes->epoch, 1);
    changes_file_describe(changes, &header);
    if (!rc)
        rc = journal_put_header(&header, changes->header);
    if (!rc)
        rc = replace(changes->archive, &header);
    if (!rc)
        rc = changes_file_open(changes);
    return rc;
}

/* fresh is nobody else's, and has no lock. */
int changes_file_start_again(struct changes *changes) NO_THREAD_SAFETY
{
    struct changes fresh = {.archive = changes->archive, .ntiles = changes->ntiles, .fd = -1};
    int rc = changes_file_start(&fresh);

    for (uint32_t tile = 0; tile < changes->ntiles; tile++)
        if (atomic_load_explicit(&changes->cells[tile], memory_order_relaxed))
            atomic_store(&changes->cells[tile], 0);
    memset(changes->marks, 0, sizeof(changes->marks));
    if (rc) {
        /* If this fails, too, it is tried again before a tile changes. */
        (void)!changes_file_give_up(changes);
        return rc;
    }
    if (changes->fd >= 0)
        close(changes->fd);
    changes->fd = fresh.fd;
    changes->id = fresh.id;
    changes->blind = fresh.blind;
    memcpy(changes->header, fresh.header, sizeof(fresh.header));
    atomic_store(&changes->epoch, fresh.epoch);
    atomic_store(&changes->state, CHANGES_NOTING);
    return 0;
}
