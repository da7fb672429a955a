/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The beginning of an epoch, and its word; and the look at all tiles that comes between.
 *
 * The journal notes what we change. What others change between our mounts (a mirror that runs
 * both ways, a restore, another program that knows this kind of archive) it cannot note; so
 * it keeps a look of each tile's file: a number made of its times and its length. A list has
 * every tile whose file looks otherwise now. Nothing depends on clocks: another time is
 * another look, be it earlier or later. Only two changes within one tick of the clock look the
 * same; so of a file whose time is not yet past the look is not known, and the tile is listed.
 *
 * Order, after the epoch E has begun, durably:
 *
 *   1. Look at all tiles. Who changes one meanwhile notes it in E.
 *   2. What looks otherwise than the journal says, and is not noted, was changed by somebody
 *      else before E: its cell is set to E - 1, which no word that is out exceeds. A sync.
 *   3. The new looks, and the mark: number and nonce. A sync. Then the word is told.
 *
 * A crash after 2 leaves old looks or new ones, sector by sector, and the tiles noted to which
 * that makes a difference. A crash before the end of 3: nobody knows the word.
 *
 * The nonce is there for archives that are put back to an earlier state as a whole, by a
 * snapshot or a copy: their epochs get the same numbers a second time, and the words of the
 * first time must not be taken for those of the second.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "journal/changes_impl.h"
#include "journal/looks.h"

#define WATCH_SECONDS 10
#define TICKS_MS 20 /* the clock of file times moves on at least once in that time */

static bool is_noting(const struct changes *changes)
{
    return atomic_load(&changes->state) == CHANGES_NOTING;
}

/* --- the beginning ---------------------------------------------------------------------------- */

/*
 * In memory the epoch goes on even when its header does not reach the disk: on
 * disk it may be either, and tiles noted from now on count for both.
 */
static int next_epoch(struct changes *changes) REQUIRES(changes->file)
{
    int rc;

    atomic_store(&changes->epoch, atomic_load(&changes->epoch) + 1);
    rc = changes_file_header(changes);
    return rc ? rc : io_fdatasync(changes->fd);
}

static int begin(struct changes *changes) REQUIRES(changes->file)
{
    int rc;

    if (!is_noting(changes))
        return changes_file_start_again(changes);
    rc = changes_file_same(changes);
    if (rc == -ENOENT)
        changes_file_tell_lost(changes);
    if (rc == -ENOENT || (!rc && atomic_load(&changes->epoch) >= CHANGES_EPOCH_MAX))
        return changes_file_start_again(changes);
    return rc ? rc : next_epoch(changes);
}

int changes_mark(struct changes *changes)
{
    int rc;

    mutex_lock(&changes->file);
    rc = begin(changes);
    mutex_unlock(&changes->file);
    return rc ? changes_file_complain(changes->archive, "write", rc) : 0;
}

/* --- now and then ----------------------------------------------------------------------------- */

static void look_after(struct changes *changes)
{
    int rc;

    mutex_lock(&changes->file);
    rc = is_noting(changes) ? changes_file_same(changes) : 0;
    if (rc == -ENOENT) {
        changes_file_tell_lost(changes);
        rc = changes_file_start_again(changes);
        if (rc)
            changes_file_complain(changes->archive, "begin", rc);
    }
    mutex_unlock(&changes->file);
}

void changes_mark_watch(struct changes *changes, bool last)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (!last && now.tv_sec < changes->watched + WATCH_SECONDS)
        return;
    changes->watched = now.tv_sec;
    look_after(changes);
}

/* --- looking at all tiles --------------------------------------------------------------------- */

static bool is_after(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* What the file system says the time is: that of a file which was just written. */
static int file_time(struct changes *changes, struct timespec *now) REQUIRES(changes->file)
{
    struct stat st;
    int rc = changes_file_header(changes);

    if (!rc && fstat(changes->fd, &st))
        rc = -errno;
    if (!rc)
        *now = st.st_ctim;
    return rc;
}

/*
 * A time that is past what any tile has got by now, unless the clock has stepped back; and
 * no tile that changes later gets an earlier one. Where file times are coarse it may be
 * that of a tile, whose look is not known then.
 */
static int time_past_all(struct changes *changes, struct timespec *past) REQUIRES(changes->file)
{
    struct timespec first, now;
    int rc = file_time(changes, &first);

    for (int i = 0; !rc && i < TICKS_MS; i++) {
        clock_gettime(CLOCK_REALTIME_COARSE, &now); /* the clock of file times */
        if (is_after(&now, &first))
            break;
        usleep(1000);
    }
    return rc ? rc : file_time(changes, past);
}

int changes_mark_look(struct changes *changes, uint32_t *looks, uint32_t *bodies)
{
    struct timespec past;
    uint32_t ntiles;
    int rc;

    mutex_lock(&changes->file);
    ntiles = changes->ntiles;
    rc = is_noting(changes) ? time_past_all(changes, &past) : -EIO;
    mutex_unlock(&changes->file);
    return rc ? rc : looks_take(changes->archive, ntiles, &past, looks, bodies);
}

/* --- what came of it -------------------------------------------------------------------------- */

int changes_mark_old(struct changes *changes, uint32_t number, uint32_t old[FORMAT_JOURNAL_CELLS])
{
    int rc = changes_file_read(changes, number + journal_cell_sectors(changes->ntiles), old);

    if (rc != -EBADMSG)
        return rc;
    for (unsigned i = 0; i < FORMAT_JOURNAL_CELLS; i++)
        old[i] = JOURNAL_UNSURE;
    return 0;
}

uint32_t changes_mark_count(const struct changes *changes, uint32_t first)
{
    uint32_t rest = changes->ntiles - first;

    return rest < FORMAT_JOURNAL_CELLS ? rest : FORMAT_JOURNAL_CELLS;
}

/* Whether the file has in this sector what we have written. */
static bool has_cells(struct changes *changes, uint32_t number) REQUIRES(changes->file)
{
    uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;
    uint32_t cells[FORMAT_JOURNAL_CELLS];

    if (changes_file_read(changes, number, cells))
        return false;
    for (uint32_t i = 0; i < changes_mark_count(changes, first); i++)
        if (cells[i] < atomic_load(&changes->cells[first + i]))
            return false;
    return true;
}

/* Notes the tiles of one sector that somebody else has changed. *noted: a sync is due. */
static int note_sector(struct changes *changes, uint32_t number, const uint32_t *looks, bool *noted)
    REQUIRES(changes->file)
{
    uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;
    uint32_t before = atomic_load(&changes->epoch) - 1;
    uint32_t old[FORMAT_JOURNAL_CELLS];
    bool write = !has_cells(changes, number);
    int rc = changes_mark_old(changes, number, old);

    for (uint32_t i = 0; !rc && i < changes_mark_count(changes, first); i++)
        if (looks_differ(old[i], looks[first + i]) &&
            atomic_load(&changes->cells[first + i]) < before) {
            atomic_store(&changes->cells[first + i], before);
            write = true;
        }
    *noted = *noted || write;
    return rc || !write ? rc : changes_file_cells(changes, number, NULL, 0, 0);
}

static int note_others(struct changes *changes, const uint32_t *looks) REQUIRES(changes->file)
{
    uint32_t nsectors = journal_cell_sectors(changes->ntiles);
    bool noted = false;
    int rc = 0;

    for (uint32_t number = 1; !rc && number <= nsectors; number++)
        rc = note_sector(changes, number, looks, &noted);
    return rc || !noted ? rc : io_fdatasync(changes->fd);
}

static int write_looks(struct changes *changes, const uint32_t *looks) REQUIRES(changes->file)
{
    uint32_t nsectors = journal_cell_sectors(changes->ntiles);
    int rc = 0;

    for (uint32_t number = 1; !rc && number <= nsectors; number++) {
        uint32_t first = (number - 1) * FORMAT_JOURNAL_CELLS;
        uint32_t now[FORMAT_JOURNAL_CELLS] = {0}, old[FORMAT_JOURNAL_CELLS];

        memcpy(now, looks + first, changes_mark_count(changes, first) * sizeof(*now));
        rc = changes_mark_old(changes, number, old);
        if (!rc && memcmp(now, old, sizeof(now)) != 0)
            rc = changes_file_write(changes, number + nsectors, now);
    }
    return rc;
}

static int write_mark(struct changes *changes, struct journal_word *word) REQUIRES(changes->file)
{
    unsigned at = changes->next_mark;
    int rc = hash_random(&word->mark.nonce, sizeof(word->mark.nonce));

    word->id = changes->id;
    word->mark.epoch = atomic_load(&changes->epoch);
    changes->marks[at] = word->mark;
    if (!rc)
        rc = changes_file_marks(changes, at);
    if (!rc)
        rc = io_fdatasync(changes->fd);
    if (!rc)
        changes->next_mark = (at + 1) % FORMAT_JOURNAL_MARKS;
    return rc;
}

static int tell(struct changes *changes, const uint32_t *looks, struct journal_word *word)
{
    int rc;

    mutex_lock(&changes->file);
    rc = is_noting(changes) ? note_others(changes, looks) : -EIO;
    if (!rc)
        rc = write_looks(changes, looks);
    if (!rc)
        rc = write_mark(changes, word);
    mutex_unlock(&changes->file);
    return rc;
}

int changes_mark_tell(struct changes *changes, char epoch[JOURNAL_EPOCH])
{
    struct journal_word word = {0};
    uint32_t *looks;
    int rc;

    mutex_lock(&changes->telling);
    looks = calloc(changes->ntiles, sizeof(*looks));
    rc = looks ? 0 : -ENOMEM;
    if (!rc)
        rc = changes_mark_look(changes, looks, NULL);
    if (!rc)
        rc = tell(changes, looks, &word);
    mutex_unlock(&changes->telling);
    free(looks);
    if (rc)
        return changes_file_complain(changes->archive, "write", rc);
    journal_print_epoch(&word, epoch);
    return 0;
}
