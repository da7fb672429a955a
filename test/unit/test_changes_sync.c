/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The journal of changed tiles when a sync fails. The kernel takes what it
 * could not write for written, so the page cache then shows a cell that the
 * disk lacks.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../tempstore.h"
#include "store/changes.h"

#define TILE 7

static int failing; /* syncs to come */

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

static void open_archive(struct tempstore *temp)
{
    struct geometry geo;

    assert_int_equal(geometry_init(&geo, 1 << 20, 65536), 0);
    tempstore_make(temp);
    tempstore_create(temp, &geo);
    assert_int_equal(archive_open(temp->path, &temp->archive), 0);
}

static void a_note_that_failed_is_none(void **state)
{
    const uint32_t tile = TILE;
    struct changes *changes;
    struct tempstore temp;

    open_archive(&temp);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    failing = 1;
    assert_int_equal(changes_note(changes, &tile, 1), -EIO);
    assert_false(changes_noted(changes, tile));
    assert_int_equal(changes_note(changes, &tile, 1), 0);
    assert_true(changes_noted(changes, tile));
    changes_close(changes);
    tempstore_remove(&temp);
}

/* Nor is it one for the next writer, who reads it from the page cache. */
static void nor_for_the_next(void **state)
{
    const uint32_t tile = TILE;
    struct changes *changes;
    struct tempstore temp;

    open_archive(&temp);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    failing = 1;
    assert_int_equal(changes_note(changes, &tile, 1), -EIO);
    changes_close(changes);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_false(changes_noted(changes, tile));
    changes_close(changes);
    tempstore_remove(&temp);
}

/* Words that were told before stay known. */
static void the_next_knows_the_epochs(void **state)
{
    const uint32_t tile = TILE;
    char first[JOURNAL_EPOCH], second[JOURNAL_EPOCH];
    uint32_t id, epoch;
    struct changes_list list;
    struct changes *changes;
    struct tempstore temp;

    open_archive(&temp);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_int_equal(changes_mark(changes, first), 0);
    changes_close(changes);
    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_int_equal(changes_note(changes, &tile, 1), 0);
    changes_close(changes);
    assert_int_equal(changes_read(&temp.archive, &list), 0);
    assert_int_equal(journal_parse_epoch(first, &id, &epoch), 0);
    assert_null(list.unusable);
    assert_int_equal(id, list.header.id);
    assert_true(epoch <= list.header.epoch && list.cells[tile] >= epoch);
    changes_release(&list);

    assert_int_equal(changes_open(&temp.archive, &changes), 0);
    assert_int_equal(changes_mark(changes, second), 0);
    changes_close(changes);
    assert_int_equal(changes_read(&temp.archive, &list), 0);
    assert_int_equal(journal_parse_epoch(second, &id, &epoch), 0);
    assert_int_equal(epoch, list.header.epoch);
    assert_true(list.cells[tile] < epoch);
    changes_release(&list);
    tempstore_remove(&temp);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_note_that_failed_is_none),
        cmocka_unit_test(nor_for_the_next),
        cmocka_unit_test(the_next_knows_the_epochs),
    };

    return cmocka_run_group_tests_name("changes sync", tests, NULL, NULL) ? 1 : 0;
}
