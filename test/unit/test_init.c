/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is agreed with the kernel when a session begins, as the kernel reads it:
 * exactly what fuse_ops.c wants, whatever this libfuse turns on by itself. The
 * test is the kernel.
 */
#include "device.h"

/* Of fuse_ops.c, and what libfuse always says of itself. */
#define ASKED ((uint64_t)(FUSE_ASYNC_READ | FUSE_ASYNC_DIO))
#define ALWAYS ((uint64_t)(FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_INIT_EXT))
#define MINOR_NOW FUSE_KERNEL_MINOR_VERSION
#define MINOR_OLD 31 /* before there were more than 32 flags */

/* The flags that the server answers to a kernel that offers some. */
static uint64_t negotiate(struct dirimage *d, bool read_only, uint32_t minor, uint64_t offered)
{
    struct fuse_init_in in = {.major = FUSE_KERNEL_VERSION,
                              .minor = minor,
                              .max_readahead = 131072,
                              .flags = (uint32_t)offered,
                              .flags2 = (uint32_t)(offered >> 32)};
    struct fuse_init_out out;
    struct device device;

    device_serve(&device, d->img, d->temp.path, read_only);
    assert_int_equal(device_ask(&device, FUSE_INIT, &in, sizeof(in), &out, sizeof(out)), 0);
    device_leave(&device);
    assert_int_equal(out.major, FUSE_KERNEL_VERSION);
    return out.flags | (out.flags & FUSE_INIT_EXT ? (uint64_t)out.flags2 << 32 : 0);
}

static void same_flags(uint64_t wanted, uint64_t got)
{
    if (wanted != got)
        fail_msg("agreed on %#llx; too much: %#llx, missing: %#llx", (unsigned long long)got,
                 (unsigned long long)(got & ~wanted), (unsigned long long)(wanted & ~got));
}

static void a_kernel_that_can_do_everything(void **state)
{
    same_flags(ASKED | ALWAYS, negotiate(*state, false, MINOR_NOW, ~UINT64_C(0)));
}

static void the_same_when_mounted_read_only(void **state)
{
    same_flags(ASKED | ALWAYS, negotiate(*state, true, MINOR_NOW, ~UINT64_C(0)));
}

/* libfuse has a variable for what is an option of a mount. */
static void the_same_whatever_the_environment_says(void **state)
{
    assert_int_equal(setenv("FUSE_URING_ENABLE", "1", 1), 0);
    same_flags(ASKED | ALWAYS, negotiate(*state, false, MINOR_NOW, ~UINT64_C(0)));
    unsetenv("FUSE_URING_ENABLE");
}

static void each_flag_of_the_kernel_alone(void **state)
{
    for (int bit = 0; bit < 64; bit++) {
        uint64_t offered = UINT64_C(1) << bit | (bit < 32 ? 0 : FUSE_INIT_EXT);

        same_flags((offered & (ASKED | ALWAYS)) | FUSE_BIG_WRITES,
                   negotiate(*state, false, MINOR_NOW, offered));
    }
}

static void an_old_kernel(void **state)
{
    same_flags((ASKED | ALWAYS) & ~(uint64_t)FUSE_INIT_EXT,
               negotiate(*state, false, MINOR_OLD, (uint32_t)~FUSE_INIT_EXT));
    same_flags(FUSE_BIG_WRITES, negotiate(*state, false, MINOR_OLD, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(test) cmocka_unit_test_setup_teardown(test, dirimage_setup, dirimage_teardown)
        TEST(a_kernel_that_can_do_everything),
        TEST(the_same_when_mounted_read_only),
        TEST(the_same_whatever_the_environment_says),
        TEST(each_flag_of_the_kernel_alone),
        TEST(an_old_kernel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
