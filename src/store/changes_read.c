/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of changed tiles as it stands on disk, for writers that take it
 * over and for whoever wants to know what changed; changes.c says what it means.
 * A writer may be writing just now: a sector that seems damaged is read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "store/changes.h"

#define READ_TRIES 10

/* Why this header is not one of this archive, or NULL. */
static const char *foreign(const struct journal_header *header, const struct index *index)
{
    if (header->ntiles != index->geometry.ntiles ||
        header->tile_size != index->geometry.tile_size || strcmp(header->uuid, index->uuid) != 0)
        return "belongs to another archive";
    return NULL;
}

/* *why: nothing can be told from this journal. 0 or -errno. */
static int read_header(int fd, const struct index *index, struct journal_header *header,
                       const char **why)
{
    int rc = -EBADMSG;

    for (int i = 0; rc == -EBADMSG && i < READ_TRIES; i++) {
        unsigned char sector[FORMAT_JOURNAL_SECTOR];
        size_t got;

        rc = io_pread(fd, sector, sizeof(sector), 0, &got);
        if (!rc)
            rc = got == sizeof(sector) ? journal_get_header(sector, header) : -EBADMSG;
    }
    *why = rc == -EBADMSG ? "is damaged" : rc == -ENOTSUP ? "was written by a newer version" : NULL;
    if (!rc)
        *why = foreign(header, index);
    return *why ? 0 : rc;
}

/* One sector of the table into cells. -EBADMSG when it is damaged; else as above. */
static int read_sector(int fd, uint32_t id, uint32_t number, const unsigned char *first,
                       uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    int rc = first ? journal_get_sector(first, id, number, cells) : -EBADMSG;

    for (int i = 0; rc == -EBADMSG && i < READ_TRIES; i++) {
        unsigned char sector[FORMAT_JOURNAL_SECTOR];
        size_t got;

        rc = io_pread(fd, sector, sizeof(sector), (uint64_t)number * sizeof(sector), &got);
        if (!rc)
            rc = got == sizeof(sector) ? journal_get_sector(sector, id, number, cells) : -EBADMSG;
    }
    return rc;
}

static void take_sector(struct changes_list *list, uint32_t number,
                        const uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;

    /* Without a look at a table of nothing but zeros, no memory is touched for it. */
    for (uint32_t i = 0; i < FORMAT_JOURNAL_CELLS && first + i < list->header.ntiles; i++)
        if (cells[i])
            list->cells[first + i] = cells[i];
}

static void take_damage(struct changes_list *list, uint32_t number)
{
    uint32_t cells[FORMAT_JOURNAL_CELLS];

    memset(cells, 0xff, sizeof(cells));
    take_sector(list, number, cells);
    if (!list->damaged++)
        list->first_damaged = number;
}

static int read_cells(int fd, struct changes_list *list)
{
    uint32_t nsectors = journal_sectors(list->header.ntiles);
    unsigned char chunk[64 * FORMAT_JOURNAL_SECTOR];
    int rc = 0;

    list->cells = calloc(list->header.ntiles, sizeof(*list->cells));
    if (!list->cells)
        return -ENOMEM;
    for (uint32_t number = 1; !rc && number < nsectors;) {
        size_t got, at;

        rc = io_pread(fd, chunk, sizeof(chunk), (uint64_t)number * FORMAT_JOURNAL_SECTOR, &got);
        for (at = 0; !rc && at < sizeof(chunk) && number < nsectors; number++) {
            uint32_t cells[FORMAT_JOURNAL_CELLS];
            bool whole = at + FORMAT_JOURNAL_SECTOR <= got;

            rc = read_sector(fd, list->header.id, number, whole ? chunk + at : NULL, cells);
            at += FORMAT_JOURNAL_SECTOR;
            if (!rc)
                take_sector(list, number, cells);
            if (rc != -EBADMSG)
                continue;
            take_damage(list, number);
            rc = 0;
        }
    }
    return rc;
}

static int read_open(int fd, const struct archive *archive, struct changes_list *list)
{
    struct stat st;
    int rc;

    list->linked = fstat(fd, &st) == 0 && st.st_nlink > 1;
    rc = read_header(fd, &archive->index, &list->header, &list->unusable);

    return rc || list->unusable ? rc : read_cells(fd, list);
}

int changes_read(const struct archive *archive, struct changes_list *list)
{
    int fd;
    int rc = io_open_file(archive->dirfd, FORMAT_JOURNAL_NAME, O_RDONLY, &fd);

    *list = (struct changes_list){0};
    if (rc == -ENOENT)
        list->unusable = "is missing";
    else if (rc == -EINVAL || rc == -ELOOP)
        list->unusable = "is not a regular file";
    if (list->unusable)
        return 0;
    if (!rc) {
        rc = read_open(fd, archive, list);
        close(fd);
    }
    if (rc)
        log_error("cannot read the journal of changed tiles '%s/%s': %s", archive->path,
                  FORMAT_JOURNAL_NAME, strerror(-rc));
    return rc;
}

void changes_read_release(struct changes_list *list)
{
    free(list->cells);
    list->cells = NULL;
}
