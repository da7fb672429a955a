/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../note.h"
#include "conformance.h"
#include "store/mem.h"

static struct store *open_mem(const struct geometry *geo)
{
    struct store *st;

    if (mem_open(geo, geo->ntiles, &st))
        exit(1);
    return st;
}

/* A full disk is played by a bound on the number of tiles. */
static void creating_past_the_bound_is_enospc(void **state)
{
    struct geometry geo;
    struct store *st;
    struct statvfs space;
    uint32_t found;

    assert_int_equal(geometry_init(&geo, 10 * 4096, 4096), 0);
    assert_int_equal(mem_open(&geo, 2, &st), 0);
    note_all(st);
    assert_int_equal(store_create(st, 3), 0);
    assert_int_equal(store_create(st, 9), 0);
    assert_int_equal(store_create(st, 5), -ENOSPC);
    assert_int_equal(store_create(st, 9), -EEXIST);
    assert_int_equal(store_next(st, 4, store_geometry(st)->ntiles, &found), 0);
    assert_int_equal(found, 9);
    assert_int_equal(store_space(st, &space), 0);
    assert_int_equal(space.f_bfree, 0);
    assert_int_equal(store_remove(st, 3), 0);
    assert_int_equal(store_create(st, 5), 0);
    store_close(st);
}

static void stat_counts_blocks_of_data(void **state)
{
    struct geometry geo;
    struct store *st;
    struct store_stat stat;
    bool empty;

    assert_int_equal(geometry_init(&geo, 4 * 65536, 65536), 0);
    assert_int_equal(mem_open(&geo, 4, &st), 0);
    note_all(st);
    assert_int_equal(store_create(st, 0), 0);
    assert_int_equal(store_write(st, 0, 4095, "ab", 2), 0);
    assert_int_equal(store_stat(st, 0, &stat), 0);
    assert_int_equal(stat.blocks, 16);
    assert_int_equal(stat.bytes, 4097);
    assert_int_equal(store_zero(st, 0, 0, 4096, &empty), 0);
    assert_false(empty);
    assert_int_equal(store_stat(st, 0, &stat), 0);
    assert_int_equal(stat.blocks, 8);
    store_close(st);
}

static void closing_nothing_is_fine(void **state)
{
    store_close(NULL);
}

int main(void)
{
    static const struct conformance mem = {.name = "mem", .open = open_mem, .close = store_close};
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(creating_past_the_bound_is_enospc),
        cmocka_unit_test(stat_counts_blocks_of_data),
        cmocka_unit_test(closing_nothing_is_fine),
    };
    int failed = conformance_run(&mem);

    return failed + cmocka_run_group_tests_name("mem", tests, NULL, NULL) ? 1 : 0;
}
