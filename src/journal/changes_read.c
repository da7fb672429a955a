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
#include "journal/changes.h"

#define READ_TRIES 10

/* Why this header is not one of this archive, or NULL. */
static const char *foreign(const struct journal_header *header, const struct index *index)
{
    if (header->ntiles == 0 || header->ntiles > index->layout->tiles_max ||
        header->tile_size != index->geometry.tile_size || strcmp(header->uuid, index->uuid) != 0)
        return "belongs to another archive";
    return NULL;
}

/* 0, also when nothing can be told from this journal, or -errno. */
static int read_header(int fd, const struct index *index, struct changes_list *list)
{
    struct journal_header *header = &list->header;
    const char **why = &list->unusable;
    int rc = -EBADMSG;

    for (int i = 0; rc == -EBADMSG && i < READ_TRIES; i++) {
        unsigned char sector[FORMAT_JOURNAL_SECTOR];
        size_t got;

        rc = io_pread(fd, sector, sizeof(sector), 0, &got);
        if (!rc)
            rc = got == sizeof(sector) ? journal_get_header(sector, header) : -EBADMSG;
    }
    *why = rc == -EBADMSG   ? "is damaged"
           : rc == -ENOTSUP ? "was written by a newer version"
           : rc == -EPROTO  ? "was written by an older version"
                            : NULL;
    list->old = rc == -EPROTO;
    if (!rc)
        *why = foreign(header, index);
    return *why ? 0 : rc;
}

/* One sector of the table. -EBADMSG when it is damaged; else as above. */
static int read_sector(int fd, uint32_t id, uint32_t number, const unsigned char *first,
                       uint32_t cells[FORMAT_JOURNAL_CELLS])
{
    int rc = first ? journal_get_sector(first, id, number, cells) : -EBADMSG;

    for (int i = 0; rc == -EBADMSG && i < READ_TRIES; i++) {
        unsigned char sector[FORMAT_JOURNAL_SECTOR];
        size_t got;

        rc = io_pread(fd, sector, sizeof(sector), (uint64_t)number * sizeof(sector), &got);
        if (!rc && got < sizeof(sector))
            return -EBADMSG; /* cut: no writer brings that back */
        if (!rc)
            rc = journal_get_sector(sector, id, number, cells);
    }
    return rc;
}

/* What a sector holds, or stands for when it is damaged. */
typedef void take_fn(struct changes_list *list, uint32_t nth, const uint32_t *numbers);

static void take_numbers(const struct changes_list *list, uint32_t nth, const uint32_t *numbers,
                         uint32_t damaged, uint32_t *to)
{
    uint32_t first = nth * FORMAT_JOURNAL_CELLS;

    /* Without a look at a table of nothing but zeros, no memory is touched for it. */
    for (uint32_t i = 0; i < FORMAT_JOURNAL_CELLS && first + i < list->header.ntiles; i++)
        if (!numbers || numbers[i])
            to[first + i] = numbers ? numbers[i] : damaged;
}

static void take_cells(struct changes_list *list, uint32_t nth, const uint32_t *numbers)
{
    take_numbers(list, nth, numbers, UINT32_MAX, list->cells);
}

static void take_looks(struct changes_list *list, uint32_t nth, const uint32_t *numbers)
{
    take_numbers(list, nth, numbers, JOURNAL_UNSURE, list->looks);
}

static void take_marks(struct changes_list *list, uint32_t nth, const uint32_t *numbers)
{
    if (numbers)
        journal_get_marks(numbers, &list->marks[nth * (FORMAT_JOURNAL_CELLS / 2)]);
    else
        list->marks_damaged = true;
}

static void note_damage(struct changes_list *list, uint32_t number)
{
    if (!list->damaged++ || number < list->first_damaged)
        list->first_damaged = number;
}

/* Sectors from first to end - 1, all of one kind. */
static int read_sectors(int fd, struct changes_list *list, uint32_t first, uint32_t end,
                        take_fn *take)
{
    unsigned char chunk[64 * FORMAT_JOURNAL_SECTOR];
    int rc = 0;

    for (uint32_t number = first; !rc && number < end;) {
        size_t got, at;

        rc = io_pread(fd, chunk, sizeof(chunk), (uint64_t)number * FORMAT_JOURNAL_SECTOR, &got);
        for (at = 0; !rc && at < sizeof(chunk) && number < end; number++) {
            uint32_t numbers[FORMAT_JOURNAL_CELLS];
            bool whole = at + FORMAT_JOURNAL_SECTOR <= got;

            rc = read_sector(fd, list->header.id, number, whole ? chunk + at : NULL, numbers);
            at += FORMAT_JOURNAL_SECTOR;
            if (!rc || rc == -EBADMSG)
                take(list, number - first, rc ? NULL : numbers);
            if (rc != -EBADMSG)
                continue;
            note_damage(list, number);
            rc = 0;
        }
    }
    return rc;
}

/*
 * Looks before cells: a mark that comes between makes new looks of what the cells say, and
 * not the other way round.
 */
static int read_table(int fd, bool looks, struct changes_list *list)
{
    uint32_t ntiles = list->header.ntiles;
    uint32_t n = journal_cell_sectors(ntiles), marks = journal_first_marks(ntiles);
    int rc = 0;

    list->cells = calloc(ntiles, sizeof(*list->cells));
    list->looks = looks ? calloc(ntiles, sizeof(*list->looks)) : NULL;
    if (!list->cells || (looks && !list->looks))
        return -ENOMEM;
    if (looks)
        rc = read_sectors(fd, list, 1 + n, 1 + 2 * n, take_looks);
    if (!rc)
        rc = read_sectors(fd, list, 1, 1 + n, take_cells);
    return rc ? rc : read_sectors(fd, list, marks, journal_sectors(ntiles), take_marks);
}

static int read_open(int fd, const struct archive *archive, bool looks, struct changes_list *list)
{
    struct stat st;
    int rc;

    list->linked = fstat(fd, &st) == 0 && st.st_nlink > 1;
    rc = read_header(fd, &archive->index, list);
    return rc || list->unusable ? rc : read_table(fd, looks, list);
}

int changes_read(const struct archive *archive, bool looks, struct changes_list *list)
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
        rc = read_open(fd, archive, looks, list);
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
    free(list->looks);
    list->cells = NULL;
    list->looks = NULL;
}

uint32_t changes_read_cell(const struct changes_list *list, uint32_t tile)
{
    return tile < list->header.ntiles ? list->cells[tile] : 0;
}

uint32_t changes_read_look(const struct changes_list *list, uint32_t tile)
{
    return tile < list->header.ntiles ? list->looks[tile] : JOURNAL_ABSENT;
}

bool changes_read_newest(const struct changes_list *list, struct journal_word *word)
{
    *word = (struct journal_word){.id = list->header.id};
    for (unsigned i = 0; !list->unusable && i < FORMAT_JOURNAL_MARKS; i++)
        if (list->marks[i].epoch > word->mark.epoch && list->marks[i].epoch <= list->header.epoch)
            word->mark = list->marks[i];
    return word->mark.epoch > 0;
}

bool changes_read_knows(const struct changes_list *list, const struct journal_word *word)
{
    if (list->unusable || word->old || word->id != list->header.id ||
        word->mark.epoch > list->header.epoch)
        return false;
    for (unsigned i = 0; i < FORMAT_JOURNAL_MARKS; i++)
        if (list->marks[i].epoch == word->mark.epoch && list->marks[i].nonce == word->mark.nonce)
            return true;
    return false;
}
