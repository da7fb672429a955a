/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of changed tiles beside other programs: those that write tiles between our mounts,
 * that put the archive back to an earlier state, or a file in the place of the journal. The
 * linker (--wrap) gives the test the times of files, which no program can set.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../layouts.h"
#include "../tempstore.h"
#include "journal/changes.h"
#include "journal/looks.h"

#define TILE 65536
#define NTILES 40
#define JOURNAL_LEN (19 * FORMAT_JOURNAL_SECTOR)

static struct timespec stopped; /* the time of every change, if not 0 */
static time_t slow;             /* seconds by which the clock of files is late */
static time_t later;            /* seconds by which the clock of intervals is ahead */
static int warnings;

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    int rc = __real_clock_gettime(id, now);

    now->tv_sec += id == CLOCK_MONOTONIC_COARSE ? later : 0;
    return rc;
}

static void set_time(struct stat *st)
{
    if (stopped.tv_sec)
        st->st_ctim = stopped;
    st->st_ctim.tv_sec -= slow;
}

int __real_fstat64(int fd, struct stat *st);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fstat64(int fd, struct stat *st) __attribute__((alias("__wrap_fstat")));
int __wrap_fstat(int fd, struct stat *st)
{
    int rc = __real_fstat64(fd, st);

    set_time(st);
    return rc;
}

int __real_fstatat64(int fd, const char *path, struct stat *st, int flags);
int __wrap_fstatat(int fd, const char *path, struct stat *st, int flags);
int __wrap_fstatat64(int fd, const char *path, struct stat *st, int flags)
    __attribute__((alias("__wrap_fstatat")));
int __wrap_fstatat(int fd, const char *path, struct stat *st, int flags)
{
    int rc = __real_fstatat64(fd, path, st, flags);

    set_time(st);
    return rc;
}

void __wrap_log_warn(const char *fmt, ...);
void __wrap_log_warn(const char *fmt, ...)
{
    warnings++;
}

struct fixture {
    struct tempstore temp;
    struct changes *changes;
    const struct layout *layout;
};

static int path_fd(struct fixture *f, const char *path, int flags)
{
    int fd = openat(f->temp.archive.dirfd, path, flags | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    return fd;
}

/* As others do: the tile gets these bytes in place. */
static void write_tile(struct fixture *f, uint32_t tile, char byte)
{
    char path[LAYOUT_PATH], folder[LAYOUT_PATH];
    int fd;

    f->layout->folder_path(tile / f->layout->tiles_per_folder, folder);
    (void)!mkdirat(f->temp.archive.dirfd, folder, 0755);
    f->layout->tile_path(tile, path);
    fd = path_fd(f, path, O_WRONLY | O_CREAT);
    assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
    close(fd);
}

static void remove_tile(struct fixture *f, uint32_t tile)
{
    char path[LAYOUT_PATH];

    f->layout->tile_path(tile, path);
    assert_int_equal(unlinkat(f->temp.archive.dirfd, path, 0), 0);
}

static void begin(struct fixture *f)
{
    assert_int_equal(changes_open(&f->temp.archive, &f->changes), 0);
}

static void end(struct fixture *f)
{
    changes_close(f->changes);
    f->changes = NULL;
}

static void open_layout(struct fixture *f, const struct layout *layout)
{
    struct geometry geo;

    stopped = (struct timespec){0};
    slow = 0;
    warnings = 0;
    f->layout = layout;
    tempstore_must(geometry_init(&geo, NTILES * TILE, TILE) == 0, "geometry");
    tempstore_make(&f->temp);
    tempstore_create_as(&f->temp, &geo, layout);
    tempstore_must(archive_open(f->temp.path, &f->temp.archive) == 0, f->temp.path);
    begin(f);
    for (uint32_t tile = 1; tile < 10; tile++)
        write_tile(f, tile, 'a');
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    tempstore_must(f != NULL, "memory");
    open_layout(f, &layout_plain);
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

static struct journal_word mark(struct fixture *f)
{
    char text[JOURNAL_EPOCH];
    struct journal_word word;

    assert_int_equal(changes_mark(f->changes), 0);
    assert_int_equal(changes_mark_tell(f->changes, text), 0);
    assert_int_equal(journal_parse_epoch(text, &word), 0);
    return word;
}

static struct changes_list read_list(struct fixture *f)
{
    struct changes_list list;

    assert_int_equal(changes_read(&f->temp.archive, true, &list), 0);
    return list;
}

static bool is_known(struct fixture *f, const struct journal_word *word)
{
    struct changes_list list = read_list(f);
    bool known = changes_read_knows(&list, word);

    changes_read_release(&list);
    return known;
}

/* The tiles that changed since, ended by NTILES, as the journal and the files say; or its cells. */
static void expect(struct fixture *f, const struct journal_word *since, bool by_cells,
                   const uint32_t *tiles)
{
    uint32_t looks[NTILES] = {0};
    struct changes_list list = read_list(f);

    assert_int_equal(looks_take(&f->temp.archive, NTILES, NULL, looks, NULL), 0);
    assert_true(changes_read_knows(&list, since));
    for (uint32_t tile = 0; tile < NTILES; tile++) {
        bool changed = list.cells[tile] >= since->mark.epoch ||
                       (!by_cells && looks_differ(list.looks[tile], looks[tile]));

        if (changed != (tile == *tiles))
            fail_msg("tile %u is %slisted", tile, changed ? "" : "not ");
        tiles += changed;
    }
    assert_int_equal(*tiles, NTILES);
    changes_read_release(&list);
}

#define EXPECT(f, since, ...) expect(f, since, false, (const uint32_t[]){__VA_ARGS__, NTILES})
#define EXPECT_CELLS(f, since, ...) expect(f, since, true, (const uint32_t[]){__VA_ARGS__, NTILES})
#define EXPECT_NONE(f, since) expect(f, since, false, (const uint32_t[]){NTILES})

/* --- tiles of others -------------------------------------------------------------------------- */

static void what_others_do_to_tiles_is_listed_and_then_noted(struct fixture *f)
{
    const uint32_t ours = 20;
    struct journal_word first, second;

    first = mark(f);
    EXPECT_NONE(f, &first);
    assert_int_equal(changes_note(f->changes, &ours, 1), 0);
    end(f);
    write_tile(f, 3, 'b');  /* changed */
    write_tile(f, 30, 'b'); /* made */
    remove_tile(f, 5);
    EXPECT(f, &first, 3, 5, 20, 30);
    begin(f);
    EXPECT(f, &first, 3, 5, 20, 30);
    second = mark(f);
    EXPECT_CELLS(f, &first, 3, 5, 20, 30);
    EXPECT_NONE(f, &second);
    end(f);
    EXPECT(f, &first, 3, 5, 20, 30);
    EXPECT_NONE(f, &second);
    remove_tile(f, 30);
    EXPECT(f, &second, 30);
    begin(f);
}

static void in_every_layout(void **state)
{
    for (unsigned n = 0; layouts_nth(n); n++) {
        struct fixture f;

        open_layout(&f, layouts_nth(n));
        what_others_do_to_tiles_is_listed_and_then_noted(&f);
        end(&f);
        tempstore_remove(&f.temp);
    }
}

/* As rsync and Syncthing do: under another name first, with the time that it has elsewhere. */
static void a_tile_with_its_old_time_is_listed(void **state)
{
    const struct timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
    struct fixture *f = *state;
    struct journal_word word = mark(f);
    int fd = path_fd(f, "00/.tile", O_WRONLY | O_CREAT);

    assert_int_equal(pwrite(fd, "b", 1, 0), 1);
    assert_int_equal(futimens(fd, times), 0);
    close(fd);
    assert_int_equal(renameat(f->temp.archive.dirfd, "00/.tile", f->temp.archive.dirfd, "00/0004"),
                     0);
    EXPECT(f, &word, 4);
}

/* The clock is set back an hour after the mark; then an hour goes by, and more. */
static void a_clock_that_jumps_hides_no_change(void **state)
{
    struct fixture *f = *state;
    struct journal_word word = mark(f);

    slow = 3600;
    write_tile(f, 7, 'b');
    EXPECT(f, &word, 1, 2, 3, 4, 5, 6, 7, 8, 9); /* all, as all times differ here */
    slow = -3600;
    EXPECT(f, &word, 1, 2, 3, 4, 5, 6, 7, 8, 9);
}

/* It may be written once more, and still bear the time that it had when it was looked at. */
static void a_tile_of_the_same_tick_is_listed(void **state)
{
    struct fixture *f = *state;
    struct journal_word word;

    stopped = (struct timespec){1700000000, 0};
    word = mark(f);
    EXPECT(f, &word, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    stopped.tv_sec = 0;
    word = mark(f);
    EXPECT_NONE(f, &word);
}

/* Nobody knows what is in it. */
static void tiles_that_cannot_be_looked_at_are_listed(void **state)
{
    struct fixture *f = *state;
    struct journal_word first = mark(f), second;
    struct changes_list list;

    assert_int_equal(renameat(f->temp.archive.dirfd, "00", f->temp.archive.dirfd, "elsewhere"), 0);
    assert_int_equal(symlinkat("elsewhere", f->temp.archive.dirfd, "00"), 0);
    second = mark(f);
    list = read_list(f);
    for (uint32_t tile = 0; tile < NTILES; tile++) {
        assert_true(list.cells[tile] >= first.mark.epoch && list.cells[tile] < second.mark.epoch);
        assert_int_equal(list.looks[tile], JOURNAL_UNSURE);
    }
    changes_read_release(&list);
}

/* --- words ------------------------------------------------------------------------------------ */

static void read_journal(struct fixture *f, char *bytes)
{
    int fd = path_fd(f, FORMAT_JOURNAL_NAME, O_RDONLY);

    assert_true(read(fd, bytes, JOURNAL_LEN) > 0);
    close(fd);
}

static void write_journal(struct fixture *f, const char *bytes, bool in_place)
{
    const char *name = in_place ? FORMAT_JOURNAL_NAME : FORMAT_PRIVATE_DIR "/.other";
    int fd = path_fd(f, name, O_WRONLY | O_CREAT);

    assert_int_equal(pwrite(fd, bytes, JOURNAL_LEN, 0), JOURNAL_LEN);
    close(fd);
    if (!in_place)
        assert_int_equal(
            renameat(f->temp.archive.dirfd, name, f->temp.archive.dirfd, FORMAT_JOURNAL_NAME), 0);
}

/* By a snapshot of the whole archive, for example. */
static void an_archive_that_is_put_back_tells_no_word_twice(void **state)
{
    struct fixture *f = *state;
    char before[JOURNAL_LEN] = {0};
    struct journal_word known = mark(f), lost, again;

    end(f);
    read_journal(f, before);
    begin(f);
    lost = mark(f);
    end(f);
    write_journal(f, before, false);
    begin(f);
    again = mark(f);
    assert_int_equal(lost.id, again.id);
    assert_int_equal(lost.mark.epoch, again.mark.epoch);
    assert_int_not_equal(lost.mark.nonce, again.mark.nonce);
    assert_false(is_known(f, &lost));
    assert_true(is_known(f, &known) && is_known(f, &again));
}

static void words_are_remembered_across_mounts_and_in_order(void **state)
{
    struct fixture *f = *state;
    struct journal_word words[130];

    for (unsigned i = 0; i < ARRAY_LEN(words); i++) {
        words[i] = mark(f);
        if (i % 50 == 0) {
            end(f);
            begin(f);
        }
    }
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        assert_true(is_known(f, &words[i]));
}

static void a_journal_of_version_1_is_replaced(void **state)
{
    struct fixture *f = *state;
    char bytes[JOURNAL_LEN] = {0};
    struct changes_list list;
    struct journal_word word;

    end(f);
    read_journal(f, bytes);
    bytes[16] = 1;
    assert_int_equal(hash_check(bytes, 504, (unsigned char *)bytes + 504), 0);
    write_journal(f, bytes, true);
    list = read_list(f);
    assert_true(list.old);
    assert_string_equal(list.unusable, "was written by an older version");
    changes_read_release(&list);
    begin(f);
    assert_int_equal(journal_parse_epoch("5f3a9c1e-12", &word), 0);
    assert_false(is_known(f, &word));
    word = mark(f);
    EXPECT_NONE(f, &word);
}

/* --- another file in the place of the journal ------------------------------------------------- */

static void put_back(struct fixture *f, bool in_place, char *bytes)
{
    read_journal(f, bytes);
    mark(f);
    write_journal(f, bytes, in_place);
}

static void a_replaced_journal_is_noticed_by_a_mark(void **state)
{
    struct fixture *f = *state;

    for (int in_place = 0; in_place < 2; in_place++) {
        char bytes[JOURNAL_LEN] = {0};
        struct journal_word first = mark(f), second;

        warnings = 0;
        put_back(f, in_place, bytes);
        second = mark(f);
        assert_int_equal(warnings, 1);
        assert_int_not_equal(first.id, second.id);
        assert_false(is_known(f, &first));
        EXPECT_NONE(f, &second);
        write_tile(f, 6, 'c');
        EXPECT(f, &second, 6);
    }
}

static void and_now_and_then(void **state)
{
    struct fixture *f = *state;
    char bytes[JOURNAL_LEN] = {0};
    struct journal_word first = mark(f);

    changes_mark_watch(f->changes, true);
    assert_int_equal(warnings, 0);
    put_back(f, false, bytes);
    changes_mark_watch(f->changes, false);
    assert_int_equal(warnings, 0);
    later += 11;
    changes_mark_watch(f->changes, false);
    assert_int_equal(warnings, 1);
    assert_false(is_known(f, &first));
    changes_mark_watch(f->changes, true);
    assert_int_equal(warnings, 1);
}

/* Replaced, and then removed. */
static void and_at_the_end(void **state)
{
    struct fixture *f = *state;
    char bytes[JOURNAL_LEN] = {0};

    for (int removed = 0; removed < 2; removed++) {
        struct journal_word word = mark(f);

        if (removed)
            assert_int_equal(unlinkat(f->temp.archive.dirfd, FORMAT_JOURNAL_NAME, 0), 0);
        else
            put_back(f, false, bytes);
        end(f);
        assert_int_equal(warnings, 1 + removed);
        assert_false(is_known(f, &word));
        begin(f);
    }
}

/* The writer dies before it notices: then the files themselves tell. */
static void one_that_nobody_noticed_hides_no_change(void **state)
{
    struct fixture *f = *state;
    char bytes[JOURNAL_LEN] = {0};
    const uint32_t tile = 8;
    struct journal_word word = mark(f);

    read_journal(f, bytes);
    assert_int_equal(changes_note(f->changes, &tile, 1), 0);
    write_tile(f, tile, 'c');
    write_journal(f, bytes, true);
    EXPECT_CELLS(f, &word, NTILES);
    EXPECT(f, &word, 8);
}

/* The bytes of an hour ago, header and all, but for the cells. */
static void lost_cells_are_written_anew_by_a_mark(void **state)
{
    struct fixture *f = *state;
    char bytes[JOURNAL_LEN] = {0};
    const uint32_t tile = 8;
    struct journal_word word = mark(f);

    read_journal(f, bytes);
    assert_int_equal(changes_note(f->changes, &tile, 1), 0);
    write_tile(f, tile, 'c');
    write_journal(f, bytes, true);
    mark(f);
    EXPECT_CELLS(f, &word, 8);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_every_layout),
        TEST(a_tile_with_its_old_time_is_listed),
        TEST(a_clock_that_jumps_hides_no_change),
        TEST(a_tile_of_the_same_tick_is_listed),
        TEST(tiles_that_cannot_be_looked_at_are_listed),
        TEST(an_archive_that_is_put_back_tells_no_word_twice),
        TEST(words_are_remembered_across_mounts_and_in_order),
        TEST(a_journal_of_version_1_is_replaced),
        TEST(a_replaced_journal_is_noticed_by_a_mark),
        TEST(and_now_and_then),
        TEST(and_at_the_end),
        TEST(one_that_nobody_noticed_hides_no_change),
        TEST(lost_cells_are_written_anew_by_a_mark),
    };

    return cmocka_run_group_tests_name("changes others", tests, NULL, NULL) ? 1 : 0;
}
