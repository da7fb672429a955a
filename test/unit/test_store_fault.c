/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../note.h"
#include "conformance.h"
#include "store/fault.h"
#include "store/mem.h"

static struct store *open_fault(const struct geometry *geo)
{
    struct store *st;

    if (mem_open(geo, geo->ntiles + 100, &st) || fault_open(st, &st))
        exit(1);
    note_all(st);
    return st;
}

static int setup(void **state)
{
    struct geometry geo;
    int rc = geometry_init(&geo, 4 * 4096, 4096);

    *state = open_fault(&geo);
    return rc;
}

static int teardown(void **state)
{
    store_close(*state);
    return 0;
}

static int use_nothing(void *arg, const void *bytes, size_t len)
{
    return 0;
}

/* One call of the operation on tile 0, which is present unless op creates it. */
static int meet_nothing(void *arg, uint32_t tile, const struct store_place *place)
{
    return 0;
}

static int call(struct store *st, enum fault_op op)
{
    struct store_stat stat;
    struct geometry to;
    struct statvfs space;
    struct timespec ts;
    uint64_t off;
    uint32_t found;
    bool empty;
    char byte = 1, epoch[STORE_EPOCH];
    int rc;

    switch (op) {
    case FAULT_READ:
        return store_read(st, 0, 0, &byte, 1);
    case FAULT_LEND: /* a store in memory has nothing to lend */
        rc = store_lend(st, 0, 0, 1, use_nothing, NULL);
        return rc == -EAGAIN ? 0 : rc;
    case FAULT_WRITE:
        return store_write(st, 0, 0, &byte, 1);
    case FAULT_CREATE:
        return store_create(st, 1);
    case FAULT_REMOVE:
        return store_remove(st, 0);
    case FAULT_ZERO:
        return store_zero(st, 0, 0, 1, &empty);
    case FAULT_ALLOCATE:
        return store_allocate(st, 0, 0, 1);
    case FAULT_SEEK:
        return store_seek(st, 0, 0, STORE_DATA, &off);
    case FAULT_STAT:
        return store_stat(st, 0, &stat);
    case FAULT_NEXT:
        return store_next(st, 0, store_geometry(st)->ntiles, &found);
    case FAULT_EACH:
        return store_each(st, 0, store_geometry(st)->ntiles, meet_nothing, NULL);
    case FAULT_NOTE:
        return store_note(st, &(uint32_t){0}, 1);
    case FAULT_MARK:
        return store_mark(st);
    case FAULT_TELL:
        return store_tell(st, epoch);
    case FAULT_RESIZE_TILE:
        return store_resize_tile(st, 0, store_geometry(st));
    case FAULT_RESIZE_BEGIN:
        to = *store_geometry(st);
        to.size += to.tile_size;
        to.ntiles++;
        rc = store_resize_begin(st, &to, false);
        if (!rc)
            store_resize(st);
        return rc;
    case FAULT_FLUSH_START:
        return store_flush_start(st, 0);
    case FAULT_FLUSH:
        return store_flush(st, 0);
    case FAULT_FLUSH_ENTRIES:
        return store_flush_entries(st);
    case FAULT_SPACE:
        return store_space(st, &space);
    case FAULT_MTIME:
        return store_mtime(st, &ts);
    case FAULT_NOPS:
        break;
    }
    return 0;
}

static void each_rule_fails_its_own_operation(void **state)
{
    struct store *st = *state;

    assert_int_equal(store_create(st, 0), 0);
    for (enum fault_op op = 0; op < FAULT_NOPS; op++) {
        uint64_t calls, failed;

        fault_set(st, op, ERANGE, 0, 1);
        for (enum fault_op other = 0; other < FAULT_NOPS; other++) {
            if (other == op || other == FAULT_CREATE || other == FAULT_REMOVE ||
                other == FAULT_MARK)
                continue;
            assert_int_equal(call(st, other), 0);
        }
        assert_int_equal(call(st, op), -ERANGE);
        fault_counts(st, op, &calls, &failed);
        assert_true(calls >= 1);
        assert_int_equal(failed, 1);
    }
    /* Neither create nor remove got through. */
    assert_int_equal(call(st, FAULT_CREATE), 0);
    assert_int_equal(call(st, FAULT_REMOVE), 0);
}

static void skip_then_fail_count_times(void **state)
{
    struct store *st = *state;
    uint64_t calls, failed;

    fault_set(st, FAULT_FLUSH, EIO, 2, 3);
    for (int i = 0; i < 2; i++)
        assert_int_equal(call(st, FAULT_FLUSH), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(call(st, FAULT_FLUSH), -EIO);
    for (int i = 0; i < 4; i++)
        assert_int_equal(call(st, FAULT_FLUSH), 0);
    fault_counts(st, FAULT_FLUSH, &calls, &failed);
    assert_int_equal(calls, 9);
    assert_int_equal(failed, 3);
}

static void for_ever_until_lifted(void **state)
{
    struct store *st = *state;
    uint64_t calls, failed;

    fault_set(st, FAULT_SPACE, EIO, 0, UINT64_MAX);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(call(st, FAULT_SPACE), -EIO);
    fault_set(st, FAULT_SPACE, 0, 0, 0);
    assert_int_equal(call(st, FAULT_SPACE), 0);
    fault_counts(st, FAULT_SPACE, &calls, &failed);
    assert_int_equal(calls, 1001);
    assert_int_equal(failed, 1000);
}

static void a_failed_write_changes_nothing(void **state)
{
    struct store *st = *state;
    char got[4];

    assert_int_equal(store_create(st, 0), 0);
    assert_int_equal(store_write(st, 0, 0, "old", 4), 0);
    fault_set(st, FAULT_WRITE, ENOSPC, 0, 1);
    assert_int_equal(store_write(st, 0, 0, "new", 4), -ENOSPC);
    assert_int_equal(store_read(st, 0, 0, got, 4), 0);
    assert_string_equal(got, "old");
}

static void names_are_all_there_and_differ(void **state)
{
    for (int i = 0; i < FAULT_NOPS; i++) {
        assert_non_null(fault_op_names[i]);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(fault_op_names[i], fault_op_names[j]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct conformance fault = {
        .name = "fault", .open = open_fault, .close = store_close};
    static const struct CMUnitTest tests[] = {
        TEST(each_rule_fails_its_own_operation),
        TEST(skip_then_fail_count_times),
        TEST(for_ever_until_lifted),
        TEST(a_failed_write_changes_nothing),
        cmocka_unit_test(names_are_all_there_and_differ),
    };
    int failed = conformance_run(&fault);

    return failed + cmocka_run_group_tests_name("fault", tests, NULL, NULL) ? 1 : 0;
}
