/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Some answers mean more to the kernel than that one request has failed: ENOSYS,
 * that we never do such a thing (then an fsync succeeds without asking us), and
 * EOPNOTSUPP to a hole, that a loop device need not ask for another. Whatever
 * fails below, these must not be said.
 */
#include <linux/falloc.h>

#include "device.h"
#include "store/fault.h"

#define ERRNO_MAX 133

/* Served with a store that fails on demand, of two tiles. */
static struct {
    struct dirimage temp;
    struct store *fault;
    struct image *img;
    struct device device;
} s;

static int setup(void **state)
{
    struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    struct fuse_init_out out;

    memset(&s, 0, sizeof(s));
    dirimage_make(&s.temp);
    (void)!dirimage_close(&s.temp);
    tempstore_must(fault_open(tempstore_open(&s.temp.temp, false, MAX_OPEN), &s.fault) == 0,
                   "fault");
    tempstore_must(image_open(s.fault, false, &s.img) == 0, "image");
    device_serve(&s.device, s.img, s.temp.temp.path, false);
    return device_ask(&s.device, FUSE_INIT, &in, sizeof(in), &out, sizeof(out));
}

static int teardown(void **state)
{
    device_leave(&s.device);
    (void)!image_close(s.img);
    tempstore_close(&s.temp.temp);
    tempstore_remove(&s.temp.temp);
    return 0;
}

static int ask_allocate(uint32_t mode)
{
    struct fuse_fallocate_in in = {.offset = 100, .length = 2 * TILE, .mode = mode};

    return device_ask(&s.device, FUSE_FALLOCATE, &in, sizeof(in), NULL, 0);
}

static int ask_sync(void)
{
    struct fuse_fsync_in in = {0};

    return device_ask(&s.device, FUSE_FSYNC, &in, sizeof(in), NULL, 0);
}

/* What is asked while op fails with err. */
static int failing(enum fault_op op, int err, uint32_t mode)
{
    char bytes[BLOCK] = "x";
    int rc;

    for (uint32_t tile = 0; tile < 3; tile++)
        assert_int_equal(image_write(s.img, tile * TILE + 50, bytes, sizeof(bytes)), 0);
    fault_set(s.fault, op, err, 0, UINT64_MAX);
    rc = ask_allocate(mode);
    fault_set(s.fault, op, 0, 0, 0);
    return rc;
}

static void a_hole(void **state)
{
    static const enum fault_op ops[] = {FAULT_ZERO, FAULT_REMOVE, FAULT_NOTE};

    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        for (int err = 1; err <= ERRNO_MAX; err++) {
            int rc = failing(ops[i], err, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);

            if (rc == -EOPNOTSUPP || rc == -ENOSYS)
                fail_msg("'%s' became '%s'", strerror(err), strerror(-rc));
            if (ops[i] != FAULT_NOTE && (err == ENOSPC || err == EDQUOT))
                assert_int_equal(rc, -err);
        }
}

/* Who wants zeros can write them. */
static void zeros(void **state)
{
    for (int err = 1; err <= ERRNO_MAX; err++) {
        int rc = failing(FAULT_ZERO, err, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE);

        assert_int_not_equal(rc, -ENOSYS);
        if (err == ENOSPC || err == EDQUOT)
            assert_int_equal(rc, -EOPNOTSUPP);
    }
}

static void space(void **state)
{
    for (int err = 1; err <= ERRNO_MAX; err++)
        assert_int_not_equal(failing(FAULT_ALLOCATE, err, 0), -ENOSYS);
}

static void a_sync(void **state)
{
    char byte = 'x';

    assert_int_equal(image_write(s.img, 0, &byte, 1), 0);
    fault_set(s.fault, FAULT_FLUSH, ENOSYS, 0, UINT64_MAX);
    assert_int_equal(ask_sync(), -EIO);
    assert_int_equal(ask_sync(), -EIO);
    fault_set(s.fault, FAULT_FLUSH, 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        TEST(a_hole),
        TEST(zeros),
        TEST(space),
        TEST(a_sync),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
