/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is agreed with the kernel when a session begins, as the kernel reads it:
 * exactly what fuse_ops.c wants, whatever this libfuse turns on by itself. The
 * test is the kernel, at the other end of a socket.
 */
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dirimage.h"
#include "front/fuse.h"

/* Of fuse_ops.c, and what libfuse always says of itself. */
#define ASKED ((uint64_t)(FUSE_ASYNC_READ | FUSE_ASYNC_DIO))
#define ALWAYS ((uint64_t)(FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_INIT_EXT))
#define MINOR_NOW FUSE_KERNEL_MINOR_VERSION
#define MINOR_OLD 31 /* before there were more than 32 flags */

struct server {
    struct fuse_front *front;
    struct image *img;
    pthread_t thread;
};

struct init_request {
    struct fuse_in_header head;
    struct fuse_init_in init;
};

struct init_answer {
    struct fuse_out_header head;
    struct fuse_init_out init;
};

static void ready(void *arg)
{
}

static void *run(void *arg)
{
    struct server *server = arg;

    (void)!fuse_front_run(server->front, server->img, ready, NULL);
    return NULL;
}

/* Our end of the device that server serves. */
static int serve(struct server *server, struct dirimage *d, bool read_only)
{
    static const char *const args[] = {NULL};
    struct fuse_front_config config = {
        .source = d->temp.path, .args = args, .mode = 0600, .read_only = read_only};
    char path[32];
    int fds[2];

    server->img = d->img;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    snprintf(path, sizeof(path), "/dev/fd/%d", fds[1]); /* libfuse takes it for mounted */
    assert_int_equal(fuse_front_new(&config, &server->front), 0);
    assert_int_equal(fuse_front_mount(server->front, path), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, run, server), 0);
    return fds[0];
}

/* As if unmounted; a socket ends in another way than the device does, which libfuse tells. */
static void leave(struct server *server, int fd)
{
    int err = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    assert_true(err >= 0 && null >= 0);
    assert_int_equal(dup2(null, STDERR_FILENO), STDERR_FILENO);
    close(fd);
    pthread_join(server->thread, NULL);
    assert_int_equal(dup2(err, STDERR_FILENO), STDERR_FILENO);
    close(err);
    close(null);
}

/* The flags that the server answers to a kernel that offers some. */
static uint64_t negotiate(struct dirimage *d, bool read_only, uint32_t minor, uint64_t offered)
{
    struct init_request request = {
        .head = {.len = sizeof(request), .opcode = FUSE_INIT, .unique = 2},
        .init = {.major = FUSE_KERNEL_VERSION,
                 .minor = minor,
                 .max_readahead = 131072,
                 .flags = (uint32_t)offered,
                 .flags2 = (uint32_t)(offered >> 32)},
    };
    struct init_answer answer = {0};
    struct server server = {0};
    int fd = serve(&server, d, read_only);

    assert_int_equal(write(fd, &request, sizeof(request)), sizeof(request));
    assert_int_equal(read(fd, &answer, sizeof(answer)), sizeof(answer));
    leave(&server, fd);
    fuse_front_free(server.front);
    assert_int_equal(answer.head.error, 0);
    assert_int_equal(answer.init.major, FUSE_KERNEL_VERSION);
    return answer.init.flags |
           (answer.init.flags & FUSE_INIT_EXT ? (uint64_t)answer.init.flags2 << 32 : 0);
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
