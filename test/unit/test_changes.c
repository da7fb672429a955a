/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of changed tiles as a file: what is listed, what damage costs,
 * and how many syncs it takes. What a failed sync does is in
 * test_changes_sync.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "journal/changes.h"

#define TILE 4096
#define NTILES (3 * FORMAT_JOURNAL_CELLS) /* three sectors of cells */
#define THREADS 4

static atomic_int syncs;
static atomic_int waiting;  /* threads that wait for the one who writes */
static atomic_int hold_for; /* a sync lasts until so many wait */
static bool fstat_fails;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
    atomic_fetch_add(&syncs, 1);
    while (atomic_load(&waiting) < atomic_load(&hold_for))
        usleep(100);
    return __real_fdatasync(fd);
}

int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    atomic_fetch_add(&waiting, 1);
    return __real_pthread_cond_wait(cond, mutex);
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) __attribute__((alias("__wrap_fstat")));
int __wrap_fstat(int fd, struct stat *st)
{
    if (!fstat_fails)
        return __real_fstat64(fd, st);
    errno = EIO;
    return -1;
}

struct fixture {
    struct tempstore temp;
    struct changes *changes;
};

static void begin(struct fixture *f)
{
    assert_int_equal(changes_open(&f->temp.archive, &f->changes), 0);
}

static void end(struct fixture *f)
{
    changes_close(f->changes);
    f->changes = NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct geometry geo;

    tempstore_must(f && geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_make(&f->temp);
    tempstore_create(&f->temp, &geo);
    tempstore_must(archive_open(f->temp.path, &f->temp.archive) == 0, f->temp.path);
    begin(f);
    atomic_store(&syncs, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    end(f);
    tempstore_remove(&f->temp);
    free(f);
    return 0;
}

static void note(struct fixture *f, uint32_t tile)
{
    assert_int_equal(changes_note(f->changes, &tile, 1), 0);
}

static struct journal_word mark_word(struct fixture *f)
{
    char text[JOURNAL_EPOCH];
    struct journal_word word;

    assert_int_equal(changes_mark(f->changes), 0);
    assert_int_equal(changes_mark_tell(f->changes, text), 0);
    assert_int_equal(journal_parse_epoch(text, &word), 0);
    return word;
}

static uint32_t mark(struct fixture *f)
{
    return mark_word(f).mark.epoch;
}

static struct changes_list read_list(struct fixture *f)
{
    struct changes_list list;

    assert_int_equal(changes_read(&f->temp.archive, true, &list), 0);
    return list;
}

static uint32_t read_id(struct fixture *f)
{
    struct changes_list list = read_list(f);

    assert_null(list.unusable);
    changes_read_release(&list);
    return list.header.id;
}

static void expect_unusable(struct fixture *f, const char *why)
{
    struct changes_list list = read_list(f);

    assert_non_null(list.unusable);
    assert_string_equal(list.unusable, why);
    changes_read_release(&list);
}

/* Exactly these tiles changed since the epoch. */
static void expect_changed(struct fixture *f, uint32_t since, const uint32_t *tiles, size_t n)
{
    struct changes_list list = read_list(f);
    size_t k = 0;

    assert_null(list.unusable);
    for (uint32_t tile = 0; tile < NTILES; tile++)
        if (list.cells[tile] >= since) {
            assert_true(k < n);
            assert_int_equal(tile, tiles[k++]);
        }
    assert_int_equal(k, n);
    changes_read_release(&list);
}

static int journal(struct fixture *f)
{
    int fd = openat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void flip(struct fixture *f, off_t at)
{
    int fd = journal(f);
    unsigned char byte;

    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* --- what is listed --------------------------------------------------------------------------- */

static void a_new_journal_lists_nothing(void **state)
{
    expect_changed(*state, 1, NULL, 0);
}

static void what_is_noted_is_listed(void **state)
{
    static const uint32_t tiles[] = {0, 5, FORMAT_JOURNAL_CELLS, NTILES - 1};
    struct fixture *f = *state;

    assert_int_equal(changes_note(f->changes, tiles, ARRAY_LEN(tiles)), 0);
    expect_changed(f, 1, tiles, ARRAY_LEN(tiles));
    for (size_t i = 0; i < ARRAY_LEN(tiles); i++)
        assert_true(changes_noted(f->changes, tiles[i]));
    assert_false(changes_noted(f->changes, 1));
}

static void an_epoch_begins_with_an_empty_list(void **state)
{
    static const uint32_t both[] = {3, 200};
    struct fixture *f = *state;
    uint32_t epoch;

    note(f, 3);
    epoch = mark(f);
    expect_changed(f, epoch, NULL, 0);
    assert_false(changes_noted(f->changes, 3));
    note(f, 200);
    expect_changed(f, epoch, &both[1], 1);
    expect_changed(f, 1, both, 2);
}

static void the_next_writer_goes_on(void **state)
{
    static const uint32_t both[] = {3, 200};
    struct fixture *f = *state;
    uint32_t id = read_id(f), epoch = mark(f);

    note(f, 3);
    end(f);
    begin(f);
    assert_int_equal(read_id(f), id);
    note(f, 200);
    expect_changed(f, epoch, both, 2);
}

/* --- damage ----------------------------------------------------------------------------------- */

static void a_deleted_journal_is_missing(void **state)
{
    struct fixture *f = *state;
    uint32_t id = read_id(f);

    assert_int_equal(unlinkat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME, 0), 0);
    note(f, 1);
    expect_unusable(f, "is missing");
    assert_int_equal(mark(f), 1);
    assert_true(read_id(f) != id);
    assert_false(changes_noted(f->changes, 1));
}

static void a_deleted_journal_is_begun_anew(void **state)
{
    struct fixture *f = *state;
    uint32_t id = read_id(f);

    end(f);
    assert_int_equal(unlinkat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME, 0), 0);
    begin(f);
    assert_true(read_id(f) != id);
    expect_changed(f, 1, NULL, 0);
}

/* Whether it is still there cannot be told: no epoch is begun in a file that nobody finds. */
static void a_journal_that_cannot_be_looked_at_is_not_marked(void **state)
{
    struct fixture *f = *state;
    int rc;

    assert_int_equal(unlinkat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME, 0), 0);
    fstat_fails = true;
    rc = changes_mark(f->changes);
    fstat_fails = false;
    assert_int_equal(rc, -EIO);
    expect_unusable(f, "is missing");
}

/* Something was in the way, and is gone. */
static void a_mark_begins_what_another_could_not(void **state)
{
    struct fixture *f = *state;
    const uint32_t tile = 9;

    assert_int_equal(unlinkat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME, 0), 0);
    assert_int_equal(mkdirat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME ".tmp", 0777), 0);
    assert_int_not_equal(changes_mark(f->changes), 0);
    note(f, 8);
    expect_unusable(f, "is missing");
    assert_int_equal(unlinkat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME ".tmp", AT_REMOVEDIR), 0);
    assert_int_equal(mark(f), 1);
    note(f, tile);
    expect_changed(f, 1, &tile, 1);
}

static void a_damaged_sector_lists_its_own_tiles(void **state)
{
    uint32_t all[FORMAT_JOURNAL_CELLS + 1];
    struct fixture *f = *state;

    note(f, 7);
    all[0] = 7;
    for (uint32_t i = 0; i < FORMAT_JOURNAL_CELLS; i++)
        all[i + 1] = FORMAT_JOURNAL_CELLS + i;
    flip(f, 2 * FORMAT_JOURNAL_SECTOR + 100);
    expect_changed(f, 1, all, ARRAY_LEN(all));
    end(f);
    atomic_store(&syncs, 0);
    begin(f); /* writes it anew */
    assert_int_equal(atomic_load(&syncs), 1);
    expect_changed(f, 1, all, ARRAY_LEN(all));
    expect_changed(f, mark(f), NULL, 0);
}

static void a_short_journal_lists_what_is_missing(void **state)
{
    uint32_t all[FORMAT_JOURNAL_CELLS];
    struct fixture *f = *state;
    int fd = journal(f);

    assert_int_equal(ftruncate(fd, 3 * FORMAT_JOURNAL_SECTOR + 511), 0);
    close(fd);
    for (uint32_t i = 0; i < FORMAT_JOURNAL_CELLS; i++)
        all[i] = 2 * FORMAT_JOURNAL_CELLS + i;
    expect_changed(f, 1, all, ARRAY_LEN(all));
    end(f);
    begin(f);
    expect_changed(f, 1, all, ARRAY_LEN(all));
}

static void without_a_header_all_is_lost(void **state)
{
    struct fixture *f = *state;
    uint32_t id = read_id(f);

    note(f, 7);
    flip(f, 30);
    expect_unusable(f, "is damaged");
    end(f);
    begin(f);
    assert_true(read_id(f) != id);
    expect_changed(f, 1, NULL, 0);
}

static void a_journal_of_another_archive_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct journal_header header;
    unsigned char sector[FORMAT_JOURNAL_SECTOR];
    int fd = journal(f);

    journal_header_init(&header, &f->temp.archive.index, f->temp.archive.index.geometry.ntiles, 1);
    header.uuid[0] = header.uuid[0] == '0' ? '1' : '0';
    assert_int_equal(journal_put_header(&header, sector), 0);
    assert_int_equal(pwrite(fd, sector, sizeof(sector), 0), sizeof(sector));
    close(fd);
    expect_unusable(f, "belongs to another archive");
    end(f);
    begin(f);
    assert_true(read_id(f) != 1);
}

/* --- syncs ------------------------------------------------------------------------------------ */

static void a_tile_is_synced_once_an_epoch(void **state)
{
    struct fixture *f = *state;

    note(f, 1);
    assert_int_equal(atomic_load(&syncs), 1);
    note(f, 1);
    assert_int_equal(atomic_load(&syncs), 1);
    mark(f); /* the epoch, and its word */
    assert_int_equal(atomic_load(&syncs), 3);
    note(f, 1);
    assert_int_equal(atomic_load(&syncs), 4);
}

struct caller {
    pthread_t thread;
    struct fixture *fixture;
    uint32_t tile;
    int rc;
};

static void *call_note(void *arg)
{
    struct caller *caller = arg;

    caller->rc = changes_note(caller->fixture->changes, &caller->tile, 1);
    return NULL;
}

/* The first one's sync lasts until all others have come: one more is enough for them. */
static void threads_share_a_sync(void **state)
{
    struct caller callers[THREADS];
    uint32_t tiles[THREADS];

    atomic_store(&waiting, 0);
    atomic_store(&hold_for, THREADS - 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        tiles[i] = 100 * i % NTILES;
        callers[i] = (struct caller){.fixture = *state, .tile = tiles[i]};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_note, &callers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].rc, 0);
    }
    atomic_store(&hold_for, 0);
    assert_int_equal(atomic_load(&syncs), 2);
    expect_changed(*state, 1, tiles, THREADS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_new_journal_lists_nothing),
        TEST(what_is_noted_is_listed),
        TEST(an_epoch_begins_with_an_empty_list),
        TEST(the_next_writer_goes_on),
        TEST(a_deleted_journal_is_missing),
        TEST(a_deleted_journal_is_begun_anew),
        TEST(a_journal_that_cannot_be_looked_at_is_not_marked),
        TEST(a_mark_begins_what_another_could_not),
        TEST(a_damaged_sector_lists_its_own_tiles),
        TEST(a_short_journal_lists_what_is_missing),
        TEST(without_a_header_all_is_lost),
        TEST(a_journal_of_another_archive_is_not_believed),
        TEST(a_tile_is_synced_once_an_epoch),
        TEST(threads_share_a_sync),
    };

    return cmocka_run_group_tests_name("changes", tests, NULL, NULL) ? 1 : 0;
}
