/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of changed tiles when a sync fails. The kernel takes what it
 * could not write for written, so the page cache then shows a cell that the
 * disk lacks.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "base/io.h"
#include "journal/changes.h"

#define TILE 7

static int failing; /* syncs to come */

static int fsync_failing; /* the one that fails, counted from now; 0: none */

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
    if (fsync_failing == 0 || --fsync_failing)
        return __real_fsync(fd);
    errno = EIO;
    return -1;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
    if (failing == 0)
        return __real_fdatasync(fd);
    failing--;
    errno = EIO;
    return -1;
}

static int mark(struct changes *changes, struct journal_word *word)
{
    char text[JOURNAL_EPOCH];
    int rc = changes_mark(changes);

    if (!rc)
        rc = changes_mark_tell(changes, text);
    if (!rc)
        assert_int_equal(journal_parse_epoch(text, word), 0);
    return rc;
}

static void open_archive(struct tempstore *temp)
{
    struct geometry geo;

    assert_int_equal(geometry_init(&geo, 1 << 20, 65536), 0);
    tempstore_make(temp);
    tempstore_create(temp, &geo);
    assert_int_equal(archive_open(temp->path, &temp->archive), 0);
}

/* A journal that has just failed to note TILE. */
static struct changes *open_with_failed_note(struct tempstore *temp)
{
    const uint32_t tile = TILE;
    struct changes *changes;

    open_archive(temp);
    assert_int_equal(changes_open(&temp->archive, &changes), 0);
    failing = 1;
    assert_int_equal(changes_note(changes, &tile, 1), -EIO);
    return changes;
}

static void a_note_that_failed_is_none(void **state)
{
    const uint32_t tile = TILE;
    struct tempstore temp;
    struct changes *changes = open_with_failed_note(&temp);

    assert_false(changes_noted(changes, tile));
    assert_int_equal(changes_note(changes, &tile, 1), 0);
    assert_true(changes_noted(changes, tile));
    changes_close(changes);
    tempstore_remove(&temp);
}

/* Nor is it one for the next writer, who reads it from the page cache. */
static void nor_for_the_next(void **state)
{
    struct tempstore temp;
    struct changes *changes = open_with_failed_note(&temp);

    changes_close(changes);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_false(changes_noted(changes, TILE));
    changes_close(changes);
    tempstore_remove(&temp);
}

/* Words that were told before stay known. */
static void the_next_knows_the_epochs(void **state)
{
    const uint32_t tile = TILE;
    struct journal_word first, second;
    struct changes_list list;
    struct changes *changes;
    struct tempstore temp;

    open_archive(&temp);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_int_equal(mark(changes, &first), 0);
    changes_close(changes);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_int_equal(changes_note(changes, &tile, 1), 0);
    changes_close(changes);
    assert_int_equal(changes_read(&temp.archive, true, &list), 0);
    assert_null(list.unusable);
    assert_true(changes_read_knows(&list, &first));
    assert_true(list.cells[tile] >= first.mark.epoch);
    changes_read_release(&list);

    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_int_equal(mark(changes, &second), 0);
    changes_close(changes);
    assert_int_equal(changes_read(&temp.archive, true, &list), 0);
    assert_true(changes_read_knows(&list, &first));
    assert_true(changes_read_knows(&list, &second));
    assert_int_equal(second.mark.epoch, list.header.epoch);
    assert_true(list.cells[tile] < second.mark.epoch);
    changes_read_release(&list);
    tempstore_remove(&temp);
}

/* The journal is deleted while it is used, and a new one cannot be begun without a failure. */
static void a_mark_that_fails_hides_no_change(void **state)
{
    const uint32_t tile = TILE;
    int rc = -EIO;

    for (int nth = 1; rc; nth++) {
        struct changes_list list;
        struct changes *changes;
        struct tempstore temp;
        struct journal_word word;
        int noted;

        assert_true(nth < 10);
        open_archive(&temp);
        assert_int_equal(changes_open(&temp.archive, &changes), 0);
        assert_int_equal(unlinkat(temp.archive.dirfd, FORMAT_JOURNAL_NAME, 0), 0);
        fsync_failing = nth;
        rc = mark(changes, &word);
        fsync_failing = 0;
        noted = changes_noted(changes, tile) ? 0 : changes_note(changes, &tile, 1);
        changes_close(changes);
        assert_int_equal(changes_read(&temp.archive, true, &list), 0);
        if (noted == 0)
            assert_true(list.unusable || list.cells[tile] >= list.header.epoch);
        changes_read_release(&list);
        tempstore_remove(&temp);
    }
}

/* A journal whose numbers are used up, as a stranger may have written it. */
static void no_epoch_is_used_twice(void **state)
{
    static const uint32_t cells[FORMAT_JOURNAL_CELLS] = {[TILE] = UINT32_MAX - 1};
    unsigned char file[2 * FORMAT_JOURNAL_SECTOR];
    struct journal_header header;
    struct changes *changes;
    struct tempstore temp;
    struct journal_word word;
    int fd;

    open_archive(&temp);
    journal_header_init(&header, &temp.archive.index, temp.archive.index.geometry.ntiles, 0x1234);
    header.epoch = UINT32_MAX - 1;
    assert_int_equal(journal_put_header(&header, file), 0);
    assert_int_equal(journal_put_sector(header.id, 1, cells, file + FORMAT_JOURNAL_SECTOR), 0);
    assert_int_equal(mkdirat(temp.archive.dirfd, FORMAT_PRIVATE_DIR, 0777), 0);
    assert_int_equal(
        io_open(temp.archive.dirfd, FORMAT_JOURNAL_NAME, O_WRONLY | O_CREAT, 0666, &fd), 0);
    assert_int_equal(io_write(fd, file, sizeof(file)), 0);
    close(fd);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_false(changes_noted(changes, TILE));
    assert_int_equal(mark(changes, &word), 0);
    assert_int_not_equal(word.id, header.id);
    changes_close(changes);
    tempstore_remove(&temp);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_that_failed_is_none),
        cmocka_unit_test(nor_for_the_next),
        cmocka_unit_test(the_next_knows_the_epochs),
        cmocka_unit_test(a_mark_that_fails_hides_no_change),
        cmocka_unit_test(no_epoch_is_used_twice),
    };

    return cmocka_run_group_tests_name("changes sync", tests, NULL, NULL) ? 1 : 0;
}
